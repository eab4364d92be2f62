#pragma once
/// Puts carriers back where their values came from: sums of several payloads, and residuals.

#include <ccomp/engine/cuda/index_code.cuh>
#include <ccomp/engine/cuda/vector_source.cuh>

CCOMP_BEGIN
namespace detail {

/// Ascending places that follow from the stage alone, the same for all items and payloads, and how their carrier lies.
/// Of a stage whose payloads say their places: empty.
struct known_places {
  std::uint32_t* index = nullptr;
  std::uint32_t* from = nullptr;  // which entry of the carrier belongs to a place; null: the same
  float* factor = nullptr;        // what decoding multiplies it by; null: nothing

  __device__ std::uint64_t entry(std::uint64_t i) const { return from ? from[i] : i; }
  /// What place i gets of a carrier.
  __device__ float term(float const* carrier, std::uint64_t i) const {
    float const v = carrier[entry(i)];
    return factor ? saturating_mul(v, factor[i]) : v;
  }
};

/// What is put where.
struct scatter_call {
  std::uint64_t n = 0;
  unsigned sources = 1;
  per_list<std::uint32_t const> index{};
  per_list<index_list const> list{};  // null: `count` good ones
  entry_count count{};
  known_places places{};  // of carriers
  per_list<float const> carrier{};

  __device__ std::uint32_t size(std::uint64_t item, std::uint64_t source) const {
    return list.data ? list.of(item, source)->size() : static_cast<std::uint32_t>(count.of(item));
  }
};

/// The first of `count` indices that is at least `bound`. The warp looks at 32 places at a time. Whatever the list, the
/// result is one of its places or its end.
__device__ inline std::uint32_t lower_bound(std::uint32_t const* index, std::uint32_t count, std::uint64_t bound,
                                            unsigned lane) {
  std::uint32_t low = 0, size = count;
  while (size > 0) {
    std::uint32_t const share = (size - 1) / 32 + 1;
    std::uint64_t const last = std::uint64_t{lane + 1} * share - 1;  // of the lane's part
    bool const smaller = last < size && index[low + last] < bound;
    auto const parts = static_cast<std::uint32_t>(__popc(__ballot_sync(full_warp, smaller)));
    std::uint32_t const skip = parts * share;
    low += skip;
    size = size - skip < share - 1 ? size - skip : share - 1;
  }
  return low;
}

/// As many sums as shared memory holds with room for several thread blocks.
inline constexpr std::uint64_t scatter_values = 4096;

/// A thread block owns a range of the output: it adds the payloads' values there in their order, and writes once.
CCOMP_KERNEL __launch_bounds__(vector_threads) scatter_kernel(scatter_call call, sum_output to) {
  CCOMP_SHARED(float[scatter_values], sums);
  CCOMP_SHARED(std::uint32_t[vector_warps], bounds);
  constexpr unsigned together = vector_warps / 2;  // sources whose ranges are looked up at once
  unsigned const warp = threadIdx.x / 32, lane = threadIdx.x % 32, item = blockIdx.y;
  std::uint64_t const begin = blockIdx.x * scatter_values,
                      end = call.n - begin < scatter_values ? call.n : begin + scatter_values;
  for (unsigned i = threadIdx.x; i < scatter_values; i += vector_threads) sums[i] = 0;
  for (unsigned first = 0; first < call.sources; first += together) {
    __syncthreads();
    if (unsigned const s = first + warp / 2; s < call.sources) {
      std::uint32_t const found = lower_bound(call.index.of(item, s), call.size(item, s), warp % 2 ? end : begin, lane);
      if (lane == 0) bounds[warp] = found;
    }
    __syncthreads();
    for (unsigned j = 0; j < together && first + j < call.sources; ++j) {
      auto const* const index = call.index.of(item, first + j);
      auto const* const carrier = call.carrier.of(item, first + j);
      for (std::uint64_t e = bounds[2 * j] + threadIdx.x; e < bounds[2 * j + 1]; e += vector_threads) {
        std::uint64_t const i = index[e];
        if (i < begin || i >= end) continue;
        float const term = call.places.term(carrier, e);
        sums[i - begin] = call.sources == 1 ? canonical(term) : add(sums[i - begin], term);
      }
      __syncthreads();
    }
  }
  device_values const out = advanced(to.out, item * to.stride);
  bool const finish = to.finish && (call.sources > 1 || to.divisor != 1.0f);
  for (std::uint64_t i = begin + 4 * threadIdx.x; i < end; i += 4 * vector_threads) {
    float v[4], old[4];
    if (to.add_to_out) load_quad(out, i, call.n, old);
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c) v[c] = sums[i - begin + c];
    if (finish) finish_sum(v, to.divisor);
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c)
      if (to.add_to_out) v[c] = canonical(add(old[c], v[c]));
    store_quad(out, i, call.n, v);
  }
}

/// Takes what was sent off the residual, which holds all so far. A value that is not finite left the residual as it was,
/// and it stays so.
struct settle_call {
  vector_source source{};
  entry_count count{};
  per_item<std::uint32_t const> index{};
  known_places places{};
  per_item<float const> sent{}, back{};  // the carrier before it was coded, and as the payload gives it back
};
CCOMP_KERNEL __launch_bounds__(vector_threads) settle_kernel(settle_call call) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x;
  if (i >= call.count.mine()) return;
  vector_source const source = call.source.mine();
  float const v = call.sent.mine()[call.places.entry(i)];
  if (!is_finite(v)) return;
  float const left = add_signed(v, -1.0f, call.places.term(call.back.mine(), i));
  std::uint32_t const at = call.index.mine()[i];
  if (source.residual.type == element_type::bfloat16) {
    random_stream const stream = source.random.stream(0, source.random.rank, use_residual, source.phase);
    static_cast<std::uint16_t*>(source.residual.data)[at] =
        stochastic_bfloat16(left, random_bits16(stream, source.first + at));
  } else {
    static_cast<float*>(source.residual.data)[at] = left;
  }
}

}  // namespace detail
CCOMP_END
