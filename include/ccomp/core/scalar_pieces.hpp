#pragma once
/// What both engines do with a quantizer's scalar pieces: check parameters, and choose the set that decodes.

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/numeric.hpp>

#include <cstddef>
#include <cstring>
#include <type_traits>

CCOMP_BEGIN
namespace detail {

/// Parameters are floats, so that a payload from elsewhere can be checked: a block is good if all of them are finite.
template <class P> CCOMP_HD bool good_parameters(P const& p) {
  static_assert(sizeof(P) % sizeof(float) == 0 && std::is_trivially_copyable_v<P>,
                "ccomp: a quantizer's parameters are floats");
  float words[sizeof(P) / sizeof(float)];
  std::memcpy(words, &p, sizeof(P));
  bool good = true;
  for (float const w : words) good = good && is_finite(w);
  return good;
}
/// A block with NaN or Inf in it: codes 0, the first parameter the canonical NaN.
template <class P> CCOMP_HD P bad_parameters() {
  P p{};
  float const nan = canonical_nan();
  std::memcpy(&p, &nan, sizeof nan);
  return p;
}

/// The pieces that decode what these code: of those that differ only in how they choose codes, one set for all. Each set
/// is compiled for every pass.
template <class S> CCOMP_HD decltype(auto) decoder_of(S const& s) {
  if constexpr (requires { s.decoder(); }) {
    static_assert(std::is_same_v<typename decltype(s.decoder())::parameters, typename S::parameters>,
                  "ccomp: decoder() must return pieces with the same parameters");
    return s.decoder();
  } else {
    return (s);
  }
}
/// Calls `f` with what decodes the codes of the pieces in force.
template <class S, class F> void with_decoder(S const& s, F const& f) {
  with_pieces(s, [&](auto const& pieces) { f(decoder_of(pieces)); });
}

/// The pieces that loops of the host are compiled for. Sets that differ in numbers only share those that `on_host()` gives.
template <class S> decltype(auto) host_pieces_of(S const& s) {
  if constexpr (requires { s.on_host(); }) {
    static_assert(std::is_same_v<typename decltype(s.on_host())::parameters, typename S::parameters>,
                  "ccomp: on_host() must return pieces with the same parameters");
    return s.on_host();
  } else {
    return (s);
  }
}

}  // namespace detail
CCOMP_END
