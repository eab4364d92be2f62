#pragma once
/// Vectors of 32 and 64 bytes, and the few x86 instructions that no compiler finds in plain code, in assembly.
/// (Not immintrin.h: g++ 12 reads it for longer than vector, string, span and thread together; ADR 21.)

#include <ccomp/engine/host/isa.hpp>
#include <ccomp/engine/host/vector_types.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

CCOMP_BEGIN
namespace detail {

#if CCOMP_X86_VARIANTS
#if defined(__clang__)
#define CCOMP_X86_TARGET(targets) gnu::target(targets)
#else
#define CCOMP_X86_TARGET(targets) gnu::target(targets), gnu::optimize("O3")
#endif

// All are forced inline, and take vectors by reference: by value they would have another calling convention in each
// variant.
template <class V, class T> [[gnu::always_inline]] inline void load_vector(V& to, T const* from) {
  std::memcpy(&to, from, sizeof to);
}
template <class V, class T> [[gnu::always_inline]] inline void store_vector(V const& from, T* to) {
  std::memcpy(to, &from, sizeof from);
}

// fused_less: x - y z, rounded once. multiply_low_halves: the products of the low halves of 64-bit lanes. widen_halves, narrow_to_halves: half precision to
// float and back, to the nearest even; a NaN stays one, and what is too large becomes Inf. stream_vector: a store past the
// caches, to an aligned place.
#if defined(__clang__)  // finds them; and takes no such assembly in functions without the target
template <class V> [[gnu::always_inline]] inline void fused_less(V& x, V const& y, V const& z) {
#pragma clang fp contract(on)
  x = x - y * z;
}
template <class V> [[gnu::always_inline]] inline void multiply_low_halves(V const& a, V const& b, V& product) {
  product = (a & 0xffffffffu) * (b & 0xffffffffu);
}
template <class Half, class V> [[gnu::always_inline]] inline void widen_halves(Half const& half, V& x) {
  using half_floats [[gnu::vector_size(sizeof(Half))]] = _Float16;
  half_floats h;
  load_vector(h, &half);
  x = __builtin_convertvector(h, V);
}
template <class V, class Half> [[gnu::always_inline]] inline void narrow_to_halves(V const& x, Half& half) {
  using half_floats [[gnu::vector_size(sizeof(Half))]] = _Float16;
  half_floats const h = __builtin_convertvector(x, half_floats);
  store_vector(h, &half);
}
template <class V> [[gnu::always_inline]] inline void stream_vector(V const& x, std::byte* to) {
  __builtin_nontemporal_store(x, reinterpret_cast<V*>(to));
}
#else
template <class V> [[gnu::always_inline]] inline void fused_less(V& x, V const& y, V const& z) {
  asm("vfnmadd231ps {%2, %1, %0|%0, %1, %2}" : "+v"(x) : "v"(y), "v"(z));
}
template <class V> [[gnu::always_inline]] inline void multiply_low_halves(V const& a, V const& b, V& product) {
  asm("vpmuludq {%2, %1, %0|%0, %1, %2}" : "=v"(product) : "v"(a), "v"(b));
}
template <class Half, class V> [[gnu::always_inline]] inline void widen_halves(Half const& half, V& x) {
  asm("vcvtph2ps {%1, %0|%0, %1}" : "=v"(x) : "v"(half));
}
template <class V, class Half> [[gnu::always_inline]] inline void narrow_to_halves(V const& x, Half& half) {
  asm("vcvtps2ph {$0, %1, %0|%0, %1, 0}" : "=v"(half) : "v"(x));
}
template <class V> [[gnu::always_inline]] inline void stream_vector(V const& x, std::byte* to) {
  asm volatile("vmovntdq {%1, %0|%0, %1}" : "=m"(*reinterpret_cast<V*>(to)) : "v"(x));
}
#endif
/// What was streamed before is visible to other threads before what is stored after.
inline void stream_fence() { asm volatile("sfence" ::: "memory"); }

/// The signs of the lanes, lane 0 in the lowest bit.
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX2), gnu::always_inline]] inline unsigned sign_bits(int_x8 const& x) {
  unsigned bits;
  asm("vmovmskps {%1, %0|%0, %1}" : "=r"(bits) : "x"(x));
  return bits;
}
/// Eight bytes to eight lanes.
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX2), gnu::always_inline]] inline void widen_bytes(std::uint8_t const (&from)[8],
                                                                                    int_x8& to) {
  asm("vpmovzxbd {%1, %0|%0, %1}" : "=x"(to) : "m"(from));
}
/// Where an unsigned lane of x is at least that of bound, among the lanes of `inside`: the lanes of `from` side by side,
/// zeros after them. Returns the set of these lanes.
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX512), gnu::always_inline]] inline unsigned compress_reaching(
    int_x16 const& x, int_x16 const& bound, unsigned inside, int_x16 const& from, int_x16& to) {
  unsigned set;
  asm("kmovw {%[inside], %%k1|k1, %[inside]}\n\t"
      "vpcmpnltud {%[bound], %[x], %%k1%{%%k1%}|k1%{k1%}, %[x], %[bound]}\n\t"
      "vpcompressd {%[from], %[to]%{%%k1%}%{z%}|%[to]%{k1%}%{z%}, %[from]}\n\t"
      "kmovw {%%k1, %[set]|%[set], k1}"
      : [to] "=v"(to), [set] "=r"(set)
      : [x] "v"(x), [bound] "v"(bound), [from] "v"(from), [inside] "r"(inside)
      : "k1");
  return set;
}

/// Lanes i and i ^ D change places. (Written out: nvcc's front end does not expand a pack here.)
template <int D, class V> [[gnu::always_inline]] inline void swap_lanes(V const& x, V& swapped) {
  if constexpr (sizeof(V) / sizeof(x[0]) == 8)
    swapped = __builtin_shufflevector(x, x, 0 ^ D, 1 ^ D, 2 ^ D, 3 ^ D, 4 ^ D, 5 ^ D, 6 ^ D, 7 ^ D);
  else
    swapped = __builtin_shufflevector(x, x, 0 ^ D, 1 ^ D, 2 ^ D, 3 ^ D, 4 ^ D, 5 ^ D, 6 ^ D, 7 ^ D, 8 ^ D, 9 ^ D,
                                      10 ^ D, 11 ^ D, 12 ^ D, 13 ^ D, 14 ^ D, 15 ^ D);
}
#endif

}  // namespace detail
CCOMP_END
