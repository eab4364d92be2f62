#pragma once
/// The passes of a chain with a vector stage: its kernels, around the passes of the chain that codes its carrier.
///
/// Chunks of one size go through every kernel together; a last chunk that is shorter follows by itself.

#include <ccomp/engine/cuda/device_stage.cuh>

CCOMP_BEGIN
namespace detail {

/// One segment of a chain that ends in a vector stage, on equal items.
struct vector_call {
  segment s;
  device_program front, tail;  // the transforms before it, and what codes its carrier
  block_call call;
  unsigned items;
  std::uint64_t n;  // of an item
  device_stage_ops const* ops;
  std::uint64_t carried;  // the most values of a carrier
  element_type carrier_type;
  carrier_place place;

  vector_call(device_program const& p, block_call const& asked)
      : s(first_segment(p.stages)),
        front(p),
        tail(p.tail(s.transforms.size() + 1)),
        call(asked),
        items(asked.chunks.count),
        n(asked.chunks.count > 1 ? asked.chunks.size : asked.whole.n),
        ops(nullptr),
        carried(s.vector()->carrier_size(s.end.stage, n)),
        carrier_type(carried_type(s, asked.type)),
        place{pad16(s.vector()->side_bytes(s.end.stage, n)), 0,
              s.tail.empty() && carrier_type == element_type::float32} {
    if (s.vector()->counted)
      place.end = place.begin + capacity(s.tail, carried, carrier_type);
    else
      place.end = place.begin + (place.raw ? pad16(sizeof(float) * carried) : 0);
    front.stages = s.transforms;
    for (auto const& table : p.ops)
      if (auto const* const stage = table[s.transforms.size()]) ops = stage->vector;
    expects(ops, [&] {
      return sentence("CUDA: ", s.end.text(),
                      " runs on the host only: no included header has its kernels (device_stage)");
    });
    expects(!asked.chunks.counted, [&] {
      return sentence(
          "CUDA: ", s.end.text(),
          " runs on the host only where it follows a threshold, of whose carrier only the device knows the length");
    });
  }

  [[nodiscard]] bool transformed() const { return !s.transforms.empty(); }
  /// A call with this one's place in the run, over `count` items of `values` each.
  [[nodiscard]] block_call plain(std::uint64_t values, unsigned count) const {
    block_call t;
    t.whole.n = values * count;
    t.type = carrier_type;
    t.how.phase = call.how.phase;
    t.how.random = call.how.random;
    t.whole.first = call.whole.first;
    t.chunks.first_stride = call.chunks.first_stride;
    t.prescale = call.prescale;
    t.chunks.count = count;
    t.chunks.size = t.chunks.length = values;
    t.status = call.status;
    return t;
  }
  [[nodiscard]] vector_source source() const {
    vector_source from;
    from.in = call.whole.in;
    from.n = from.stride = n;
    from.first = call.whole.first;
    from.first_stride = call.chunks.first_stride;
    from.decay = call.how.decay;
    from.random = call.how.random;
    from.phase = call.how.phase;
    return from;
  }
};

/// Calls `f` with chunks of one size at a time.
template <class F> void for_each_size(block_call const& call, F const& f) {
  if (call.chunks.count <= 1) {
    if (call.whole.n > 0) f(call);
    return;
  }
  auto const full = static_cast<unsigned>(
      std::min<std::uint64_t>(call.chunks.count, call.chunks.size > 0 ? call.whole.n / call.chunks.size : 0));
  auto const some = [&](unsigned begin, unsigned count, std::uint64_t size) {
    block_call t = call;
    t.chunks.count = count;
    t.whole.n = count * size;
    t.chunks.size = t.chunks.length = size;
    t.whole.first += begin * call.chunks.first_stride;
    t.whole.in = advanced(call.whole.in, begin * call.chunks.size);
    t.whole.residual = advanced(call.whole.residual, begin * call.chunks.size);
    t.whole.out = advanced(call.whole.out, begin * call.chunks.size);
    t.whole.payload = past(call.whole.payload, begin * call.chunks.payload_stride);
    t.sum.sources = past(call.sum.sources, begin * call.chunks.source_stride);
    f(t);
  };
  if (full > 0) some(0, full, call.chunks.size);
  if (full < call.chunks.count && call.whole.n > full * call.chunks.size)
    some(full, 1, call.whole.n - full * call.chunks.size);
}

/// Any pass of any chain. Templates, as the kernels that they queue are.
template <class Queue>
void run_program(device_pass pass, device_program const& p, block_call const& call, Queue const& q);
template <class Queue>
void finish_transforms(vector_call const& c, per_item<float const> from, device_values out, float divisor,
                       bool add_to_out, Queue const& q);

/// The tail of the chain, as the stage sees it.
template <class Queue> class tail_coder final : public carrier_coder {
 public:
  tail_coder(vector_call const& c, bool feedback) : c_(c), feedback_(feedback) {}

  per_item<float const> encode(device_queue& q, per_item<float> carrier,
                               per_item<std::uint32_t const> count) const override {
    if (c_.place.raw) return {carrier.data, carrier.bytes};
    block_call t = c_.plain(c_.carried, c_.items);
    t.whole.in = {carrier.data, element_type::float32};
    t.whole.payload = past(c_.call.whole.payload, c_.place.begin);
    t.chunks.payload_stride = c_.call.chunks.payload_stride;
    t.chunks.counted = count.data;
    t.chunks.counted_stride = count.bytes;
    run_program(device_pass::encode, c_.tail, t, q);
    if (!feedback_) return {};
    t = c_.plain(c_.carried, c_.items);
    auto* const back = q.take<float>(c_.carried * c_.items);
    t.sum.sources = past(c_.call.whole.payload, c_.place.begin);
    t.chunks.source_stride = c_.call.chunks.payload_stride;
    t.sum.count = 1;
    t.whole.out = {back, element_type::float32};
    t.chunks.counted = count.data;
    t.chunks.counted_stride = count.bytes;
    run_program(device_pass::decode, c_.tail, t, q);
    return {back, sizeof(float) * c_.carried};
  }

  per_list<float const> decode(device_queue& q, per_list<std::uint32_t const> count) const override {
    auto const& call = c_.call;
    auto const sources = static_cast<unsigned>(call.sum.count);
    unsigned const lists = c_.items * sources;
    std::byte const* const carriers = past(call.sum.sources, c_.place.begin);
    if (c_.place.raw) return {reinterpret_cast<float const*>(carriers), call.sum.stride, call.chunks.source_stride};
    auto* const back = q.take<float>(c_.carried * lists);
    std::uint64_t const bytes = sizeof(float) * c_.carried;
    // The sources of an item lie side by side, or the items do.
    unsigned const together = c_.items == 1 || sources == 1 ? lists : sources;
    for (unsigned done = 0; done < lists; done += together) {
      block_call t = c_.plain(c_.carried, together);
      t.sum.sources = past(carriers, done / sources * call.chunks.source_stride);
      t.chunks.source_stride = c_.items == 1 || sources > 1 ? call.sum.stride : call.chunks.source_stride;
      t.sum.count = 1;
      t.chunks.first_stride = c_.items == 1 || sources > 1 ? 0 : call.chunks.first_stride;
      t.whole.first += done / sources * call.chunks.first_stride;
      t.whole.out = {back + std::uint64_t{done} * c_.carried, element_type::float32};
      if (c_.s.vector()->counted) {
        t.chunks.counted = past(count.data, done * count.source_bytes);
        t.chunks.counted_stride = count.source_bytes;
      }
      run_program(device_pass::decode, c_.tail, t, q);
    }
    return {back, bytes, bytes * sources};
  }

 private:
  vector_call const& c_;
  bool feedback_;
};

template <class Queue> void encode_vector(vector_call const& c, bool feedback, Queue q) {
  vector_source input = c.source();
  if (feedback) input.residual = c.call.whole.residual;
  fused_encode_call e;
  e.items = c.items;
  e.n = c.n;
  e.in = input;
  e.payload = {c.call.whole.payload, c.call.chunks.payload_stride};
  e.place = c.place;
  e.status = c.call.status;
  per_item<float> whole{}, inner{};  // the tensor as floats, and behind the transforms
  if (c.transformed()) {
    if (feedback) {
      whole = {q.template take<float>(c.n * c.items), c.n * sizeof(float)};
      q.run("residual", residual_kernel<Queue>, tile_blocks(c.n), c.items, input, residual_update::copy, whole.data);
      e.in.in = {whole.data, element_type::float32};
      e.in.residual = {};
    }
    inner = q.template take_each<float>(c.n, c.items);
    block_call t = c.plain(c.n, c.items);
    t.type = c.call.type;
    t.whole.in = e.in.in;
    t.whole.payload = reinterpret_cast<std::byte*>(inner.data);
    t.chunks.payload_stride = inner.bytes;
    run_program(device_pass::encode, c.front, t, q);
    e.in.in = {inner.data, element_type::float32};
    e.in.stride = inner.bytes / sizeof(float);
    e.decoded = inner;
  }
  // A carrier that is not coded lies in the payload.
  e.carrier = c.place.raw ? per_item<float>{reinterpret_cast<float*>(past(c.call.whole.payload, c.place.begin)),
                                            c.call.chunks.payload_stride}
                          : per_item<float>{q.template take<float>(c.carried * c.items), sizeof(float) * c.carried};
  if (feedback) e.feedback = c.transformed() ? vector_feedback::decoded : vector_feedback::residual;
  c.ops->encode(c.s.end.stage, q, e, tail_coder<Queue>(c, feedback));
  if (!feedback || !c.transformed()) return;
  finish_transforms(c, {inner.data, inner.bytes}, {whole.data, element_type::float32}, 1.0f, false, q);
  q.run("residual", residual_kernel<Queue>, tile_blocks(c.n), c.items, input, residual_update::settle, whole.data);
}

/// Undoes the transforms, divides, and writes or adds.
template <class Queue>
void finish_transforms(vector_call const& c, per_item<float const> from, device_values out, float divisor,
                       bool add_to_out, Queue const& q) {
  block_call t = c.plain(c.n, c.items);
  t.type = element_type::float32;
  t.sum.sources = reinterpret_cast<std::byte const*>(from.data);
  t.chunks.source_stride = from.bytes;
  t.sum.count = 1;
  t.whole.out = out;
  t.sum.divisor = divisor;
  t.sum.add_to_out = add_to_out;
  run_program(device_pass::decode, c.front, t, q);
}

template <class Queue> void decode_vector(vector_call const& c, Queue q) {
  auto const& call = c.call;
  fused_decode_call d;
  d.items = c.items;
  d.sources = static_cast<unsigned>(call.sum.count);
  d.n = c.n;
  d.payload = {call.sum.sources, call.sum.stride, call.chunks.source_stride};
  d.at = call.how.random;
  d.status = call.status;
  per_item<float> inner{};
  if (c.transformed()) {
    inner = q.template take_each<float>(c.n, c.items);
    d.to = {{inner.data, element_type::float32}, inner.bytes / sizeof(float), false};
  } else {
    d.to = {call.whole.out, c.n, true, call.sum.divisor, call.sum.add_to_out};
  }
  c.ops->decode(c.s.end.stage, q, d, tail_coder<Queue>(c, false));
  if (c.transformed())
    finish_transforms(c, {inner.data, inner.bytes}, call.whole.out, call.sum.divisor, call.sum.add_to_out, q);
}

/// Sums the payloads and encodes the sum; what that leaves out joins the residual.
template <class Queue> void reduce_vector(device_program const& p, vector_call const& c, Queue q) {
  auto* const sum = q.template take<float>(c.n * c.items);
  block_call t = c.call;
  t.whole.out = {sum, element_type::float32};
  t.sum.divisor = 1;
  t.prescale = 1;
  t.sum.add_to_out = false;
  run_program(device_pass::decode, p, t, q);
  t = c.call;
  t.whole.in = {sum, element_type::float32};
  device_program coded = p;
  if (!p.sums.empty()) coded.stages = p.sums;
  if (!q.measures() && !c.call.whole.residual.data) return run_program(device_pass::encode, coded, t, q);
  // Encoding with an empty residual leaves exactly what was left out in it.
  auto* const left = q.template take<float>(c.n * c.items);
  if (!q.measures()) q.exec().fill_zero(left, c.n * c.items * sizeof(float));
  t.whole.residual = {left, element_type::float32};
  t.how.decay = 1;
  run_program(device_pass::encode_feedback, coded, t, q);
  vector_source whole = c.source();
  whole.residual = c.call.whole.residual;
  q.run("residual", residual_kernel<Queue>, tile_blocks(c.n), c.items, whole, residual_update::add, left);
}

template <class Queue>
void run_program(device_pass pass, device_program const& p, block_call const& call, Queue const& q) {
  if (!first_segment(p.stages).vector()) {
    if (!q.measures()) run_blocks(pass, q.exec(), p, call);
    return;
  }
  for_each_size(call, [&](block_call const& each) {
    vector_call const c(p, each);
    if (pass == device_pass::decode)
      decode_vector(c, q);
    else if (pass == device_pass::reduce)
      reduce_vector(p, c, q);
    else
      encode_vector(c, pass == device_pass::encode_feedback, q);
  });
}

template <class Queue>
std::size_t vector_scratch_bytes(device_pass pass, device_program const& p, block_call const& call,
                                 workspace<cuda_exec>& ws) {
  std::size_t most = 0;
  scratch const endless({reinterpret_cast<std::byte*>(std::uintptr_t{64}), std::size_t{1} << 60});
  run_program(pass, p, call, Queue(nullptr, ws, endless, most));
  return most;
}

/// Queues one pass of a chain with a vector stage.
template <class Queue>
void run_vector(device_pass pass, cuda_exec const& ex, device_program const& p, block_call const& call, scratch memory,
                workspace<cuda_exec>& ws) {
  std::size_t most = 0;
  run_program(pass, p, call, Queue(&ex, ws, memory, most));
}

}  // namespace detail
CCOMP_END
