#pragma once
/// block_threshold on GPUs: the selection of threshold, over the root mean squares of the blocks.

#include <ccomp/sparsify/block_threshold.hpp>
#include <ccomp/sparsify/selected.cuh>

CCOMP_BEGIN
namespace detail {

/// Sums the squares of each piece, by a warp for each tile. Pieces are blocks, whose root mean squares become `means`;
/// without those they are tiles of one block. `largest` of a piece: the key of its mean, 0 if it holds what is not finite;
/// of a tile: whether it does.
CCOMP_KERNEL __launch_bounds__(vector_threads)
    block_squares(vector_source items, unsigned piece, per_item<tile_norm> norms, per_item<float> means) {
  vector_source const source = items.mine();
  std::uint64_t const tile = std::uint64_t{blockIdx.x} * vector_warps + threadIdx.x / 32;
  if (tile * norm_values >= source.n) return;
  tile_place const at = source.place(tile * norm_values);
  unsigned const team = (piece < row_values ? piece : static_cast<unsigned>(row_values)) / 4;
  int const rows = piece > row_values ? static_cast<int>(piece / row_values) : 1;  // of a piece
  lane_statistic<finite_squares> squares;
  std::uint32_t largest = 0;
  for (int r = 0; r < static_cast<int>(norm_values / row_values); ++r) {
    float v[4];
    source.load(at, r, v);
    squares.add_row(v, at.count(r));
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) largest = magnitude_key(v[c]) > largest ? magnitude_key(v[c]) : largest;
    if ((r + 1) % rows > 0) continue;
    double const sum = squares.finish(team).sum[0];
    for (unsigned d = team / 2; d > 0; d /= 2) {
      std::uint32_t const other = __shfl_xor_sync(full_warp, largest, static_cast<int>(d));
      largest = other > largest ? other : largest;
    }
    std::uint64_t const number = at.index(r) / piece, first = number * piece;
    if (at.lane % team == 0 && first < source.n) {
      bool const bad = largest >= inf_bits;
      tile_norm norm{sum, bad ? 1u : 0u};
      if (means.data) {
        float const mean = root_mean_square(sum, source.n - first < piece ? source.n - first : piece, bad);
        means.mine()[number] = mean;
        norm.largest = bad ? 0 : magnitude_key(mean);
      }
      norms.mine()[number] = norm;
    }
    squares = {};
    largest = 0;
  }
}

/// The one mean of a tensor that is one block.
CCOMP_KERNEL __launch_bounds__(vector_threads)
    whole_mean(std::uint64_t n, per_item<tile_norm> norms, per_item<float> means) {
  CCOMP_SHARED(double[row_values], sums);
  CCOMP_SHARED(std::uint32_t[vector_warps], keys);
  tile_norm const all = sum_norms(norms.mine(), ceil_div(n, norm_values), sums, keys);
  if (threadIdx.x == 0) *means.mine() = root_mean_square(all.squares, n, all.largest > 0);
}

/// The bound relative to the root mean square of n values in `blocks` blocks.
CCOMP_KERNEL __launch_bounds__(vector_threads)
    block_bound(selection_input input, std::uint64_t n, per_item<tile_norm> norms) {
  CCOMP_SHARED(double[row_values], sums);
  CCOMP_SHARED(std::uint32_t[vector_warps], keys);
  tile_norm const all = sum_norms(norms.mine(), input.what.n, sums, keys);
  if (threadIdx.x != 0) return;
  float const bound = relative_bound(input.what.relative, all.squares, n, bits_float(all.largest));
  input.state.mine()->low = reaching_key(bound) - 1;
}

/// Blocks of a tensor of n values; the last one may be shorter.
struct block_cut {
  std::uint64_t n = 0, size = 0;

  /// How many values `count` blocks hold, the last of them number `last`.
  __device__ std::uint32_t values(std::uint64_t count, std::uint64_t last) const {
    std::uint64_t const end = (last + 1) * size;
    return static_cast<std::uint32_t>(count * size - (end > n ? end - n : 0));
  }
};

/// The values of the blocks selected, and their places.
struct expand_call {
  vector_source source{};
  block_cut cut{};
  entry_count count{};
  per_item<std::uint32_t const> number{};
  per_item<std::uint32_t> values{}, index{};  // how many, and where
  per_item<float> carrier{};
};
CCOMP_KERNEL __launch_bounds__(vector_threads) expand_blocks(expand_call call) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x, block = i / call.cut.size;
  std::uint64_t const count = call.count.mine();
  auto const* const number = call.number.mine();
  if (i == 0) *call.values.mine() = count > 0 ? call.cut.values(count, number[count - 1]) : 0;
  if (block >= count) return;
  std::uint64_t const at = number[block] * call.cut.size + i % call.cut.size;
  if (at >= call.cut.n) return;
  call.index.mine()[i] = static_cast<std::uint32_t>(at);
  call.carrier.mine()[i] = call.source.mine().value(at);
}

/// The places of the values in the blocks that payloads say.
struct expand_list_call {
  block_cut cut{};
  unsigned sources = 1;
  per_list<index_list const> blocks{};
  per_list<std::uint32_t const> number{};
  per_list<index_list> list{};
  per_list<std::uint32_t> index{};
};
CCOMP_KERNEL __launch_bounds__(vector_threads) expand_lists(expand_list_call call) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x, block = i / call.cut.size;
  std::uint32_t const count = call.blocks.mine(call.sources)->size();
  auto const* const number = call.number.mine(call.sources);
  if (i == 0) *call.list.mine(call.sources) = {count > 0 ? call.cut.values(count, number[count - 1]) : 0, 0, 0};
  if (block >= count) return;
  std::uint64_t const at = number[block] * call.cut.size + i % call.cut.size;
  if (at < call.cut.n) call.index.mine(call.sources)[i] = static_cast<std::uint32_t>(at);
}

}  // namespace detail

template <> struct device_stage<block_threshold> {
  template <class Queue>
  static void encode(block_threshold const& s, Queue q, detail::fused_encode_call const& c,
                     detail::carrier_coder const& coder) {
    std::uint64_t const most = s.capacity(c.n), carried = s.carrier_size(c.n), tiles = tiles_of(c.n);
    detail::block_cut const cut{c.n, s.block_size(c.n)};
    auto const norms = q.template take_each<detail::tile_norm>(s.whole_tensor ? tiles : s.blocks(c.n), c.items);
    auto const means = q.template take_each<float>(s.blocks(c.n), c.items);
    unsigned const piece = s.whole_tensor ? static_cast<unsigned>(detail::norm_values) : s.block;
    q.run("block_squares", detail::block_squares<Queue>, detail::ceil_div(tiles, detail::vector_warps), c.items, c.in,
          piece, norms, s.whole_tensor ? per_item<float>{} : means);
    if (s.whole_tensor) q.run("whole_mean", detail::whole_mean<Queue>, 1, c.items, c.n, norms, means);

    detail::fused_encode_call of_means = c;
    of_means.n = s.blocks(c.n);
    of_means.in = {};
    of_means.in.in = {means.data, element_type::float32};
    of_means.in.n = of_means.n;
    of_means.in.stride = means.bytes / sizeof(float);
    of_means.in.random = c.in.random;
    of_means.carrier = q.template take_each<float>(most, c.items);
    auto const number = q.template take_each<std::uint32_t>(most, c.items);
    auto const find_bound = [&](Queue& queue, detail::selection_input const& input) {
      queue.run("block_bound", detail::block_bound<Queue>, 1, c.items, input, c.n, norms);
    };
    detail::selected_entries blocks, values;
    blocks.count = detail::select(q, of_means, {of_means.n, most, true, s.value, s.relative}, number, find_bound);
    blocks.index = {number.data, number.bytes};

    auto const index = q.template take_each<std::uint32_t>(carried, c.items);
    auto const counted = q.template take_each<std::uint32_t>(1, c.items);
    values.count = {carried, {counted.data, counted.bytes}};
    values.index = {index.data, index.bytes};
    q.run_each("expand_blocks", detail::expand_blocks<Queue>, carried, c.items,
               detail::expand_call{c.in, cut, blocks.count, blocks.index, counted, index, c.carrier});
    if (c.feedback == detail::vector_feedback::residual)
      q.run("residual", detail::residual_kernel<Queue>, detail::tile_blocks(c.n), c.items, c.in,
            detail::residual_update::leave, static_cast<float*>(nullptr));
    detail::write_selected_indices(q, c, s.layout(c.n), block_threshold::header_bytes, blocks, values.count);
    detail::settle(q, c, values, coder.encode(q, c.carrier, values.count.counted));
  }
  template <class Queue>
  static void decode(block_threshold const& s, Queue q, detail::fused_decode_call const& c,
                     detail::carrier_coder const& coder) {
    std::uint64_t const carried = s.carrier_size(c.n);
    detail::fused_decode_call of_blocks = c;
    of_blocks.n = s.blocks(c.n);
    auto const r = detail::read_indices(q, of_blocks, s.capacity(c.n), s.layout(c.n), block_threshold::header_bytes);
    detail::expand_list_call e;
    e.cut = {c.n, s.block_size(c.n)};
    e.sources = c.sources;
    e.blocks = {r.list.data, r.list.source_bytes, r.list.item_bytes};
    e.number = {r.index.data, r.index.source_bytes, r.index.item_bytes};
    e.list = detail::take_lists<detail::index_list>(q, c, 1);
    e.index = detail::take_lists<std::uint32_t>(q, c, carried);
    q.run_each("expand_lists", detail::expand_lists<Queue>, carried, c.items * c.sources, e);
    detail::decode_listed(q, c, carried, e.list, e.index, coder);
  }

 private:
  static std::uint64_t tiles_of(std::uint64_t n) { return detail::ceil_div(n, detail::norm_values); }
};

CCOMP_END
