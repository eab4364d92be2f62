#pragma once
/// What sparsifiers by magnitude share on a GPU: selection, indices in the side bytes, carriers put back.

#include <ccomp/engine/cuda/scatter.cuh>
#include <ccomp/engine/cuda/small_selection.cuh>
#include <ccomp/engine/cuda/vector_run.cuh>

CCOMP_BEGIN
namespace detail {

/// What was selected of each item.
struct selected_entries {
  entry_count count{};
  per_item<std::uint32_t const> index{};
  known_places places{};
};

/// Ends an encoding with feedback: `back`, what the carriers decode to, is taken off the residual, which holds all so
/// far, or goes where the caller wants it.
template <class Queue>
void settle(Queue const& q, fused_encode_call const& c, selected_entries const& selected, per_item<float const> back) {
  if (c.feedback == vector_feedback::residual)
    return q.run_each(
        "settle", settle_kernel<Queue>, selected.count.most, c.items,
        settle_call{c.in, selected.count, selected.index, selected.places, {c.carrier.data, c.carrier.bytes}, back});
  if (c.feedback == vector_feedback::none) return;
  scatter_call s;
  s.n = c.n;
  s.count = selected.count;
  s.index = {selected.index.data, 0, selected.index.bytes};
  s.places = selected.places;
  s.carrier = {back.data, 0, back.bytes};
  sum_output const to{{c.decoded.data, element_type::float32}, c.decoded.bytes / sizeof(float)};
  q.run("scatter", scatter_kernel<Queue>, ceil_div(c.n, scatter_values), c.items, s, to);
}

/// Finds what to select: indices, values, and of a bound how many there are. `find_bound(queue, input)` finds a bound that the
/// stage does not say: the largest key that is not selected, `low` of the state.
template <class Queue, class FindBound>
entry_count select(Queue& q, fused_encode_call const& c, selection const& what, per_item<std::uint32_t> index,
                   FindBound const& find_bound) {
  bool const one_block = c.n <= block_values;
  selection_input input{what, c.in, {}};
  selection_output output{index, c.carrier, {}, c.status};
  entry_count count{what.most, {}};
  per_item<std::uint32_t> bins{};
  auto const start = [&] { q.run("start_selection", start_selection<Queue>, 1, c.items, input, bins); };
  if (what.bounded) {
    output.header = {reinterpret_cast<std::uint32_t*>(c.payload.data), c.payload.bytes};
    input.state = q.template take_each<selection_state>(1, c.items);
    count.counted = {&input.state.data->selected, input.state.bytes};
    if (!(what.value > 0)) {
      start();
      find_bound(q, input);
    } else if (!one_block) {
      start();
    }
  }
  if (one_block) {
    q.run("select", select_kernel<Queue>, 1, c.items, input, output);
    return count;
  }
  // Blocks that loop, so that few histograms are added up: four for each multiprocessor.
  std::uint64_t const resident = 4 * std::uint64_t{q.multiprocessors()}, tiles = ceil_div(c.n, select_values),
                      blocks = tile_blocks(c.n), few = std::clamp<std::uint64_t>(resident / c.items, 1, blocks);
  selection_counts counts;
  counts.tiles = q.template take_each<unsigned long long>(tiles, c.items);
  counts.blocks = q.template take_each<unsigned long long>(blocks, c.items);
  candidate_pool pool;
  if (!what.bounded) {
    pool.room = static_cast<std::uint32_t>(std::min<std::uint64_t>(c.n, 3 * what.most + 4096));
    input.state = q.template take_each<selection_state>(1, c.items);
    bins = q.template take_each<std::uint32_t>(all_bins, c.items);
    pool.tiles = q.template take_each<pool_tile>(tiles, c.items);
    pool.index = q.template take_each<std::uint32_t>(pool.room, c.items);
    pool.value = q.template take_each<float>(pool.room, c.items);
    start();
    q.run("histogram", histogram_kernel<Queue>, few, c.items, input, bins, pool, 0);
    q.run("gather", gather_kernel<Queue>, few, c.items, input, bins, pool);
    q.run("histogram", histogram_kernel<Queue>, few, c.items, input, bins, pool, 2);
  }
  q.run("count", count_kernel<Queue>, blocks, c.items, input, pool, counts, output);
  q.run("write_selected", write_selected<Queue>, blocks, c.items, input, pool, counts, output);
  return count;
}

/// Writes the side bytes behind the header, and what pads the payload. `carried`: how many values the carriers hold.
template <class Queue>
void write_selected_indices(Queue const& q, fused_encode_call const& c, index_layout const& layout,
                            std::uint64_t header, selected_entries const& selected, entry_count const& carried) {
  index_write_call w;
  w.layout = layout;
  w.header = header;
  w.carrier = c.place;
  w.count = selected.count;
  w.carried = carried;
  w.index = selected.index;
  w.payload = c.payload;
  if (!selected.count.counted.data && layout.coding == index_coding::raw) w.from = layout.bytes() / 4;
  q.run_each("write_indices", write_indices<Queue>, w.carrier.end / 4 - w.from, c.items, w);
}

/// Codes what `find(queue, index)` selects, `most` values at most: it writes indices and carriers, and says how many
/// there are. `header`: side bytes ahead of the indices, which it writes as well.
template <class Queue, class Find>
void encode_found(Queue q, fused_encode_call const& c, std::uint64_t most, index_layout const& layout,
                  std::uint64_t header, carrier_coder const& coder, Find const& find) {
  per_item<std::uint32_t> const index =
      layout.coding == index_coding::raw
          ? per_item<std::uint32_t>{reinterpret_cast<std::uint32_t*>(past(c.payload.data, header)), c.payload.bytes}
          : q.template take_each<std::uint32_t>(most, c.items);
  selected_entries selected;
  selected.count = find(q, index);
  selected.index = {index.data, index.bytes};
  write_selected_indices(q, c, layout, header, selected, selected.count);
  settle(q, c, selected, coder.encode(q, c.carrier, selected.count.counted));
}
template <class Queue>
void encode_selected(Queue q, fused_encode_call const& c, selection const& what, index_layout const& layout,
                     std::uint64_t header, carrier_coder const& coder) {
  auto const relative = [&](Queue& queue, selection_input const& input) {
    std::uint64_t const tiles = ceil_div(c.n, norm_values);
    auto const norms = queue.template take_each<tile_norm>(tiles, c.items);
    queue.run("norm", norm_kernel<Queue>, ceil_div(tiles, vector_warps), c.items, input, norms);
  };
  encode_found(q, c, what.most, layout, header, coder,
               [&](Queue& queue, per_item<std::uint32_t> index) { return select(queue, c, what, index, relative); });
}

/// Room for each source of each item.
template <class T, class Queue> per_list<T> take_lists(Queue& q, fused_decode_call const& c, std::uint64_t count) {
  auto const room = q.template take_each<T>(count, c.items * c.sources);
  return {room.data, room.bytes, room.bytes * c.sources};
}

/// Reads the places in payloads and checks them.
template <class Queue>
index_read_call read_indices(Queue& q, fused_decode_call const& c, std::uint64_t most, index_layout const& layout,
                             std::uint64_t header) {
  unsigned const lists = c.items * c.sources;
  index_read_call r;
  r.layout = layout;
  r.n = c.n;
  r.most = most;
  r.header = header;
  r.sources = c.sources;
  r.payload = c.payload;
  r.status = c.status;
  r.list = take_lists<index_list>(q, c, 1);
  bool const listed = layout.coding == index_coding::raw;
  std::uint64_t const blocks = ceil_div(layout.map_bytes / 4, words_of_block);
  if (listed)
    r.index = {const_cast<std::uint32_t*>(reinterpret_cast<std::uint32_t const*>(past(c.payload.data, header))),
               c.payload.source_bytes, c.payload.item_bytes};
  else
    r.index = take_lists<std::uint32_t>(q, c, most);
  if (blocks <= 1 && most <= block_entries) {
    q.run("read_indices", read_kernel<Queue>, 1, lists, r);
  } else {
    q.run("start_reading", start_reading<Queue>, 1, lists, r);
    if (layout.per_block > 0) {
      q.run_each("read_in_blocks", read_in_blocks<Queue>, most, lists, r);
    } else if (!listed) {
      r.totals = take_lists<unsigned long long>(q, c, blocks);
      q.run("count_ones", count_ones_kernel<Queue>, blocks, lists, r);
      q.run("read_ones", read_ones_kernel<Queue>, blocks, lists, r);
    }
    q.run_each("check_indices", check_indices<Queue>, most, lists, r);
  }
  return r;
}

/// Sums carriers at their places into the output.
template <class Queue> void scatter_sum(Queue const& q, fused_decode_call const& c, scatter_call s) {
  s.n = c.n;
  s.sources = c.sources;
  q.run("scatter", scatter_kernel<Queue>, ceil_div(c.n, scatter_values), c.items, s, c.to);
}

/// Sums the carriers of lists that were read, of `most` values at most.
template <class Queue>
void decode_listed(Queue& q, fused_decode_call const& c, std::uint64_t most, per_list<index_list> const& list,
                   per_list<std::uint32_t> const& index, carrier_coder const& coder) {
  scatter_call s;
  s.count.most = most;
  s.list = {list.data, list.source_bytes, list.item_bytes};
  s.index = {index.data, index.source_bytes, index.item_bytes};
  s.carrier = coder.decode(q, {&list.data->count, list.source_bytes, list.item_bytes});
  scatter_sum(q, c, s);
}
template <class Queue>
void decode_selected(Queue q, fused_decode_call const& c, std::uint64_t most, index_layout const& layout,
                     std::uint64_t header, carrier_coder const& coder) {
  index_read_call const r = read_indices(q, c, most, layout, header);
  decode_listed(q, c, most, r.list, r.index, coder);
}

}  // namespace detail
CCOMP_END
