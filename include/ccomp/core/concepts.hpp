#pragma once
/// What a stage must offer. `check_stage` has a sentence for every requirement, because nvcc does not explain a failed
/// concept.

#include <ccomp/core/config.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/host_exec.hpp>
#include <ccomp/core/types.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

CCOMP_BEGIN

/// The position of a call in the run. It is the key of all random bits.
struct pass_options {
  step at{};
  std::uint64_t tensor = 0;  // a stable id chosen by the caller
  std::uint32_t rank = 0;
};

namespace detail {

template <class S>
concept has_name = requires {
  { S::name } -> std::convertible_to<std::string_view>;
};
template <class S>
concept has_fields = requires { S::fields(); };

template <class S>
concept has_scalar_types = requires {
  typename S::statistic;
  typename S::parameters;
};
template <class S>
concept has_fit = has_scalar_types<S> && requires(S const& s, typename S::statistic const& t, std::size_t n) {
  { s.fit(t, n) } -> std::same_as<typename S::parameters>;
};
template <class S>
concept has_code = has_scalar_types<S> && requires(S const& s, typename S::parameters p, std::uint32_t random) {
  { s.code(1.0f, p, random) } -> std::same_as<std::uint32_t>;
};
template <class S>
concept has_value = has_scalar_types<S> && requires(S const& s, typename S::parameters p) {
  { s.value(std::uint32_t{}, p) } -> std::same_as<float>;
};
/// The scalar pieces from which engines derive every pass.
template <class S>
concept scalar_pieces = has_fit<S> && has_code<S> && has_value<S>;
struct takes_pieces {  // not a lambda: nvcc's front end knows none in a concept
  template <class Pieces> void operator()(Pieces const&) const {}
};
/// Settings choose between several sets of scalar pieces: `specialise(f)` calls f with the chosen set.
template <class S>
concept has_specialise = requires(S const& s, takes_pieces f) { s.specialise(f); };
/// Calls `f` with the scalar pieces that the settings choose.
template <class S, class F> void with_pieces(S const& s, F const& f) {
  if constexpr (has_specialise<S>)
    s.specialise(f);
  else
    f(s);
}

/// The pieces may draw random bits.
template <class S> constexpr bool needs_random = requires { requires S::stochastic; };
/// They do: sets that serve both roundings say so when they run.
template <class S> [[gnu::always_inline]] CCOMP_HD inline bool draws_random([[maybe_unused]] S const& pieces) {
  if constexpr (requires { pieces.at_random; })
    return pieces.at_random;
  else
    return needs_random<S>;
}

template <class S>
concept has_block = requires(S const& s) {
  { s.block } -> std::convertible_to<std::size_t>;
};
template <class S>
concept has_bits = requires {
  { S::bits } -> std::convertible_to<int>;
};
template <class S>
concept has_carrier_type = requires { typename S::carrier_type; };

template <class S>
concept has_layout = requires(S const& s, std::size_t n) {
  { s.side_bytes(n) } -> std::same_as<std::size_t>;
  { s.carrier_size(n) } -> std::same_as<std::size_t>;
};
template <class S>
concept has_encode = requires(S const& s, host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                              std::span<float> carrier, std::span<std::byte> scratch, pass_options at) {
  { s.encode(ex, in, side, carrier, scratch, at) } -> std::same_as<std::size_t>;
};
template <class S>
concept has_decode = requires(S const& s, host_exec const& ex, std::span<std::byte const> side,
                              std::span<float const> carrier, std::span<float> out, std::span<std::byte> scratch,
                              pass_options at) { s.decode(ex, side, carrier, out, scratch, at); };
template <class S>
concept has_transform =
    requires(S const& s, instruction_set isa, float* x, std::size_t n, std::uint64_t first, pass_options at) {
      s.forward(isa, x, n, first, at);
      s.inverse(isa, x, n, first, at);
    };

}  // namespace detail

/// Codes fixed blocks of values: scalar pieces, a width and a block length.
template <class S>
concept quantizer_stage = detail::has_name<S> && detail::has_fields<S> && detail::has_bits<S> && detail::has_block<S> &&
                          (detail::scalar_pieces<S> || detail::has_specialise<S>);
/// Stores values in a smaller element type that can itself be summed.
template <class S>
concept cast_stage = detail::has_name<S> && detail::has_fields<S> && detail::has_carrier_type<S>;
/// A linear map of blocks that adds no bytes.
template <class S>
concept transform_stage =
    detail::has_name<S> && detail::has_fields<S> && detail::has_block<S> && detail::has_transform<S>;
/// Needs the whole tensor; emits side bytes and a carrier.
template <class S>
concept vector_stage = detail::has_name<S> && detail::has_fields<S> && detail::has_layout<S> && detail::has_encode<S> &&
                       detail::has_decode<S>;

/// Any of the four kinds.
template <class S>
concept stage = std::copyable<S> && (quantizer_stage<S> || cast_stage<S> || transform_stage<S> || vector_stage<S>);

/// Decoding the sum of carriers gives the sum of the decoded tensors, so communicators may add payloads in flight.
template <class S>
concept linear = requires { requires S::is_linear; };

/// True for a stage; otherwise a compile error that names what is missing.
template <class S> consteval bool check_stage() {
  static_assert(std::copyable<S>, "ccomp: a stage must be copyable; it holds settings, not buffers");
  static_assert(detail::has_name<S>, "ccomp: stage needs: static constexpr std::string_view name");
  static_assert(detail::has_fields<S>,
                "ccomp: stage needs: static constexpr auto fields(), a tuple of ccomp::field, one for each setting");
  if constexpr (!(quantizer_stage<S> || cast_stage<S> || transform_stage<S> || vector_stage<S>)) {
    if constexpr (detail::has_scalar_types<S>) {
      static_assert(detail::has_bits<S>, "ccomp: quantizer needs: static constexpr int bits");
      static_assert(detail::has_block<S>,
                    "ccomp: quantizer needs: std::uint32_t block, the values that share parameters");
      static_assert(detail::has_fit<S>,
                    "ccomp: quantizer needs: parameters fit(statistic const&, std::size_t count) const");
      static_assert(detail::has_code<S>,
                    "ccomp: quantizer needs: std::uint32_t code(float x, parameters, std::uint32_t random_bits) const");
      static_assert(detail::has_value<S>, "ccomp: quantizer needs: float value(std::uint32_t code, parameters) const");
    } else if constexpr (requires(S const& s) { &S::forward; }) {
      static_assert(detail::has_block<S>, "ccomp: transform needs: std::uint32_t block, the values it mixes");
      static_assert(detail::has_transform<S>,
                    "ccomp: transform needs: forward and inverse (instruction_set, float* x, std::size_t n, "
                    "std::uint64_t first, pass_options) const");
    } else {
      static_assert(
          requires(S const& s, std::size_t n) {
            { s.side_bytes(n) } -> std::same_as<std::size_t>;
          }, "ccomp: stage needs: std::size_t side_bytes(std::size_t n) const");
      static_assert(
          requires(S const& s, std::size_t n) {
            { s.carrier_size(n) } -> std::same_as<std::size_t>;
          }, "ccomp: stage needs: std::size_t carrier_size(std::size_t n) const");
      static_assert(detail::has_encode<S>,
                    "ccomp: stage needs: std::size_t encode(host_exec const&, std::span<float const> in, "
                    "std::span<std::byte> side, "
                    "std::span<float> carrier, std::span<std::byte> scratch, pass_options) const, returning the "
                    "carrier values written");
      static_assert(detail::has_decode<S>,
                    "ccomp: stage needs: decode(host_exec const&, std::span<std::byte const> side, std::span<float "
                    "const> carrier, "
                    "std::span<float> out, std::span<std::byte> scratch, pass_options) const");
    }
  }
  return stage<S>;
}

CCOMP_END
