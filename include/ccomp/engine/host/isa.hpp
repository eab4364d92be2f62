#pragma once
/// Runs one plain loop as the variant of it that was compiled for an instruction set.
///
/// `flatten` inlines the generic loop into a function compiled for that target, so one loop serves every instruction
/// set, and a consumer's plain -O2 build is as fast as -march=native. No variant contracts a product and a sum.
///
/// With g++, variants are vectorised as -O3 does, but not otherwise optimised at -O3: it would unroll every loop of a
/// constant length and copy loops for conditions, two fifths more code for loops that are no faster. Loops that keep sums
/// in registers say CCOMP_HOST_UNROLL.

#include <ccomp/core/host_exec.hpp>

CCOMP_BEGIN
namespace detail {

#if defined(__clang__)
#define CCOMP_VARIANT gnu::flatten, gnu::noinline
#define CCOMP_PLAIN_VARIANT CCOMP_VARIANT
#else
#define CCOMP_VARIANT \
  gnu::flatten, gnu::noinline, gnu::optimize("O2", "tree-loop-vectorize", "vect-cost-model=dynamic", "fp-contract=off")
#if CCOMP_X86_VARIANTS && CCOMP_SMALL_FUNCTIONS
// CPUs without AVX2 are old: for them, loops are right, but not worth the time that vectors take g++. -Os costs scalar
// loops no speed.
#define CCOMP_PLAIN_VARIANT gnu::flatten, gnu::noinline, gnu::optimize("Os", "fp-contract=off")
#else
#define CCOMP_PLAIN_VARIANT CCOMP_VARIANT
#endif
#endif

#if defined(__clang__)  // it blames these functions for a loop that it was asked to vectorise and could not
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpass-failed"
#endif
template <class F> [[CCOMP_PLAIN_VARIANT]] void run_baseline(F const& f) { f(); }
#if CCOMP_X86_VARIANTS
#define CCOMP_TARGET_AVX2 "avx2,fma,bmi,bmi2,f16c"
#define CCOMP_TARGET_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi,bmi2,f16c"
template <class F> [[CCOMP_VARIANT, gnu::target(CCOMP_TARGET_AVX2)]] void run_avx2(F const& f) { f(); }
template <class F> [[CCOMP_VARIANT, gnu::target(CCOMP_TARGET_AVX512)]] void run_avx512(F const& f) { f(); }
#endif
#if defined(__clang__)
#pragma clang diagnostic pop
#endif

/// `f` must be a leaf: loops over plain memory, nothing that throws or allocates. For loops that wait for memory, or whose
/// vectors are narrow: AVX-512 gains nothing there, and compiles as long.
template <class F> inline void run_narrow(instruction_set isa, F const& f) {
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512 || isa == instruction_set::avx2) return run_avx2(f);
#endif
  static_cast<void>(isa);
  run_baseline(f);
}
/// The same for all other loops.
template <class F> inline void run(instruction_set isa, F const& f) {
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512) return run_avx512(f);
#endif
  run_narrow(isa, f);
}

}  // namespace detail
CCOMP_END
