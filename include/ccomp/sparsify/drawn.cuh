#pragma once
/// What sparsifiers share on a GPU whose places are drawn: places that all ranks draw alike.

#include <ccomp/core/places.hpp>
#include <ccomp/sparsify/selected.cuh>

CCOMP_BEGIN
namespace detail {

/// From each of `blocks` stretches of n values as many neighbours as its share of `count` says.
struct drawn_selection {
  std::uint64_t n = 0, count = 0, blocks = 1;
  std::uint64_t seed = 0;
  bool unbiased = false;  // decoding multiplies
};

/// A thread for each place.
CCOMP_KERNEL __launch_bounds__(vector_threads)
    draw_kernel(drawn_selection what, device_random random, known_places out) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x, n = what.n, count = what.count;
  if (i >= count) return;
  random_stream const stream = shared_places(what.seed, random.now(), random.tensor);
  // The stretch that entry i lies in: the last that begins at i or before.
  std::uint64_t const parts = what.blocks, part = ((i + 1) * parts - 1) / count;
  std::uint64_t const start = stretch_begin(n, parts, part), size = stretch_begin(n, parts, part + 1) - start;
  std::uint64_t const entry = stretch_begin(count, parts, part), length = stretch_begin(count, parts, part + 1) - entry;
  std::uint64_t const place = drawn_below(stream, part, size);
  // What goes on at the stretch's start stands last in the carrier and first in the tensor.
  std::uint64_t const before_end = size - place < length ? size - place : length, around = length - before_end;
  std::uint64_t const at = i - entry;
  bool const wrapped = at < around;
  out.index[i] = static_cast<std::uint32_t>(start + (wrapped ? at : place + at - around));
  if (out.from) out.from[i] = static_cast<std::uint32_t>(entry + (wrapped ? before_end + at : at - around));
  if (out.factor) out.factor[i] = div(static_cast<float>(size), static_cast<float>(length));
}
/// carrier = the values at the places.
CCOMP_KERNEL __launch_bounds__(vector_threads)
    gather_drawn(vector_source items, std::uint64_t count, known_places places, per_item<float> carrier) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x;
  if (i < count) carrier.mine()[places.entry(i)] = items.mine().value(places.index[i]);
}

template <class Queue> known_places draw(Queue& q, drawn_selection const& what, device_random const& at) {
  known_places p;
  p.index = q.template take<std::uint32_t>(what.count);
  if (what.blocks < what.count) p.from = q.template take<std::uint32_t>(what.count);
  if (what.unbiased) p.factor = q.template take<float>(what.count);
  q.run_each("draw", draw_kernel<Queue>, what.count, 1, what, at, p);
  return p;
}

template <class Queue>
void encode_drawn(Queue q, fused_encode_call const& c, drawn_selection const& what, carrier_coder const& coder) {
  selected_entries selected;
  selected.count.most = what.count;
  selected.places = draw(q, what, c.in.random);
  selected.index = {selected.places.index, 0};
  q.run_each("gather_drawn", gather_drawn<Queue>, what.count, c.items, c.in, what.count, selected.places, c.carrier);
  if (c.in.residual)
    q.run("residual", residual_kernel<Queue>, tile_blocks(c.n), c.items, c.in, residual_update::leave, nullptr);
  std::uint64_t const carried = c.place.raw ? what.count * sizeof(float) : 0;
  if (c.place.begin + carried < c.place.end)
    q.run("pad", pad_kernel<Queue>, 1, c.items, c.payload, c.place.begin, carried, c.place);
  settle(q, c, selected, coder.encode(q, c.carrier, {}));
}
template <class Queue>
void decode_drawn(Queue q, fused_decode_call const& c, drawn_selection const& what, carrier_coder const& coder) {
  scatter_call s;
  s.count.most = what.count;
  s.places = draw(q, what, c.at);
  s.index = {s.places.index, 0, 0};
  s.carrier = coder.decode(q, {});
  scatter_sum(q, c, s);
}

}  // namespace detail
CCOMP_END
