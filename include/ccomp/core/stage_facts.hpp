#pragma once
/// What every engine needs to know of a stage: text, settings in range, sizes. Loops and kernels are elsewhere.
///
/// A stage's facts are a table of functions, derived from its type, so that typed chains and chains known only at run
/// time are one kind of program.

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/layout.hpp>

#include <memory>
#include <string>
#include <vector>

CCOMP_BEGIN
namespace detail {

struct transform_facts {
  std::size_t (*block)(void const* stage);  // values that are mixed
};

struct quantizer_facts {
  int bits;
  std::size_t (*block)(void const* stage);
  std::size_t (*parameter_bytes)(void const* stage);
  bool (*stochastic)(void const* stage);
  std::uint64_t (*seed)(void const* stage);
};

struct vector_facts {
  std::size_t (*side_bytes)(void const* stage, std::size_t n);
  std::size_t (*carrier_size)(void const* stage, std::size_t n);
  /// The carrier values that follow these side bytes; checked against `carrier_size(n)`.
  std::size_t (*carrier_count)(void const* stage, std::span<std::byte const> side, std::size_t n);
  bool counted;  // how many carrier values there are depends on the input, and stands in the side bytes
  bool floats;   // the carrier is float32 whatever the tensor's type: its values are not the tensor's
  /// The values that found no room, as the side bytes tell. Null: all fit.
  std::size_t (*overflow)(std::span<std::byte const> side);
  std::size_t (*block)(void const* stage);  // values that are coded together, a power of two; 1: no blocks
};

/// What a stage with memory keeps between steps of one tensor; PowerSGD's Q, say.
using stage_state = std::vector<float>;

/// Exactly one of transform, quantizer, cast and vector is there.
struct stage_facts {
  bool linear = false;
  bool rounds = false;  // brings its own rounds of communication
  bool whole = false;   // what it makes of a tensor, it would not make of the tensor's chunks
  stage_description const* description = nullptr;
  void (*validate)(void const* stage) = nullptr;
  transform_facts const* transform = nullptr;
  quantizer_facts const* quantizer = nullptr;
  element_type const* cast = nullptr;
  vector_facts const* vector = nullptr;
  stage_state (*make_state)(void const* stage, std::size_t n) = nullptr;
  /// False where the error may exceed the input, so that error feedback would grow without bound.
  bool (*contracts)(void const* stage, std::size_t n) = nullptr;
  /// Whether it draws random bits, which depend on the step.
  bool (*stochastic)(void const* stage) = nullptr;
  /// The stage that has room for all that so many payloads of this one hold. Null: this one has.
  std::shared_ptr<void const> (*sum_of)(void const* stage, std::size_t payloads) = nullptr;
};

struct host_ops;  // engine/host/ops.hpp

/// A stage without its type. Its loops for the host are there where the host's engine asked for them.
struct stage_ref {
  void const* stage = nullptr;
  stage_facts const* facts = nullptr;
  host_ops const* host = nullptr;

  [[nodiscard]] std::string text() const { return text_of(*facts->description, stage); }
};

template <class S> S const& as(void const* stage) { return *static_cast<S const*>(stage); }

template <class S>
inline constexpr transform_facts transform_facts_of = {
    [](void const* s) { return static_cast<std::size_t>(as<S>(s).block); }};

template <class S>
inline constexpr quantizer_facts quantizer_facts_of = {
    S::bits, [](void const* s) { return static_cast<std::size_t>(as<S>(s).block); },
    [](void const* s) {
      std::size_t bytes = 0;
      with_pieces(as<S>(s),
                  [&](auto const& q) { bytes = sizeof(typename std::remove_cvref_t<decltype(q)>::parameters); });
      return bytes;
    },
    [](void const* s) {
      bool random = false;
      with_pieces(as<S>(s), [&](auto const& q) { random = draws_random(q); });
      return random;
    },
    [](void const* s) -> std::uint64_t {
      if constexpr (requires { as<S>(s).seed; })
        return as<S>(s).seed;
      else
        return 0;
    }};

// Concepts of their own: clang 16 crashes on a constrained requirement inside a lambda.
template <class S>
concept has_carrier_count =
    requires(S const& s, std::span<std::byte const> side, std::size_t n) { s.carrier_count(side, n); };
template <class S>
concept carries_floats = requires { requires S::carries_floats; };
template <class S>
concept codes_whole = requires { requires S::whole; };
template <class S>
concept has_overflow = requires(std::span<std::byte const> side) {
  { S::overflow(side) } -> std::convertible_to<std::size_t>;
};
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

template <class S>
inline constexpr vector_facts vector_facts_of = {
    [](void const* s, std::size_t n) { return as<S>(s).side_bytes(n); },
    [](void const* s, std::size_t n) { return as<S>(s).carrier_size(n); },
    [](void const* s, std::span<std::byte const> side, std::size_t n) -> std::size_t {
      if constexpr (has_carrier_count<S>)
        return as<S>(s).carrier_count(side, n);
      else
        return as<S>(s).carrier_size(n);
    },
    has_carrier_count<S>,
    carries_floats<S>,
    [] {
      using overflow_t = decltype(vector_facts::overflow);
      if constexpr (has_overflow<S>)
        return overflow_t{[](std::span<std::byte const> side) -> std::size_t { return S::overflow(side); }};
      else
        return overflow_t{};
    }(),
    [](void const* s) -> std::size_t {
      if constexpr (has_block<S>)
        return as<S>(s).block;
      else
        return 1;
    }};

template <class S> inline constexpr element_type cast_type_of = element_type_of<typename S::carrier_type>;

/// What decides the memory that a stage with rounds of its own needs.
struct reduce_shape {
  std::span<std::size_t const> sizes;  // of the tensors of a call, in values
  int ranks;
  bool transformed;  // transforms stand before the stage
};
template <class S>
concept has_reduce = requires(S const& s, reduce_shape const& shape) {
  { s.reduce_scratch_bytes(shape) } -> std::same_as<std::size_t>;
};

void expect_block(std::string_view stage, std::size_t block, std::size_t least);
template <class S> void validate_stage(S const& s) {
  if constexpr (requires { s.block; }) expect_block(S::name, s.block, transform_stage<S> ? 1 : 16);
  if constexpr (requires { s.validate(); }) s.validate();
}

template <class S> constexpr stage_facts make_stage_facts() {
  stage_facts f;
  f.linear = linear<S>;
  f.rounds = has_reduce<S>;
  f.whole = codes_whole<S>;
  f.description = &description_of<S>;
  f.validate = [](void const* s) { validate_stage(as<S>(s)); };
  f.contracts = [](void const* s, std::size_t n) {
    if constexpr (has_contracts<S>)
      return as<S>(s).contracts();
    else if constexpr (requires { as<S>(s).contraction(n); })
      return as<S>(s).contraction(n) >= 0;  // 0: bounded by other means, below: the usual unbiased scaling
    else
      return true;
  };
  f.stochastic = [](void const* s) {
    if constexpr (quantizer_stage<S>)
      return quantizer_facts_of<S>.stochastic(s);
    else
      return needs_random<S>;
  };
  if constexpr (quantizer_stage<S>) f.quantizer = &quantizer_facts_of<S>;
  if constexpr (cast_stage<S>) f.cast = &cast_type_of<S>;
  if constexpr (transform_stage<S>) f.transform = &transform_facts_of<S>;
  if constexpr (vector_stage<S>) f.vector = &vector_facts_of<S>;
  if constexpr (has_sum_of<S>)
    f.sum_of = [](void const* s, std::size_t payloads) -> std::shared_ptr<void const> {
      return std::make_shared<S const>(as<S>(s).sum_of(payloads));
    };
  if constexpr (has_state<S>) f.make_state = [](void const* s, std::size_t n) { return as<S>(s).make_state(n); };
  return f;
}
template <class S> inline constexpr stage_facts facts_table = make_stage_facts<S>();

template <class S> stage_facts const& facts_of() {
  if constexpr (CCOMP_LINKED && standard_stage<S>)
    return compiled_table<stage_facts, S>();
  else
    return facts_table<S>;
}

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void expect_block(std::string_view stage, std::size_t block, std::size_t least) {
  expects(block >= least && block <= tile_values && (block & (block - 1)) == 0, [&] {
    return sentence(stage, ": block must be a power of two from ", least, " to ", tile_values, ", got ", block);
  });
}
#endif

}  // namespace detail
CCOMP_END
