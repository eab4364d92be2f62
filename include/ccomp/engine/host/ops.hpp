#pragma once
/// Stages as tables of functions: the host engine is one program over these, for typed chains and for chains known only
/// at run time alike. Each table is derived from the stage's type; a call per tile or per tensor costs nothing.

#include <ccomp/concepts.hpp>
#include <ccomp/engine/host/convert.hpp>
#include <ccomp/engine/host/quantizer.hpp>
#include <memory>
#include <string>
#include <vector>

CCOMP_BEGIN

class communicator_ref;

namespace detail {

struct transform_ops {
  std::size_t (*granule)(void const* stage);
  void (*forward)(void const* stage, instruction_set, float* x, std::size_t n, std::uint64_t first,
                  pass_options const&);
  void (*inverse)(void const* stage, instruction_set, float* x, std::size_t n, std::uint64_t first,
                  pass_options const&);
};

/// `ahead`: the values that will be wanted next, to be fetched while the processor codes.
struct quantizer_ops {
  int bits;
  std::size_t (*block)(void const* stage);
  std::size_t (*parameter_bytes)(void const* stage);
  bool (*stochastic)(void const* stage);
  std::uint64_t (*seed)(void const* stage);
  void (*encode)(void const* stage, instruction_set, float const* x, std::size_t n, std::byte* side,
                 std::uint8_t* codes, std::uint16_t const* random, float const* ahead);
  void (*decode)(void const* stage, instruction_set, std::byte const* side, std::uint8_t const* codes, std::size_t n,
                 float* out);
  void (*accumulate)(void const* stage, instruction_set, std::byte const* side, std::uint8_t const* codes,
                     std::size_t n, float* out);
  void (*residual)(void const* stage, instruction_set, std::byte const* side, std::uint8_t const* codes, std::size_t n,
                   float const* v, float* residual);
};

/// What a stage with memory keeps between steps of one tensor; PowerSGD's Q, say.
using stage_state = std::vector<float>;

struct vector_ops {
  std::size_t (*side_bytes)(void const* stage, std::size_t n);
  std::size_t (*carrier_size)(void const* stage, std::size_t n);
  std::size_t (*scratch_bytes)(void const* stage, std::size_t n);
  std::size_t (*encode)(void const* stage, host_exec const&, std::span<float const> in, std::span<std::byte> side,
                        std::span<float> carrier, std::span<std::byte> scratch, pass_options const&);
  /// The carrier values that follow these side bytes; checked against `carrier_size(n)`.
  std::size_t (*carrier_count)(void const* stage, std::span<std::byte const> side, std::size_t n);
  void (*decode)(void const* stage, host_exec const&, std::span<std::byte const> side, std::span<float const> carrier,
                 std::span<float> out, std::span<std::byte> scratch, pass_options const&);
  /// out += sign * decoded. Null: decode to scratch and add.
  void (*accumulate)(void const* stage, host_exec const&, std::span<std::byte const> side,
                     std::span<float const> carrier, std::span<float> out, float sign, pass_options const&);
  double (*contraction)(void const* stage, std::size_t n);
  bool counted;  // how many carrier values there are depends on the input, and stands in the side bytes
  bool floats;   // the carrier is float32 whatever the tensor's type: its values are not the tensor's
  /// The values that found no room, as the side bytes tell. Null: all fit.
  std::size_t (*overflow)(std::span<std::byte const> side);
};

struct stage_ref;

/// Everything a multi-round stage needs of one tensor: it sums in + decay * residual over the ranks into `out`.
struct reduce_call {
  const_values in;
  values out;
  std::span<stage_ref const> transforms{};  // that stand before the stage
  void* residual = nullptr;                 // none, or in.n values of residual_type
  element_type residual_type = element_type::float32;
  float decay = 1;
  std::span<float> state{};
  bool mean = true;
  std::span<std::byte> memory{};
  pass_options at{};
};
/// What decides the memory that a multi-round stage needs.
struct reduce_shape {
  std::size_t n;
  int ranks;
  bool transformed;  // transforms stand before the stage
};
struct protocol_ops {
  std::size_t (*scratch_bytes)(void const* stage, reduce_shape const&);
  /// Returns the bytes this rank sent.
  std::size_t (*reduce)(void const* stage, host_exec const&, communicator_ref&, reduce_call const&);
};

struct stage_ops {
  bool linear = false;
  std::string (*text)(void const* stage) = nullptr;
  std::uint64_t (*fingerprint)(void const* stage) = nullptr;
  void (*validate)(void const* stage) = nullptr;
  transform_ops const* transform = nullptr;
  quantizer_ops const* quantizer = nullptr;
  element_type const* cast = nullptr;
  vector_ops const* vector = nullptr;
  protocol_ops const* protocol = nullptr;
  stage_state (*make_state)(void const* stage, std::size_t n) = nullptr;
  /// False where the error may exceed the input, so that error feedback would grow without bound.
  bool (*contracts)(void const* stage, std::size_t n) = nullptr;
  /// Whether it draws random bits, which depend on the step.
  bool (*stochastic)(void const* stage) = nullptr;
  /// The stage that has room for all that so many payloads of this one hold. Null: this one has.
  std::shared_ptr<void const> (*sum_of)(void const* stage, std::size_t payloads) = nullptr;
};

struct stage_ref {
  void const* stage = nullptr;
  stage_ops const* ops = nullptr;
};

template <class S> S const& as(void const* stage) { return *static_cast<S const*>(stage); }

template <class S>
inline constexpr transform_ops transform_ops_of = {
    [](void const* s) { return static_cast<std::size_t>(as<S>(s).block); },
    [](void const* s, instruction_set isa, float* x, std::size_t n, std::uint64_t first, pass_options const& at) {
      as<S>(s).forward(isa, x, n, first, at);
    },
    [](void const* s, instruction_set isa, float* x, std::size_t n, std::uint64_t first, pass_options const& at) {
      as<S>(s).inverse(isa, x, n, first, at);
    }};

/// Calls `f` with the scalar pieces in force.
template <class S, class F> void with_pieces(S const& s, F const& f) {
  if constexpr (has_specialise<S>)
    s.specialise(f);
  else
    f(s);
}
/// The same with what decodes their codes.
template <class S, class F> void with_decoder(S const& s, F const& f) {
  with_pieces(s, [&](auto const& pieces) { f(decoder_of(pieces)); });
}
template <class Pieces> using tile_of = quantizer_tile<std::remove_cvref_t<Pieces>>;

template <class S>
inline constexpr quantizer_ops quantizer_ops_of = {
    S::bits,
    [](void const* s) { return static_cast<std::size_t>(as<S>(s).block); },
    [](void const* s) {
      std::size_t bytes = 0;
      with_pieces(as<S>(s),
                  [&](auto const& q) { bytes = sizeof(typename std::remove_cvref_t<decltype(q)>::parameters); });
      return bytes;
    },
    [](void const* s) {
      bool random = false;
      with_pieces(as<S>(s), [&](auto const& q) { random = needs_random<std::remove_cvref_t<decltype(q)>>; });
      return random;
    },
    [](void const* s) -> std::uint64_t {
      if constexpr (requires { as<S>(s).seed; })
        return as<S>(s).seed;
      else
        return 0;
    },
    [](void const* s, instruction_set isa, float const* x, std::size_t n, std::byte* side, std::uint8_t* codes,
       std::uint16_t const* random, float const* ahead) {
      std::size_t const block = as<S>(s).block;
      with_pieces(as<S>(s), [&](auto const& q) {
        tile_of<decltype(q)>::encode_on(isa, q, block, x, n, side, codes, random, ahead);
      });
    },
    [](void const* s, instruction_set isa, std::byte const* side, std::uint8_t const* codes, std::size_t n,
       float* out) {
      std::size_t const block = as<S>(s).block;
      with_decoder(as<S>(s),
                   [&](auto const& q) { tile_of<decltype(q)>::decode_on(isa, q, block, side, codes, n, out); });
    },
    [](void const* s, instruction_set isa, std::byte const* side, std::uint8_t const* codes, std::size_t n,
       float* out) {
      std::size_t const block = as<S>(s).block;
      with_decoder(as<S>(s),
                   [&](auto const& q) { tile_of<decltype(q)>::accumulate_on(isa, q, block, side, codes, n, out); });
    },
    [](void const* s, instruction_set isa, std::byte const* side, std::uint8_t const* codes, std::size_t n,
       float const* v, float* residual) {
      std::size_t const block = as<S>(s).block;
      with_decoder(as<S>(s), [&](auto const& q) {
        tile_of<decltype(q)>::residual_on(isa, q, block, side, codes, n, v, residual);
      });
    }};

template <class S>
concept has_carrier_count = requires(S const& s, std::span<std::byte const> side, std::size_t n) {
  s.carrier_count(side, n);
};
template <class S>
concept carries_floats = requires {
  requires S::carries_floats;
};
template <class S>
concept has_overflow = requires(std::span<std::byte const> side) {
  { S::overflow(side) } -> std::convertible_to<std::size_t>;
};

template <class S>
inline constexpr vector_ops vector_ops_of = {
    [](void const* s, std::size_t n) { return as<S>(s).side_bytes(n); },
    [](void const* s, std::size_t n) { return as<S>(s).carrier_size(n); },
    [](void const* s, std::size_t n) -> std::size_t {
      if constexpr (requires { as<S>(s).scratch_bytes(n); })
        return as<S>(s).scratch_bytes(n);
      else
        return 0;
    },
    [](void const* s, host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
       std::span<float> carrier, std::span<std::byte> scratch,
       pass_options const& at) { return as<S>(s).encode(ex, in, side, carrier, scratch, at); },
    [](void const* s, std::span<std::byte const> side, std::size_t n) -> std::size_t {
      if constexpr (has_carrier_count<S>)
        return as<S>(s).carrier_count(side, n);
      else
        return as<S>(s).carrier_size(n);
    },
    [](void const* s, host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
       std::span<float> out, std::span<std::byte> scratch,
       pass_options const& at) { as<S>(s).decode(ex, side, carrier, out, scratch, at); },
    [] {
      using accumulate_t = decltype(vector_ops::accumulate);
      if constexpr (requires(S const& s, host_exec const& ex, std::span<std::byte const> side,
                             std::span<float const> carrier, std::span<float> out,
                             pass_options at) { s.accumulate(ex, side, carrier, out, 1.0f, at); })
        return accumulate_t{[](void const* s, host_exec const& ex, std::span<std::byte const> side,
                               std::span<float const> carrier, std::span<float> out, float sign,
                               pass_options const& at) { as<S>(s).accumulate(ex, side, carrier, out, sign, at); }};
      else
        return accumulate_t{};
    }(),
    [](void const* s, std::size_t n) -> double {
      if constexpr (requires { as<S>(s).contraction(n); })
        return as<S>(s).contraction(n);
      else
        return 0;
    },
    has_carrier_count<S>,
    carries_floats<S>,
    [] {
      using overflow_t = decltype(vector_ops::overflow);
      if constexpr (has_overflow<S>)
        return overflow_t{[](std::span<std::byte const> side) -> std::size_t { return S::overflow(side); }};
      else
        return overflow_t{};
    }()};

template <class S>
concept has_reduce = requires(S const& s, host_exec const& ex, communicator_ref& comm, reduce_call const& call) {
  { s.reduce(ex, comm, call) } -> std::same_as<std::size_t>;
};
template <class S>
inline constexpr protocol_ops protocol_ops_of = {
    [](void const* s, reduce_shape const& shape) { return as<S>(s).reduce_scratch_bytes(shape); },
    [](void const* s, host_exec const& ex, communicator_ref& comm, reduce_call const& call) {
      return as<S>(s).reduce(ex, comm, call);
    }};

template <class S> inline constexpr element_type cast_type_of = element_type_of<typename S::carrier_type>;

// Concepts of their own: clang 16 crashes on a constrained requirement inside a lambda.
template <class S>
concept has_contracts = requires(S const& s) {
  { s.contracts() } -> std::same_as<bool>;
};
template <class S>
concept has_state = requires(S const& s, std::size_t n) {
  { s.make_state(n) } -> std::same_as<stage_state>;
};
template <class S>
concept has_sum_of = requires(S const& s, std::size_t payloads) {
  { s.sum_of(payloads) } -> std::same_as<S>;
};

template <class S> constexpr stage_ops make_stage_ops() {
  stage_ops ops;
  ops.linear = linear<S>;
  ops.text = [](void const* s) { return stage_text(as<S>(s)); };
  ops.fingerprint = [](void const* s) { return stage_fingerprint(as<S>(s)); };
  ops.validate = [](void const* s) {
    if constexpr (requires { as<S>(s).block; }) {
      std::size_t const block = as<S>(s).block, least = transform_stage<S> ? 1 : 16;
      expects(block >= least && block <= tile_values && (block & (block - 1)) == 0, [&] {
        return std::string(S::name) + ": block must be a power of two from " + std::to_string(least) + " to " +
               std::to_string(tile_values) + ", got " + std::to_string(block);
      });
    }
    if constexpr (requires { as<S>(s).validate(); }) as<S>(s).validate();
  };
  ops.contracts = [](void const* s, std::size_t n) {
    if constexpr (has_contracts<S>)
      return as<S>(s).contracts();
    else if constexpr (requires { as<S>(s).contraction(n); })
      return as<S>(s).contraction(n) >= 0;  // 0: bounded by other means, below: the usual unbiased scaling
    else
      return true;
  };
  ops.stochastic = [](void const* s) {
    if constexpr (quantizer_stage<S>)
      return quantizer_ops_of<S>.stochastic(s);
    else
      return needs_random<S>;
  };
  if constexpr (quantizer_stage<S>) ops.quantizer = &quantizer_ops_of<S>;
  if constexpr (cast_stage<S>) ops.cast = &cast_type_of<S>;
  if constexpr (transform_stage<S>) ops.transform = &transform_ops_of<S>;
  if constexpr (vector_stage<S>) ops.vector = &vector_ops_of<S>;
  if constexpr (has_reduce<S>) ops.protocol = &protocol_ops_of<S>;
  if constexpr (has_sum_of<S>)
    ops.sum_of = [](void const* s, std::size_t payloads) -> std::shared_ptr<void const> {
      return std::make_shared<S const>(as<S>(s).sum_of(payloads));
    };
  if constexpr (has_state<S>) ops.make_state = [](void const* s, std::size_t n) { return as<S>(s).make_state(n); };
  return ops;
}
template <class S> inline constexpr stage_ops ops_of = make_stage_ops<S>();

}  // namespace detail
CCOMP_END
