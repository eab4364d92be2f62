#pragma once
/// e8_lattice on GPUs.

#include <ccomp/device_stage.cuh>
#include <ccomp/quantize/e8_lattice.hpp>

CCOMP_BEGIN
namespace detail {

/// A thread block sees to one tile; each thread has two vectors of a block, half a block apart, so that block / 16 threads
/// share a block.
inline constexpr unsigned e8_vectors = 2, e8_thread_values = e8_vectors * e8_size;
static_assert(vector_threads * e8_thread_values == tile_values);

/// Where a thread's vectors stand.
struct e8_place {
  unsigned team, member;
  std::uint64_t block_begin, block;  // first value of the block; number of the block

  __device__ explicit e8_place(unsigned block_size)
      : team(block_size / e8_thread_values),
        member(threadIdx.x % team),
        block_begin(std::uint64_t{blockIdx.x} * tile_values + (threadIdx.x - member) * e8_thread_values),
        block(block_begin / block_size) {}
  /// The first value of vector j.
  __device__ std::uint64_t first(unsigned j) const { return block_begin + (j * team + member) * e8_size; }
};

/// The sum over a team, by halves; all of its threads get it.
template <class T> __device__ T fold_team(T mine, unsigned team, T (&shared)[vector_threads]) {
  __syncthreads();  // what was here before has been read
  shared[threadIdx.x] = mine;
  __syncthreads();
  unsigned const member = threadIdx.x % team;
  for (unsigned half = team / 2; half > 0; half /= 2) {
    if (member < half) shared[threadIdx.x] = shared[threadIdx.x] + shared[threadIdx.x + half];
    __syncthreads();
  }
  return shared[threadIdx.x - member];
}

CCOMP_KERNEL __launch_bounds__(vector_threads) encode_e8_kernel(device_encode_call call, unsigned block) {
  CCOMP_SHARED(double[vector_threads], sums);
  CCOMP_SHARED(std::int32_t[vector_threads], lengths);
  e8_place const place(block);
  device_values const in(call.values.mine(), element_type::float32);
  e8_vector x[e8_vectors];
  e8_quarters q[e8_vectors];
  double sum[e8_vectors];
  CCOMP_UNROLL
  for (unsigned j = 0; j < e8_vectors; ++j) {
    float quads[2][4];
    load_quad(in, place.first(j), call.n, quads[0]);
    load_quad(in, place.first(j) + 4, call.n, quads[1]);
    sum[j] = 0;
    CCOMP_UNROLL
    for (int i = 0; i < e8_size; ++i) {
      x[j][i] = quads[i / 4][i % 4];
      auto const d = static_cast<double>(x[j][i]);
      sum[j] = add(sum[j], mul(d, d));
    }
  }
  double const squares = fold_team(add(sum[0], sum[1]), place.team, sums);
  std::uint64_t const size = place.block_begin >= call.n          ? 1
                             : call.n - place.block_begin < block ? call.n - place.block_begin
                                                                  : block;
  float const scale = block_scale(squares, size), inverse = inverse_or_zero(scale, scale > 0);
  std::int32_t length = 0;
  CCOMP_UNROLL
  for (unsigned j = 0; j < e8_vectors; ++j) {
    CCOMP_UNROLL
    for (int i = 0; i < e8_size; ++i) x[j][i] = inverse > 0 ? mul(x[j][i], inverse) : 0.0f;
    nearest_e8(x[j], q[j]);
    if (is_e8_word(q[j]) == 0) word_inside(x[j], q[j]);
    sum[j] = 0;
    CCOMP_UNROLL
    for (int i = 0; i < e8_size; ++i) {
      sum[j] = add(sum[j], static_cast<double>(mul(x[j][i], mul(0.25f, static_cast<float>(q[j][i])))));
      length += place.first(j) + static_cast<unsigned>(i) < call.n ? q[j][i] * q[j][i] : 0;
    }
  }
  double const product = fold_team(add(sum[0], sum[1]), place.team, sums);
  length = fold_team(length, place.team, lengths);
  auto* const codes = reinterpret_cast<std::uint16_t*>(call.side.mine());
  CCOMP_UNROLL
  for (unsigned j = 0; j < e8_vectors; ++j)
    if (place.first(j) < call.n) codes[place.first(j) / e8_size] = static_cast<std::uint16_t>(e8_code(q[j]));
  if (place.member == 0 && place.block_begin < call.n)
    call.carrier.mine()[place.block] = block_gain(squares, scale, product, length / 16.0);
}

/// A thread for each vector.
CCOMP_KERNEL __launch_bounds__(vector_threads) decode_e8_kernel(device_decode_call call, unsigned block) {
  std::uint64_t const v = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x, first = e8_size * v;
  if (first >= call.n) return;
  e8_quarters q;
  e8_word(reinterpret_cast<std::uint16_t const*>(call.side.mine())[v], q);
  float const gain = call.carrier.mine()[first / block];
  CCOMP_UNROLL
  for (int i = 0; i < e8_size; ++i)
    if (first + static_cast<unsigned>(i) < call.n) call.write(first + static_cast<unsigned>(i), e8_value(q[i], gain));
}

}  // namespace detail

template <> struct device_stage<e8_lattice> {
  template <class Queue> static void encode(e8_lattice const& s, Queue const& q, device_encode_call const& c) {
    q.run("encode_e8", detail::encode_e8_kernel<Queue>, detail::ceil_div(c.n, detail::tile_values), c.items, c,
          unsigned{s.block});
  }
  template <class Queue> static void decode(e8_lattice const& s, Queue const& q, device_decode_call const& c) {
    q.run_each("decode_e8", detail::decode_e8_kernel<Queue>, detail::ceil_div(c.n, detail::e8_size), c.items, c,
               unsigned{s.block});
  }
};

CCOMP_END
