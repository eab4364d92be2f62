#pragma once
/// Whether a stage keeps what engines and users rely on. For authors of stages, with any test framework.

#include <ccomp/testing/compressor_check.hpp>
#include <ccomp/text/stage_entry.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

CCOMP_BEGIN
namespace testing {

struct stage_options {
  /// Finite values up to this magnitude decode to finite ones; negative: as the stage's type tells.
  float reach = -1;
  /// Which values it sends, if the stage's type does not tell: a sparsifier that does not draw counts as one that keeps the
  /// largest, and NaN and Inf are the largest.
  std::optional<sends> sent{};
  /// A non-finite value may spoil so many values; 0: as the stage's type tells.
  std::size_t spread = 0;
  /// The numbers of values to test with, for a stage that does not take every number; empty: the usual ones, 0 to 458773.
  std::vector<std::size_t> sizes{};
  /// Damaged payloads per type and size.
  std::size_t damaged = 400;
  /// Steps over which the average error of a stage that draws is taken; its mean is taken over fifty times as many.
  int steps = 60;
};

namespace detail {

/// The bytes of n values, and what they decode to.
inline std::pair<std::vector<std::byte>, std::vector<float>> sample_of(ccomp::detail::stage_ref const& s,
                                                                       std::size_t n) {
  some_stages const c{{&s, 1}};
  auto const x = gaussian_values(n, 63);
  payload_buffer payload(payload_bytes(c, x.size()));
  workspace<host_exec> ws{{1}};
  auto const bytes = payload.bytes().first(encode(host_exec{1}, c, x, payload, ws, {.at = 1}));
  std::vector<float> out(x.size());
  decode(host_exec{1}, c, bytes, out, ws, {.at = 1});
  return {{bytes.begin(), bytes.end()}, out};
}

/// A copy that text brought back has the same fingerprint, and does the same.
template <class S> std::string text_fault(S const& s, std::size_t n = 1000) {
  std::string text = ccomp::detail::stage_type_text<S>();
  auto const settings = ccomp::detail::settings_text(ccomp::detail::erased_fields_of<S>, &s);
  if (!settings.empty()) text += '(' + settings + ')';
  try {
    auto const parts = ccomp::detail::compressor_text(text).parse();
    if (parts.size() != 1) return ccomp::detail::sentence("its text is more than one stage: ", text);
    auto const again = ccomp::detail::make_stage<S>(parts[0]);
    if (ccomp::detail::text_of(*again.facts->description, again.object.get()) != ccomp::detail::stage_text(s) ||
        ccomp::detail::fingerprint_of(*again.facts->description, again.object.get()) !=
            ccomp::detail::stage_fingerprint(s))
      return ccomp::detail::sentence("its text does not bring it back: ", text);
    if constexpr (requires { S::argument(); })
      if (parts[0].argument != S::argument())
        return ccomp::detail::sentence("its template argument is not read back: ", text);
    if (sample_of({again.object.get(), again.facts, again.host}, n) !=
        sample_of({&s, &ccomp::detail::facts_of<S>(), &ccomp::detail::host_ops_of<S>()}, n))
      return ccomp::detail::sentence(
          "its text brings back a stage that codes otherwise; is a setting missing in fields()? ", text);
  } catch (invalid_argument const& e) {
    return ccomp::detail::sentence("its own text is refused: ", e.what());
  }
  return {};
}

/// What error feedback relies on: a claim of its own, or that errors do not grow.
template <class S> std::optional<double> claimed_contraction(S const& s, std::size_t n) {
  if constexpr (requires { s.contraction(n); })
    return static_cast<double>(s.contraction(n));
  else if (ccomp::detail::facts_of<S>().contracts(&s, n))
    return 0;
  else
    return std::nullopt;
}

}  // namespace detail

/// Tests a stage on the host, alone, with every element type. Returns the faults, one sentence each; an empty list if
/// there are none.
///
///   for (auto const& fault : ccomp::testing::check_stage(my_stage{.block = 64})) report(fault);
///
/// Sizes:        the payload is as large as declared, whole multiples of 16 bytes, and nothing beside it is written;
///               0 and 1 values, sizes around every border
/// Text:         settings are printed and read back, and make a stage that codes alike; every setting is validated
/// Bytes:        are decided by the values alone: not by memory around them, by scratch memory or by earlier calls
/// Values:       decode writes everything, decode_accumulate adds it; zeros stay zero; finite values stay finite
/// NaN, Inf:     spoil their own block only, become the canonical NaN, and never reach a residual
/// Feedback:     residual and decoded value add up to the input, to the last bit; where error feedback is allowed,
///               no more is left out than `contraction(n)` says
/// Determinism:  the same bits on every instruction set and number of threads; the step, the tensor and the rank draw
///               random bits, as the stage says
/// Claims:       a linear stage's payloads can be added; what calls itself unbiased is, over many steps
/// Damage:       damaged payloads are refused with payload_error before anything is written, or decode within bounds
///               (run it under AddressSanitizer, too)
/// What it does not know: a bound of the error that only the author can name. It takes seconds.
template <stage S> std::vector<std::string> check_stage(S const& s, stage_options const& options = {}) {
  std::array<ccomp::detail::stage_ref, 1> const stages = ccomp::detail::host_stages_of(s);
  try {
    ccomp::detail::validate_stage(s);
  } catch (invalid_argument const& e) {
    return {text(s) + ": its settings are refused: " + e.what()};
  }
  std::array<detail::stage_claims, 1> const own{detail::stage_claims_of<S>};
  auto claims = detail::claims_in_force(stages, own);
  if (options.reach >= 0) claims.reach = options.reach;
  if (options.sent) claims.sent = *options.sent;
  if (options.spread > 0) claims.spread = options.spread;
  claims.sizes = options.sizes;
  detail::compressor_check check(stages, claims);
  check.run([&] {
    if (auto fault = detail::text_fault(s, options.sizes.empty() ? 1000 : std::ranges::max(options.sizes));
        !fault.empty())
      check.fault(fault);
  });
  bool const usual = options.sizes.empty();
  auto const each_type = [&]<class T>(std::type_identity<T>) {
    check.run([&] { check.template finite<T>(); });
    check.run([&] { check.template spoilt<T>(); });
    std::vector<host_exec> execs;
    for (auto const isa : instruction_sets()) execs.push_back({1, isa});
    for (std::size_t const n : usual ? std::vector<std::size_t>{33, 257, 8191} : options.sizes)
      check.run([&] { check.template same_bits<T>(n, execs); });
    for (auto& ex : execs) ex.threads = 7;
    if (usual) check.run([&] { check.template same_bits<T>(7 * 65536 + 21, execs); });
    check.run([&] { check.template draws_by_step<T>(); });
    if (stages[0].facts->linear) check.run([&] { check.template linear<T>(); });
    check.run([&] { check.template hostile<T>(options.damaged); });
  };
  each_type(std::type_identity<float>{});
  each_type(std::type_identity<float16>{});
  each_type(std::type_identity<bfloat16>{});
  check.run(
      [&] { check.contraction([&](std::size_t n) { return detail::claimed_contraction(s, n); }, options.steps); });
  if (claims.bias >= 0) check.run([&] { check.unbiased(50 * options.steps); });
  return check.faults();
}

}  // namespace testing
CCOMP_END
