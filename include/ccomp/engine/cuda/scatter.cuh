#pragma once
/// Puts carriers back where their values came from: sums of several payloads, and residuals.

#include <ccomp/engine/cuda/index_code.cuh>
#include <ccomp/engine/cuda/selection_call.cuh>
#include <ccomp/sparsify/random_k.hpp>

CCOMP_BEGIN
namespace detail {

/// Places that all ranks draw alike, in ascending order: the same for all items and payloads.
struct drawn_places {
  std::uint32_t* index = nullptr;
  std::uint32_t* from = nullptr;  // which entry of the carrier belongs to a place; null: the same
  float* scale = nullptr;         // what decoding multiplies it by; null: nothing

  __device__ std::uint64_t entry(std::uint64_t i) const { return from ? from[i] : i; }
  /// What place i gets of a carrier.
  __device__ float term(float const* carrier, std::uint64_t i) const {
    float const v = carrier[entry(i)];
    return scale ? saturating_mul(v, scale[i]) : v;
  }
};

/// A thread a place.
template <class = void>
__global__ void __launch_bounds__(vector_threads) draw_kernel(selection what, device_random random, drawn_places out) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x, n = what.n, kept = what.kept;
  if (i >= kept) return;
  random_stream const stream = random.stream(what.seed, shared_rank, use_indices, 0);
  bool const in_blocks = what.kind == selection_kind::drawn_blocks;
  // The stretch that entry i lies in: the last that begins at i or before.
  std::uint64_t const parts = in_blocks ? what.blocks : kept, part = in_blocks ? ((i + 1) * parts - 1) / kept : i;
  std::uint64_t const start = stretch_begin(n, parts, part), size = stretch_begin(n, parts, part + 1) - start;
  std::uint64_t const entry = stretch_begin(kept, parts, part), length = stretch_begin(kept, parts, part + 1) - entry;
  std::uint64_t const place = below(random_bits32(stream, 2 * part), random_bits32(stream, 2 * part + 1), size);
  // What goes on at the stretch's start stands last in the carrier and first in the tensor.
  std::uint64_t const before_end = size - place < length ? size - place : length, around = length - before_end;
  std::uint64_t const at = i - entry;
  bool const wrapped = at < around;
  out.index[i] = static_cast<std::uint32_t>(start + (wrapped ? at : place + at - around));
  if (out.from) out.from[i] = static_cast<std::uint32_t>(entry + (wrapped ? before_end + at : at - around));
  if (out.scale) out.scale[i] = div(static_cast<float>(size), static_cast<float>(length));
}
/// carrier = the values at the places.
template <class = void>
__global__ void __launch_bounds__(vector_threads)
    gather_drawn(vector_source items, std::uint64_t kept, drawn_places places, per_item<float> carrier) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x;
  if (i < kept) carrier.mine()[places.entry(i)] = items.mine().value(places.index[i]);
}

struct scatter_call {
  std::uint64_t n = 0, kept = 0;
  unsigned sources = 1;
  per_list<std::uint32_t const> index{};
  per_list<index_list const> list{};      // null: `kept` good ones,
  per_item<std::uint32_t const> count{};  //   or as many as the device has counted
  drawn_places places{};                  // of carriers
  per_list<float const> carrier{};
  device_values out{};
  std::uint64_t stride = 0;  // of items in `out`, values
  bool finish = true;        // no transforms are to be undone first
  float divisor = 1;
  bool add_to_out = false;

  __device__ std::uint32_t size(std::uint64_t item, std::uint64_t source) const {
    if (list.data) return list.of(item, source)->size();
    return count.data ? *count.of(item) : static_cast<std::uint32_t>(kept);
  }
};

/// The first of `count` indices that is at least `bound`. The warp looks at 32 places at a time. Whatever the list, the
/// result is one of its places or its end.
__device__ inline std::uint32_t lower_bound(std::uint32_t const* index, std::uint32_t count, std::uint64_t bound,
                                            unsigned lane) {
  std::uint32_t low = 0, size = count;
  while (size > 0) {
    std::uint32_t const step = (size - 1) / 32 + 1;
    std::uint64_t const last = std::uint64_t{lane + 1} * step - 1;  // of the lane's part
    bool const smaller = last < size && index[low + last] < bound;
    auto const parts = static_cast<std::uint32_t>(__popc(__ballot_sync(full_warp, smaller)));
    std::uint32_t const skip = parts * step;
    low += skip;
    size = size - skip < step - 1 ? size - skip : step - 1;
  }
  return low;
}

inline constexpr std::uint64_t scatter_values = 4096;

/// A thread block owns a range of the output: it adds the payloads' values there in their order, and writes once.
template <class = void> __global__ void __launch_bounds__(vector_threads) scatter_kernel(scatter_call k) {
  CCOMP_SHARED(float[scatter_values], sums);
  CCOMP_SHARED(std::uint32_t[vector_warps], bounds);
  constexpr unsigned together = vector_warps / 2;  // sources whose ranges are looked up at once
  unsigned const warp = threadIdx.x / 32, lane = threadIdx.x % 32, item = blockIdx.y;
  std::uint64_t const begin = blockIdx.x * scatter_values,
                      end = k.n - begin < scatter_values ? k.n : begin + scatter_values;
  for (unsigned i = threadIdx.x; i < scatter_values; i += vector_threads) sums[i] = 0;
  for (unsigned first = 0; first < k.sources; first += together) {
    __syncthreads();
    if (unsigned const s = first + warp / 2; s < k.sources) {
      std::uint32_t const found = lower_bound(k.index.of(item, s), k.size(item, s), warp % 2 ? end : begin, lane);
      if (lane == 0) bounds[warp] = found;
    }
    __syncthreads();
    for (unsigned j = 0; j < together && first + j < k.sources; ++j) {
      auto const* const index = k.index.of(item, first + j);
      auto const* const carrier = k.carrier.of(item, first + j);
      for (std::uint64_t e = bounds[2 * j] + threadIdx.x; e < bounds[2 * j + 1]; e += vector_threads) {
        std::uint64_t const i = index[e];
        if (i < begin || i >= end) continue;
        float const term = k.places.term(carrier, e);
        sums[i - begin] = k.sources == 1 ? canonical(term) : add(sums[i - begin], term);
      }
      __syncthreads();
    }
  }
  device_values const out = advanced(k.out, item * k.stride);
  bool const finish = k.finish && (k.sources > 1 || k.divisor != 1.0f);
  for (std::uint64_t i = begin + 4 * threadIdx.x; i < end; i += 4 * vector_threads) {
    float v[4], old[4];
    if (k.add_to_out) load_quad(out, i, k.n, old);
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c) v[c] = sums[i - begin + c];
    if (finish) finish_sum(v, k.divisor);
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c)
      if (k.add_to_out) v[c] = canonical(add(old[c], v[c]));
    store_quad(out, i, k.n, v);
  }
}

/// Takes what was sent off the residual, which holds all so far. A value that is not finite left the residual as it was,
/// and it stays so.
struct settle_call {
  vector_source source{};
  std::uint64_t kept = 0;
  per_item<std::uint32_t const> count{};  // or as many as the device has counted
  per_item<std::uint32_t const> index{};
  drawn_places places{};
  per_item<float const> sent{}, back{};  // the carrier before it was coded, and as the payload gives it back
};
template <class = void> __global__ void __launch_bounds__(vector_threads) settle_kernel(settle_call k) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x;
  if (i >= (k.count.data ? *k.count.mine() : k.kept)) return;
  vector_source const source = k.source.mine();
  float const v = k.sent.mine()[k.places.entry(i)];
  if (!is_finite(v)) return;
  float const rest = add_signed(v, -1.0f, k.places.term(k.back.mine(), i));
  std::uint32_t const at = k.index.mine()[i];
  if (source.residual.type == element_type::bfloat16) {
    random_stream const stream = source.random.stream(0, source.random.rank, use_residual, source.phase);
    static_cast<std::uint16_t*>(source.residual.data)[at] =
        stochastic_bfloat16(rest, random_bits16(stream, source.first + at));
  } else {
    static_cast<float*>(source.residual.data)[at] = rest;
  }
}

/// leave:  the residual becomes the sum with the input, as if nothing were sent
/// copy:   `values` becomes that sum
/// settle: the residual becomes that sum less `values`
/// add:    the residual becomes its sum with `values`
enum class residual_step { leave, copy, settle, add };

template <class = void>
__global__ void __launch_bounds__(vector_threads)
    residual_kernel(vector_source items, residual_step step, float* values) {
  vector_source const source = items.mine();
  std::uint64_t const base = (std::uint64_t{blockIdx.x} * vector_warps + threadIdx.x / 32) * select_values;
  if (base >= source.n) return;
  tile_place const at = source.place(base);
  device_values const other = advanced({values, element_type::float32}, blockIdx.y * source.n);
  CCOMP_UNROLL
  for (int r = 0; r < select_team::rows; ++r) {
    float v[4], term[4];
    if (step == residual_step::add)
      load_quad(source.residual, at.index(r), at.n, v);
    else
      source.load(at, r, v);
    if (step == residual_step::copy) {
      store_quad(other, at.index(r), at.n, v);
      continue;
    }
    if (step == residual_step::settle || step == residual_step::add) {
      load_quad(other, at.index(r), at.n, term);
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) {
        // What is not finite is not stored.
        v[c] = step == residual_step::add ? add(v[c], term[c])
               : is_finite(v[c])          ? add_signed(v[c], -1.0f, term[c])
                                          : v[c];
      }
    }
    source.leave(at, r, v);
  }
}

}  // namespace detail
CCOMP_END
