#pragma once
/// What a compressor claims, as its stages' facts say it. The suite holds it to that.

#include <ccomp/codec.hpp>
#include <ccomp/testing/guarded.hpp>
#include <ccomp/testing/inputs.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <span>
#include <vector>

CCOMP_BEGIN
namespace testing {

/// Which values a compressor transmits.
enum class sends { all, largest, drawn };
/// Whether the step changes the bytes: not at all, alike on all ranks, each rank on its own.
enum class draws { nothing, shared, own };

struct compressor_claims {
  /// A non-finite value reaches at most so many values: those of its aligned block, or (of a sparsifier, whose
  /// carriers' blocks gather values from afar) any.
  std::size_t spread = 1;
  sends sent = sends::all;
  draws random = draws::nothing;
  /// Finite values up to this magnitude decode to finite ones.
  float reach = 0;
  /// E decoded = x, but for so many times the largest |x|; negative: not claimed.
  double bias = -1;
  /// The size of a payload depends on n only.
  bool exact_size = true;
  /// The numbers of values that it is tested with; empty: any.
  std::vector<std::size_t> sizes{};
};

namespace detail {

using ccomp::detail::stage_ref;

/// What a stage's type tells beyond its facts.
struct stage_claims {
  bool (*unbiased)(void const* stage);
  bool (*leaves_range)(void const* stage);  // on the way the largest values become larger than any float
};

template <class Statistic>
concept float_sums = requires { requires std::same_as<typename Statistic::partial, float>; };

template <class S> bool unbiased(void const* stage) {
  S const& s = ccomp::detail::as<S>(stage);
  if constexpr (requires { s.is_unbiased(); })
    return s.is_unbiased();
  else if constexpr (requires { S::is_unbiased; })
    return S::is_unbiased;
  else if constexpr (quantizer_stage<S>)
    return ccomp::detail::facts_of<S>().stochastic(stage);
  else
    return false;
}
/// Sums of a block do; so does a value that was rounded after a factor and is divided by it.
template <class S> bool leaves_range(void const* stage) {
  S const& s = ccomp::detail::as<S>(stage);
  bool found = false;
  if constexpr (quantizer_stage<S>)
    ccomp::detail::with_pieces(
        s, [&](auto const& pieces) { found = float_sums<typename std::remove_cvref_t<decltype(pieces)>::statistic>; });
  if constexpr (transform_stage<S>) {
    float x = 1;
    int exponent = 0;
    s.forward(instruction_set::baseline, &x, 1, 0, {});
    found = s.block > 1 || std::frexp(std::abs(x), &exponent) != 0.5f;
  }
  return found;
}
template <class S> inline constexpr stage_claims stage_claims_of{&unbiased<S>, &leaves_range<S>};

/// `of` has the claims of each stage. A sparsifier that finds no room for some values is not seen here: which ones it
/// keeps is then drawn.
inline compressor_claims claims_of(std::span<stage_ref const> stages, std::span<stage_claims const> of) {
  compressor_claims c;
  constexpr float largest = 0x1.fffffep127f;
  bool leaves = false, codes = false, biased = false, claims_no_bias = false;
  std::size_t before = 1, after = 1;  // the longest block before a sparsifier, and of its carrier
  std::size_t each = 1;               // values that a carrier's value stands for: the gain of a block
  for (std::size_t i = 0; i < stages.size(); ++i) {
    auto const& f = *stages[i].facts;
    void const* const stage = stages[i].stage;
    bool const random = f.stochastic(stage);
    std::size_t block = 1;
    if (f.transform) block = f.transform->block(stage);
    if (f.quantizer) block = f.quantizer->block(stage);
    if (f.vector) {
      before = std::max(before, after * each);
      after = each = 1;
    }
    if (f.vector && f.vector->floats && f.vector->block(stage) > 1) {
      each = f.vector->block(stage);
    } else if (f.vector) {
      c.sent = random && !f.vector->counted ? sends::drawn : std::max(c.sent, sends::largest);
      c.exact_size = c.exact_size && !f.vector->counted;
    }
    after = std::max(after, block);
    if (random && !(f.vector && f.vector->counted))
      c.random = std::max(c.random, f.quantizer ? draws::own : draws::shared);
    leaves = leaves || of[i].leaves_range(stage);
    codes = codes || f.quantizer != nullptr;
    if (of[i].unbiased(stage))
      claims_no_bias = true;
    else
      biased = biased || !f.transform;
  }
  after *= each;
  // What a block before a sparsifier spoils lies side by side in the carrier, whose blocks spoil others before it.
  c.spread = before > 1 && after > 1 ? before * (before + 2 * after) : std::max(before, after);
  c.reach = leaves ? largest / 4096 : largest;  // no block is longer
  // Codes take 16 random bits on a scale that was rounded up; factors of drawn values are rounded to float.
  if (claims_no_bias && !biased) c.bias = codes ? 0x1p-15 : 0x1p-20;
  return c;
}

/// Stages whose types are forgotten, so that the checks are compiled once for all compressors.
struct some_stages {
  std::span<stage_ref const> refs;
  [[nodiscard]] ccomp::detail::program stages() const { return refs; }
};

/// The claims of a compressor, with what only an encoding shows: where more values reach a bound than there is room for,
/// the step draws which of them are selected.
inline compressor_claims claims_in_force(std::span<stage_ref const> stages, std::span<stage_claims const> of) {
  auto claims = claims_of(stages, of);
  auto const vector = std::ranges::find_if(stages, [](stage_ref const& s) { return s.facts->vector != nullptr; });
  if (vector == stages.end() || !vector->facts->vector->overflow) return claims;
  some_stages const c{stages};
  std::size_t const n = 3000;
  payload_buffer payload(payload_bytes(c, n));
  workspace<host_exec> ws{host_exec{1}};
  encode(host_exec{1}, c, gaussian_values(n, 51), payload, ws, {.at = 0});
  if (vector->facts->vector->overflow(payload.bytes()) == 0) return claims;
  claims.sent = sends::drawn;
  claims.random = std::max(claims.random, draws::shared);
  return claims;
}

}  // namespace detail
}  // namespace testing
CCOMP_END
