#pragma once
/// Every pass of a quantizer over one tile, derived from its scalar pieces.

#include <ccomp/core/layout.hpp>
#include <ccomp/core/scalar_pieces.hpp>
#include <ccomp/core/stage_facts.hpp>
#include <ccomp/engine/host/isa.hpp>
#include <ccomp/engine/host/memory.hpp>
#include <ccomp/engine/host/statistic.hpp>

#include <cstring>

CCOMP_BEGIN
namespace detail {

template <class P> P load_parameters(std::byte const* at) {
  P p;
  std::memcpy(&p, at, sizeof p);
  return p;
}

/// Values coded between two rounds of prefetching.
inline constexpr std::size_t coding_run = 128;

/// Pieces of the host may code whole batches instead of single values.
template <class S>
[[gnu::always_inline]] inline void code_loop(S const& s, typename S::parameters const p, float const* CCOMP_RESTRICT x,
                                             std::size_t n, std::uint8_t* CCOMP_RESTRICT codes,
                                             std::uint16_t const* CCOMP_RESTRICT random) {
  S const pieces = s;  // a copy no store can alias
  if constexpr (requires { S::batch; }) {
    std::size_t i = 0;
    for (; i + S::batch <= n; i += S::batch) pieces.code_batch(x + i, p, codes + i);
    if (i == n) return;
    float last[S::batch] = {};
    std::uint8_t last_codes[S::batch];
    std::memcpy(last, x + i, (n - i) * sizeof(float));
    pieces.code_batch(last, p, last_codes);
    std::memcpy(codes + i, last_codes, n - i);
  } else if (needs_random<S> && draws_random(pieces)) {
    for (std::size_t i = 0; i < n; ++i) codes[i] = static_cast<std::uint8_t>(pieces.code(x[i], p, random[i]));
  } else {
    for (std::size_t i = 0; i < n; ++i) codes[i] = static_cast<std::uint8_t>(pieces.code(x[i], p, 0));
  }
}
template <class S>
[[gnu::always_inline]] inline void value_loop(S const& s, typename S::parameters const p,
                                              std::uint8_t const* CCOMP_RESTRICT codes, std::size_t n,
                                              float* CCOMP_RESTRICT out) {
  S const pieces = s;
  for (std::size_t i = 0; i < n; ++i) out[i] = pieces.value(codes[i], p);
}
template <class S>
[[gnu::always_inline]] inline void add_value_loop(S const& s, typename S::parameters const p,
                                                  std::uint8_t const* CCOMP_RESTRICT codes, std::size_t n,
                                                  float* CCOMP_RESTRICT out) {
  S const pieces = s;
  for (std::size_t i = 0; i < n; ++i) out[i] = add(out[i], pieces.value(codes[i], p));
}
template <class S>
[[gnu::always_inline]] inline void residual_loop(S const& s, typename S::parameters const p,
                                                 std::uint8_t const* CCOMP_RESTRICT codes, std::size_t n,
                                                 float const* CCOMP_RESTRICT v, float* CCOMP_RESTRICT residual) {
  S const pieces = s;
  for (std::size_t i = 0; i < n; ++i) residual[i] = sub(v[i], pieces.value(codes[i], p));
}

/// Decoding by tables gains nothing from AVX-512: such pieces say `static constexpr bool narrow_codes = true`.
template <class S, class F> void run_codes(instruction_set isa, F const& f) {
  if constexpr (requires { S::narrow_codes; })
    run_narrow(isa, f);
  else
    run(isa, f);
}

/// One tile of n values, in blocks of `block`. All but `encode` is for what `decoder_of` gives, too.
/// (Inlined by force: clang's flatten reaches one call deep only, and what is not inlined into a variant is baseline
/// code.)
template <class S> struct quantizer_tile {
  using parameters = typename S::parameters;

  [[gnu::always_inline]] static void encode(S const& s, std::size_t block, float const* x, std::size_t n,
                                            std::byte* side, std::uint8_t* codes, std::uint16_t const* random,
                                            float const* ahead) {
    for (std::size_t at = 0; at < n; at += block, side += sizeof(parameters)) {
      std::size_t const m = n - at < block ? n - at : block;
      auto const statistic = scan<typename S::statistic>(x + at, m);
      parameters p = bad_parameters<parameters>();
      if (statistic.finite()) {
        p = s.fit(statistic, m);
        std::size_t i = 0;
        for (; i + coding_run <= m; i += coding_run) {
          prefetch_values(ahead + at + i, coding_run);
          code_loop(s, p, x + at + i, coding_run, codes + at + i, random + at + i);
        }
        code_loop(s, p, x + at + i, m - i, codes + at + i, random + at + i);
      } else {
        std::memset(codes + at, 0, m);
      }
      std::memcpy(side, &p, sizeof p);
    }
  }
  [[gnu::always_inline]] static void decode(S const& s, std::size_t block, std::byte const* side,
                                            std::uint8_t const* codes, std::size_t n, float* out) {
    for (std::size_t at = 0; at < n; at += block, side += sizeof(parameters)) {
      std::size_t const m = n - at < block ? n - at : block;
      auto const p = load_parameters<parameters>(side);
      if (good_parameters(p))
        value_loop(s, p, codes + at, m, out + at);
      else
        for (std::size_t i = 0; i < m; ++i) out[at + i] = canonical_nan();
    }
  }
  [[gnu::always_inline]] static void accumulate(S const& s, std::size_t block, std::byte const* side,
                                                std::uint8_t const* codes, std::size_t n, float* out) {
    for (std::size_t at = 0; at < n; at += block, side += sizeof(parameters)) {
      std::size_t const m = n - at < block ? n - at : block;
      auto const p = load_parameters<parameters>(side);
      if (good_parameters(p))
        add_value_loop(s, p, codes + at, m, out + at);
      else
        for (std::size_t i = 0; i < m; ++i) out[at + i] = canonical_nan();
    }
  }
  /// residual = v - decoded; a bad block leaves its residual as it was, so that no NaN ever enters it.
  [[gnu::always_inline]] static void residual(S const& s, std::size_t block, std::byte const* side,
                                              std::uint8_t const* codes, std::size_t n, float const* v,
                                              float* residual) {
    for (std::size_t at = 0; at < n; at += block, side += sizeof(parameters)) {
      std::size_t const m = n - at < block ? n - at : block;
      auto const p = load_parameters<parameters>(side);
      prefetch_values(residual + at + tile_values, m);
      if (good_parameters(p)) residual_loop(s, p, codes + at, m, v + at, residual + at);
    }
  }

  // The variants hang on the pieces alone, so that stages which differ in width only share them.
  static void encode_on(void const* pieces, instruction_set isa, std::size_t block, float const* x, std::size_t n,
                        std::byte* side, std::uint8_t* codes, std::uint16_t const* random, float const* ahead) {
    run(isa, [&, &s = as<S>(pieces)] { encode(s, block, x, n, side, codes, random, ahead); });
  }
  static void decode_on(void const* pieces, instruction_set isa, std::size_t block, std::byte const* side,
                        std::uint8_t const* codes, std::size_t n, float* out) {
    run_codes<S>(isa, [&, &s = as<S>(pieces)] { decode(s, block, side, codes, n, out); });
  }
  static void accumulate_on(void const* pieces, instruction_set isa, std::size_t block, std::byte const* side,
                            std::uint8_t const* codes, std::size_t n, float* out) {
    run_codes<S>(isa, [&, &s = as<S>(pieces)] { accumulate(s, block, side, codes, n, out); });
  }
  static void residual_on(void const* pieces, instruction_set isa, std::size_t block, std::byte const* side,
                          std::uint8_t const* codes, std::size_t n, float const* v, float* left) {
    run_codes<S>(isa, [&, &s = as<S>(pieces)] { residual(s, block, side, codes, n, v, left); });
  }
};

}  // namespace detail
CCOMP_END
