#pragma once
/// approximate_top_k on GPUs.

#include <ccomp/sparsify/approximate_top_k.hpp>
#include <ccomp/sparsify/selected.cuh>

CCOMP_BEGIN
namespace detail {

/// The search of one item, as its kernels hand it on.
struct bound_trial {
  bound_search search;
  std::uint32_t key;           // that is tried
  unsigned long long reached;  // how many values reach it
};

CCOMP_KERNEL __launch_bounds__(vector_threads)
    sample_kernel(vector_source items, per_item<float> sample, std::uint64_t count) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x;
  vector_source const source = items.mine();
  if (i < count) sample.mine()[i] = source.value(sample_place(i, source.n, count));
}

inline constexpr unsigned sampled_each = static_cast<unsigned>(bound_search::most_sampled) / vector_threads;

/// One thread block: judges the last trial, and finds the key of the next one, or ends the search. `number` counts trials.
CCOMP_KERNEL __launch_bounds__(vector_threads)
    trial_kernel(selection_input input, per_item<float const> sample, per_item<bound_trial> trials, int number) {
  CCOMP_SHARED(unsigned[2][vector_warps], sums);
  bound_trial& trial = *trials.mine();
  if (threadIdx.x == 0) {
    bound_search search = number == 0 ? bound_search(input.what.n, input.what.most) : trial.search;
    if (number > 0 && !search.ended) search.judge(trial.key, trial.reached);
    trial.search = search;
    trial.reached = 0;
    if (search.ended) input.state.mine()->low = search.key - 1;
  }
  __syncthreads();
  bound_search const search = trial.search;
  if (search.ended) return;
  float const* const from = sample.mine();
  std::uint32_t key[sampled_each];
  CCOMP_UNROLL
  for (unsigned j = 0; j < sampled_each; ++j) {
    std::uint64_t const i = j * vector_threads + threadIdx.x;
    key[j] = i < search.sampled ? magnitude_key(from[i]) : 0;
  }
  std::uint32_t low = 0;
  unsigned round = 0;
  for (std::uint32_t bit = 1u << 30; bit > 0; bit >>= 1, ++round) {
    unsigned mine = 0;
    CCOMP_UNROLL
    for (unsigned j = 0; j < sampled_each; ++j) mine += key[j] >= (low | bit) ? 1u : 0u;
    mine = __reduce_add_sync(full_warp, mine);
    auto& row = sums[round % 2];  // a slow thread may still read the other one
    if (threadIdx.x % 32 == 0) row[threadIdx.x / 32] = mine;
    __syncthreads();
    unsigned reaching = 0;
    for (unsigned w = 0; w < vector_warps; ++w) reaching += row[w];
    if (reaching >= search.rank) low |= bit;
  }
  if (threadIdx.x == 0) trial.key = low > 0 ? low : 1;
}

/// Counts the values that reach the key tried.
CCOMP_KERNEL __launch_bounds__(vector_threads) reach_kernel(vector_source items, per_item<bound_trial> trials) {
  bound_trial& trial = *trials.mine();
  if (trial.search.ended) return;
  vector_source const source = items.mine();
  std::uint32_t const key = trial.key;
  unsigned mine = 0;
  std::uint64_t const tiles = ceil_div(source.n, select_values), step = std::uint64_t{gridDim.x} * vector_warps;
  for (std::uint64_t t = std::uint64_t{blockIdx.x} * vector_warps + threadIdx.x / 32; t < tiles; t += step) {
    tile_place const at = source.place(t * select_values);
    CCOMP_UNROLL
    for (int r = 0; r < select_team::rows; ++r) {
      float v[4];
      source.load(at, r, v);  // zeros behind the end, which reach no key
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) mine += magnitude_key(v[c]) >= key ? 1u : 0u;
    }
  }
  mine = __reduce_add_sync(full_warp, mine);
  if (threadIdx.x % 32 == 0 && mine > 0) atomicAdd(&trial.reached, static_cast<unsigned long long>(mine));
}

}  // namespace detail

template <> struct device_stage<approximate_top_k> {
  template <class Queue>
  static void encode(approximate_top_k const& s, Queue const& q, detail::fused_encode_call const& c,
                     detail::carrier_coder const& coder) {
    detail::selection what{c.n, s.carrier_size(c.n), true};
    if (s.keeps_all()) what.value = 0x1p-149f;
    auto const find_bound = [&](Queue& queue, detail::selection_input const& input) {
      std::uint64_t const sampled = detail::bound_search(what.n, what.most).sampled;
      auto const sample = queue.template take_each<float>(sampled, c.items);
      auto const trials = queue.template take_each<detail::bound_trial>(1, c.items);
      queue.run_each("sample", detail::sample_kernel<Queue>, sampled, c.items, c.in, sample, sampled);
      std::uint64_t const few =
          std::clamp<std::uint64_t>(4 * std::uint64_t{queue.multiprocessors()} / c.items, 1, detail::tile_blocks(c.n));
      for (int trial = 0; trial <= detail::bound_search::trials; ++trial) {
        queue.run("trial", detail::trial_kernel<Queue>, 1, c.items, input,
                  per_item<float const>{sample.data, sample.bytes}, trials, trial);
        if (trial < detail::bound_search::trials)
          queue.run("reach", detail::reach_kernel<Queue>, few, c.items, c.in, trials);
      }
    };
    detail::encode_found(
        q, c, what.most, s.layout(c.n), approximate_top_k::header_bytes, coder,
        [&](Queue& queue, per_item<std::uint32_t> index) { return detail::select(queue, c, what, index, find_bound); });
  }
  template <class Queue>
  static void decode(approximate_top_k const& s, Queue const& q, detail::fused_decode_call const& c,
                     detail::carrier_coder const& coder) {
    detail::decode_selected(q, c, s.carrier_size(c.n), s.layout(c.n), approximate_top_k::header_bytes, coder);
  }
};

CCOMP_END
