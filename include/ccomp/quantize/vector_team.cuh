#pragma once
/// What quantizers of vectors share on a GPU: which vectors a thread has, and sums over those of a block.

#include <ccomp/device_stage.cuh>

CCOMP_BEGIN
namespace detail {

/// A thread block sees to one tile; each thread has so many values, in vectors of `Dim`.
inline constexpr unsigned vector_thread_values = 16;
static_assert(vector_threads * vector_thread_values == tile_values);

/// A thread's vectors of a block of the tensor. Its threads are a team; vector j of a thread is number j * team + member of
/// the block, so that halves of the block are halves of j first.
template <unsigned Dim> struct vector_team {
  static constexpr unsigned each = vector_thread_values / Dim;
  unsigned size, member;
  std::uint64_t begin, values;  // of the block: its first value, and how many it has; 0 behind the tensor's end

  __device__ vector_team(unsigned block, std::uint64_t n)
      : size(block / vector_thread_values),
        member(threadIdx.x % size),
        begin(std::uint64_t{blockIdx.x} * tile_values + (threadIdx.x - member) * vector_thread_values),
        values(begin >= n          ? 0
               : n - begin < block ? n - begin
                                   : block) {}
  /// The first value of vector j.
  __device__ std::uint64_t first(unsigned j) const { return begin + (j * size + member) * Dim; }
  __device__ void load(device_values const& in, std::uint64_t n, float (&x)[each][Dim]) const {
    CCOMP_UNROLL
    for (unsigned j = 0; j < each; ++j) {
      CCOMP_UNROLL
      for (unsigned i = 0; i < Dim; i += 4) {
        float quad[4];
        if constexpr (Dim % 4 == 0) {
          load_quad(in, first(j) + i, n, quad);
        } else {
          CCOMP_UNROLL
          for (unsigned c = 0; c < Dim; ++c) quad[c] = first(j) + c < n ? load_value(in, first(j) + c) : 0.0f;
        }
        CCOMP_UNROLL
        for (unsigned c = 0; c < 4 && c < Dim; ++c) x[j][i + c] = quad[c];
      }
    }
  }
  /// The sum over the block by halves, of a term per vector; all threads of the team get it.
  __device__ double fold(double (&terms)[each], double (&shared)[vector_threads]) const {
    CCOMP_UNROLL
    for (unsigned half = each / 2; half > 0; half /= 2) {
      CCOMP_UNROLL
      for (unsigned j = 0; j < half; ++j) terms[j] = add(terms[j], terms[j + half]);
    }
    __syncthreads();  // what was here before has been read
    shared[threadIdx.x] = terms[0];
    __syncthreads();
    for (unsigned half = size / 2; half > 0; half /= 2) {
      if (member < half) shared[threadIdx.x] = add(shared[threadIdx.x], shared[threadIdx.x + half]);
      __syncthreads();
    }
    return shared[threadIdx.x - member];
  }
};
/// The squared length of each vector.
template <unsigned Each, unsigned Dim>
__device__ void square_vectors(float const (&x)[Each][Dim], double (&terms)[Each]) {
  CCOMP_UNROLL
  for (unsigned j = 0; j < Each; ++j) {
    terms[j] = 0;
    CCOMP_UNROLL
    for (unsigned i = 0; i < Dim; ++i) {
      auto const d = static_cast<double>(x[j][i]);
      terms[j] = add(terms[j], mul(d, d));
    }
  }
}

}  // namespace detail
CCOMP_END
