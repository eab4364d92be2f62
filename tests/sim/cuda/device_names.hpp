#pragma once
/// CUDA's device functions and built-in variables, as far as ccomp's kernels use them. Part of cuda_sim.hpp.

#include <bit>

#define CUDA_SIM_HERE ::cuda_sim::where at = ::cuda_sim::where::current()

inline constexpr int warpSize = 32;

// ---- barriers, fences
inline void __syncthreads(CUDA_SIM_HERE) { cuda_sim::block_barrier(false, at); }
inline int __syncthreads_count(int vote, CUDA_SIM_HERE) {
  return static_cast<int>(cuda_sim::block_barrier(vote != 0, at));
}
inline int __syncthreads_or(int vote, CUDA_SIM_HERE) { return cuda_sim::block_barrier(vote != 0, at) != 0; }
inline int __syncthreads_and(int vote, CUDA_SIM_HERE) { return cuda_sim::block_barrier(vote == 0, at) == 0; }
inline void __syncwarp(unsigned mask = ~0u, CUDA_SIM_HERE) { cuda_sim::meet(cuda_sim::warp_op::sync, mask, 0, 0, at); }
inline void __threadfence() { cuda_sim::fence(); }
inline void __threadfence_block() { cuda_sim::fence(); }
inline void __threadfence_system() { cuda_sim::fence(); }
inline void __nanosleep(unsigned, CUDA_SIM_HERE) { cuda_sim::nap(at); }

// ---- warp
template <cuda_sim::shuffled T> T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDA_SIM_HERE) {
  unsigned const within = static_cast<unsigned>(source) & (static_cast<unsigned>(width) - 1);
  return cuda_sim::shuffle(mask, value, cuda_sim::segment(width, at) + within, at);
}
template <cuda_sim::shuffled T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_SIM_HERE) {
  unsigned const own = cuda_sim::lane(), first = cuda_sim::segment(width, at);
  return cuda_sim::shuffle(mask, value, own - first < delta ? own : own - delta, at);
}
template <cuda_sim::shuffled T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_SIM_HERE) {
  unsigned const own = cuda_sim::lane(), end = cuda_sim::segment(width, at) + static_cast<unsigned>(width);
  return cuda_sim::shuffle(mask, value, delta >= end - own ? own : own + delta, at);
}
template <cuda_sim::shuffled T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CUDA_SIM_HERE) {
  unsigned const own = cuda_sim::lane(), end = cuda_sim::segment(width, at) + static_cast<unsigned>(width);
  unsigned const other = own ^ static_cast<unsigned>(bits);
  return cuda_sim::shuffle(mask, value, other >= end ? own : other, at);
}
inline unsigned __ballot_sync(unsigned mask, int vote, CUDA_SIM_HERE) {
  return static_cast<unsigned>(cuda_sim::meet(cuda_sim::warp_op::ballot, mask, vote != 0, 0, at));
}
inline int __any_sync(unsigned mask, int vote, CUDA_SIM_HERE) { return __ballot_sync(mask, vote, at) != 0; }
inline int __all_sync(unsigned mask, int vote, CUDA_SIM_HERE) { return __ballot_sync(mask, vote, at) == mask; }
template <cuda_sim::shuffled T> unsigned __match_any_sync(unsigned mask, T value, CUDA_SIM_HERE) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return static_cast<unsigned>(cuda_sim::meet(cuda_sim::warp_op::match_any, mask, bits, 0, at));
}

#define CUDA_SIM_REDUCE(name, type, op)                                                     \
  inline type name(unsigned mask, type value, CUDA_SIM_HERE) {                              \
    auto const bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(value));         \
    return static_cast<type>(::cuda_sim::meet(::cuda_sim::warp_op::op, mask, bits, 0, at)); \
  }
CUDA_SIM_REDUCE(__reduce_add_sync, unsigned, add)
CUDA_SIM_REDUCE(__reduce_add_sync, int, add)
CUDA_SIM_REDUCE(__reduce_min_sync, unsigned, min_unsigned)
CUDA_SIM_REDUCE(__reduce_min_sync, int, min_signed)
CUDA_SIM_REDUCE(__reduce_max_sync, unsigned, max_unsigned)
CUDA_SIM_REDUCE(__reduce_max_sync, int, max_signed)
CUDA_SIM_REDUCE(__reduce_and_sync, unsigned, bit_and)
CUDA_SIM_REDUCE(__reduce_or_sync, unsigned, bit_or)
CUDA_SIM_REDUCE(__reduce_xor_sync, unsigned, bit_xor)
#undef CUDA_SIM_REDUCE

// ---- bits
inline int __popc(unsigned v) { return std::popcount(v); }
inline int __popcll(unsigned long long v) { return std::popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __ffsll(long long v) { return __builtin_ffsll(v); }
inline int __clz(int v) { return std::countl_zero(static_cast<unsigned>(v)); }
inline int __clzll(long long v) { return std::countl_zero(static_cast<unsigned long long>(v)); }
inline unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (v >> i & 1u) << (31 - i);
  return r;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((std::uint64_t{high} << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((std::uint64_t{high} << 32 | low) >> (shift & 31));
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  std::uint64_t const bytes = std::uint64_t{y} << 32 | x;
  unsigned r = 0;
  for (unsigned i = 0; i < 4; ++i) {
    unsigned const pick = selector >> (4 * i) & 15;
    auto byte = static_cast<unsigned>(bytes >> (8 * (pick & 7)) & 255);
    if (pick & 8) byte = byte & 128 ? 255 : 0;
    r |= byte << (8 * i);
  }
  return r;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(std::uint64_t{a} * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ using wide = unsigned __int128;
  return static_cast<unsigned long long>(static_cast<wide>(a) * b >> 64);
}

inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline int __float_as_int(float v) { return std::bit_cast<int>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline long long __double_as_longlong(double v) { return std::bit_cast<long long>(v); }
inline double __longlong_as_double(long long v) { return std::bit_cast<double>(v); }

// ---- memory
namespace cuda_sim {

/// Checked here because not every compiler's UBSan looks at copies of structs.
template <class T> void expect_aligned(T const* p, where at) {
  if (reinterpret_cast<std::uintptr_t>(p) % alignof(T) != 0) misaligned(sizeof(T), alignof(T), at);
}

}  // namespace cuda_sim

#define CUDA_SIM_LOAD(name)                              \
  template <class T> T name(T const* p, CUDA_SIM_HERE) { \
    ::cuda_sim::expect_aligned(p, at);                   \
    return *p;                                           \
  }
#define CUDA_SIM_STORE(name)                                                         \
  template <class T> void name(T* p, std::type_identity_t<T> value, CUDA_SIM_HERE) { \
    ::cuda_sim::expect_aligned(p, at);                                               \
    *p = value;                                                                      \
  }
CUDA_SIM_LOAD(__ldg)
CUDA_SIM_LOAD(__ldcs)
CUDA_SIM_LOAD(__ldcg)
CUDA_SIM_LOAD(__ldca)
CUDA_SIM_STORE(__stcs)
CUDA_SIM_STORE(__stcg)
#undef CUDA_SIM_LOAD
#undef CUDA_SIM_STORE

namespace cuda_sim {

template <class T, class... Known>
concept any_of = (std::same_as<T, Known> || ...);
template <class T>
concept atomic_word = any_of<T, int, unsigned, unsigned long long>;
template <class T>
concept ordered_word = atomic_word<T> || std::same_as<T, long long>;
template <class T>
concept atomic_number = atomic_word<T> || any_of<T, float, double>;
template <class T>
concept subtracted_word = any_of<T, int, unsigned>;
template <class T>
concept exchanged_word = atomic_word<T> || std::same_as<T, float>;

/// Replaces *p by next(*p) in one step; returns what it was.
template <int Order = __ATOMIC_RELAXED, class T, class Next> T update(T* p, Next next) {
  T seen;
  __atomic_load(p, &seen, __ATOMIC_RELAXED);
  for (;;) {
    T wanted = next(seen);
    if (__atomic_compare_exchange(p, &seen, &wanted, false, Order, __ATOMIC_RELAXED)) return seen;
  }
}

/// Integers wrap round, as on the device.
template <class T> T sum(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using bits = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<bits>(a) + static_cast<bits>(b));
  } else {
    return a + b;
  }
}

}  // namespace cuda_sim

// atomicX(p, v) is of the device's scope, atomicX_system(p, v) of the system's.
#define CUDA_SIM_ATOMIC(name, words, next)                                                       \
  template <words T> T name(T* p, std::type_identity_t<T> v, CUDA_SIM_HERE) {                    \
    ::cuda_sim::expect_own_word(p, at);                                                          \
    return ::cuda_sim::update(p, [v](T old) { return static_cast<T>(next); });                   \
  }                                                                                              \
  template <words T> T name##_system(T* p, std::type_identity_t<T> v) {                          \
    ::cuda_sim::note_system_atomic(p);                                                           \
    return ::cuda_sim::update<__ATOMIC_ACQ_REL>(p, [v](T old) { return static_cast<T>(next); }); \
  }
CUDA_SIM_ATOMIC(atomicAdd, cuda_sim::atomic_number, cuda_sim::sum(old, v))
CUDA_SIM_ATOMIC(atomicSub, cuda_sim::subtracted_word, static_cast<unsigned>(old) - static_cast<unsigned>(v))
CUDA_SIM_ATOMIC(atomicMax, cuda_sim::ordered_word, old < v ? v : old)
CUDA_SIM_ATOMIC(atomicMin, cuda_sim::ordered_word, v < old ? v : old)
CUDA_SIM_ATOMIC(atomicOr, cuda_sim::atomic_word, old | v)
CUDA_SIM_ATOMIC(atomicAnd, cuda_sim::atomic_word, old& v)
CUDA_SIM_ATOMIC(atomicXor, cuda_sim::atomic_word, old ^ v)
CUDA_SIM_ATOMIC(atomicExch, cuda_sim::exchanged_word, (static_cast<void>(old), v))
#undef CUDA_SIM_ATOMIC
template <cuda_sim::atomic_word T>
T atomicCAS(T* p, std::type_identity_t<T> compare, std::type_identity_t<T> v, CUDA_SIM_HERE) {
  cuda_sim::expect_own_word(p, at);
  __atomic_compare_exchange_n(p, &compare, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return compare;
}
template <cuda_sim::atomic_word T>
T atomicCAS_system(T* p, std::type_identity_t<T> compare, std::type_identity_t<T> v) {
  cuda_sim::note_system_atomic(p);
  __atomic_compare_exchange_n(p, &compare, v, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  return compare;
}

#undef CUDA_SIM_HERE

// ---- what must be macros
#define threadIdx (::cuda_sim::thread_index())
#define blockIdx (::cuda_sim::block_index())
#define blockDim (::cuda_sim::block_size())
#define gridDim (::cuda_sim::grid_size())

#define CCOMP_UNROLL
#define CCOMP_ROLLED
#define CCOMP_SHARED(T, name)   \
  static char name##_declared_; \
  std::type_identity_t<T>& name = ::cuda_sim::shared<std::type_identity_t<T>>(&name##_declared_)

#undef __shared__
#define __shared__ static_assert(false, "shared memory is declared with CCOMP_SHARED");
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __grid_constant__
#define __grid_constant__
