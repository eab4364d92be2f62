#pragma once
/// Build configuration: the library's namespaces, host/device annotation, and what it refuses to be built with.

#include <bit>

#if __cplusplus < 202002L
#error "ccomp needs C++20: compile with -std=c++20"
#endif
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ == 1)
#error "ccomp cannot keep its guarantees (same bytes everywhere, NaN and Inf) under -ffast-math or -ffinite-math-only"
#endif

static_assert(std::endian::native == std::endian::little,
              "ccomp: payloads are little-endian; big-endian CPUs are not supported");

#if defined(__CUDACC__)
#define CCOMP_HD __host__ __device__
#else
#define CCOMP_HD
#endif
// Headers of stages bring their kernels where those can be compiled: by nvcc, and where a simulator of GPUs is included
// before.
#if defined(__CUDACC__) || defined(CCOMP_CUDA_SIM)
#define CCOMP_DEVICE_CODE 1
#else
#define CCOMP_DEVICE_CODE 0
#endif

// x86 variants of the hot loops are chosen at run time; elsewhere the plain loops serve.
#if (defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))) && !defined(CCOMP_NO_X86_VARIANTS)
#define CCOMP_X86_VARIANTS 1
#else
#define CCOMP_X86_VARIANTS 0
#endif

// Two translation units compiled with other flags must not share an inline function: the linker keeps one copy of
// each, and the copy with AVX-512 in it would run on a machine without. The flags are therefore part of the name.
#if defined(_OPENMP)
#define CCOMP_TAG_THREADS omp
#else
#define CCOMP_TAG_THREADS thr
#endif
#if defined(__AVX512F__)
#define CCOMP_TAG_TARGET avx512
#elif defined(__AVX2__)
#define CCOMP_TAG_TARGET avx2
#else
#define CCOMP_TAG_TARGET base
#endif
#if CCOMP_X86_VARIANTS
#define CCOMP_TAG_VARIANTS x86
#else
#define CCOMP_TAG_VARIANTS plain
#endif
// CCOMP_COMPILED: the program links ccomp::compiled, so that its own files only see declarations of what is compiled there.
// nvcc compiles everything itself.
#if defined(CCOMP_COMPILED) && !defined(__CUDACC__)
#define CCOMP_LINKED 1
#define CCOMP_FUNCTION
#else
#define CCOMP_LINKED 0
#define CCOMP_FUNCTION inline
#endif
#if CCOMP_LINKED && !defined(CCOMP_COMPILED_SOURCE)
#define CCOMP_DEFINITIONS 0
#else
#define CCOMP_DEFINITIONS 1
#endif
// Before an instantiation that ccomp::compiled holds, in its own source and in files that only see the declaration.
#if CCOMP_DEFINITIONS
#define CCOMP_INSTANTIATION template
#else
#define CCOMP_INSTANTIATION extern template
#endif
#if defined(__CUDACC__)
#define CCOMP_TAG_CODE cuda
#elif CCOMP_LINKED
#define CCOMP_TAG_CODE compiled
#else
#define CCOMP_TAG_CODE host
#endif
#define CCOMP_PASTE_(a, b, c, d, e) a##_##b##_##c##_##d##_##e
#define CCOMP_PASTE(a, b, c, d, e) CCOMP_PASTE_(a, b, c, d, e)
#define CCOMP_BUILD_TAG CCOMP_PASTE(v0, CCOMP_TAG_THREADS, CCOMP_TAG_TARGET, CCOMP_TAG_VARIANTS, CCOMP_TAG_CODE)

#define CCOMP_AS_TEXT(a) #a
#define CCOMP_TEXT(a) CCOMP_AS_TEXT(a)
#if CCOMP_LINKED
namespace ccomp::formats {
/// What ccomp::compiled was compiled as; only CMake's and pkg-config's files of ccomp tell.
consteval bool compiled_alike(char const* linked, char const* here) {
  if (linked[0] != 'v') return true;
  while (*linked != 0 && *linked == *here) ++linked, ++here;
  return *linked == *here;
}
}  // namespace ccomp::formats
static_assert(ccomp::formats::compiled_alike(CCOMP_TEXT(CCOMP_COMPILED), CCOMP_TEXT(CCOMP_BUILD_TAG)),
              "ccomp: this file is compiled as " CCOMP_TEXT(CCOMP_BUILD_TAG) ", but ccomp::compiled as " CCOMP_TEXT(
                  CCOMP_COMPILED) "; give both the same flags for OpenMP and instruction sets, or use ccomp::ccomp");
#endif

/// Everything with a loop in it stands between these two; `namespace ccomp` itself holds only vocabulary (element
/// types, errors).
#define CCOMP_BEGIN \
  namespace ccomp { \
  inline namespace CCOMP_BUILD_TAG {
#define CCOMP_END \
  }               \
  }

CCOMP_BEGIN
namespace detail {
/// True for the library's own stages, which ccomp::compiled holds. Their headers specialise it, behind the stage.
template <class S> inline constexpr bool standard_stage = false;
/// A table of a standard stage, where ccomp::compiled is linked. Only compiled.cpp defines it.
template <class Table, class S> Table const& compiled_table();
}  // namespace detail
CCOMP_END

#define CCOMP_RESTRICT __restrict__

// Whether functions may ask g++ for -Os. With AddressSanitizer they may not: frames of such functions are never given back
// (detect_stack_use_after_return=1), and a program that calls them often gets slower and slower.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && !defined(__SANITIZE_ADDRESS__)
#define CCOMP_SMALL_FUNCTIONS 1
#else
#define CCOMP_SMALL_FUNCTIONS 0
#endif

// [[CCOMP_SMALL]]: a function that makes text or sets something up. With -O2, g++ compiles it faster and smaller. (gnu::cold
// would tell callers that they, too, hardly ever run: that is for errors.)
#if CCOMP_SMALL_FUNCTIONS && defined(__OPTIMIZE__)
#define CCOMP_SMALL gnu::optimize("Os")
#else
#define CCOMP_SMALL
#endif

// Before a loop of the host: unrolled so many times. nvcc's front end does not know the pragma.
#if defined(__CUDACC__)
#define CCOMP_HOST_UNROLL(n)
#else
#define CCOMP_HOST_UNROLL(n) CCOMP_PRAGMA(GCC unroll n)
#define CCOMP_PRAGMA(text) _Pragma(#text)
#endif

// A product that feeds a sum must not become a fused multiply-add on one machine and not on another.
#if defined(__clang__)
#define CCOMP_NO_CONTRACTION _Pragma("clang fp contract(off)")
#else
#define CCOMP_NO_CONTRACTION
#endif
