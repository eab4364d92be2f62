#pragma once
/// The loops of a stage for the host, as a table of functions beside its facts: one engine runs typed chains and chains
/// known only at run time alike. A call per tile or per tensor costs nothing.

#include <ccomp/core/chain.hpp>
#include <ccomp/core/function_ref.hpp>
#include <ccomp/core/tensor.hpp>
#include <ccomp/engine/host/pack.hpp>
#include <ccomp/engine/host/quantizer.hpp>

CCOMP_BEGIN

class communicator_ref;

namespace detail {

struct transform_loops {
  void (*forward)(void const* stage, instruction_set, float* x, std::size_t n, std::uint64_t first,
                  pass_options const&);
  void (*inverse)(void const* stage, instruction_set, float* x, std::size_t n, std::uint64_t first,
                  pass_options const&);
};

/// Loops of one set of pieces over a tile. `ahead`: the values that will be wanted next, to be fetched while the processor
/// codes.
using encode_loop = void (*)(void const* pieces, instruction_set, std::size_t block, float const* x, std::size_t n,
                             std::byte* side, std::uint8_t* codes, std::uint16_t const* random, float const* ahead);
struct decode_loops {
  void (*decode)(void const* pieces, instruction_set, std::size_t block, std::byte const* side,
                 std::uint8_t const* codes, std::size_t n, float* out);
  void (*accumulate)(void const* pieces, instruction_set, std::size_t block, std::byte const* side,
                     std::uint8_t const* codes, std::size_t n, float* out);
  void (*residual)(void const* pieces, instruction_set, std::size_t block, std::byte const* side,
                   std::uint8_t const* codes, std::size_t n, float const* v, float* residual);
};
struct quantizer_loops {
  /// Hand on the pieces that the settings choose, with their loops.
  void (*with_encoder)(void const* stage, function_ref<void(void const* pieces, encode_loop)>);
  void (*with_decoder)(void const* stage, function_ref<void(void const* pieces, decode_loops const&)>);
  /// Codes, one per byte, to a bit stream and back. Null where a code is a whole byte.
  void (*pack)(instruction_set, std::uint8_t const* codes, std::size_t n, std::uint8_t* packed) = nullptr;
  void (*unpack)(instruction_set, std::uint8_t const* packed, std::size_t n, std::uint8_t* codes) = nullptr;
};

struct vector_loops {
  std::size_t (*scratch_bytes)(void const* stage, std::size_t n);
  std::size_t (*encode)(void const* stage, host_exec const&, std::span<float const> in, std::span<std::byte> side,
                        std::span<float> carrier, std::span<std::byte> scratch, pass_options const&);
  void (*decode)(void const* stage, host_exec const&, std::span<std::byte const> side, std::span<float const> carrier,
                 std::span<float> out, std::span<std::byte> scratch, pass_options const&);
  /// out += sign * decoded. Null: decode to scratch and add.
  void (*accumulate)(void const* stage, host_exec const&, std::span<std::byte const> side,
                     std::span<float const> carrier, std::span<float> out, float sign, pass_options const&);
  /// Where the values of the carrier stand among n values, ascending; so many as `index` has room for. Null: a value is not
  /// put at one place.
  void (*read_indices)(void const* stage, host_exec const&, std::span<std::byte const> side,
                       std::span<std::uint32_t> index, std::size_t n);
};

/// Everything that a stage with rounds of its own needs of one tensor of a call: it sums in + decay * residual over the
/// ranks into `out`.
struct reduce_call {
  const_values in;
  values out;
  std::span<stage_ref const> transforms{};  // that stand before the stage
  void* residual = nullptr;                 // none, or in.n values of residual_type
  element_type residual_type = element_type::float32;
  float decay = 1;
  std::span<float> state{};
  bool mean = true;
  pass_options at{};
};
/// All tensors of a call at once, so that a stage may send one message for all of them.
struct rounds_loops {
  std::size_t (*scratch_bytes)(void const* stage, reduce_shape const&);
  /// What the ranks compare beside the call's arguments, if a state decides what is sent.
  std::string (*setting)(void const* stage, std::span<reduce_call const>);
  /// `memory`: scratch_bytes of it. Returns the bytes this rank sent.
  std::size_t (*reduce)(void const* stage, host_exec const&, communicator_ref&, std::span<reduce_call const>,
                        std::span<std::byte> memory);
};

struct host_ops {
  transform_loops const* transform = nullptr;
  quantizer_loops const* quantizer = nullptr;
  vector_loops const* vector = nullptr;
  rounds_loops const* rounds = nullptr;
};

template <class S>
inline constexpr transform_loops transform_loops_of = {
    [](void const* s, instruction_set isa, float* x, std::size_t n, std::uint64_t first, pass_options const& at) {
      as<S>(s).forward(isa, x, n, first, at);
    },
    [](void const* s, instruction_set isa, float* x, std::size_t n, std::uint64_t first, pass_options const& at) {
      as<S>(s).inverse(isa, x, n, first, at);
    }};

template <class Pieces>
inline constexpr decode_loops decode_loops_of = {
    &quantizer_tile<Pieces>::decode_on, &quantizer_tile<Pieces>::accumulate_on, &quantizer_tile<Pieces>::residual_on};
template <class S> constexpr quantizer_loops make_quantizer_loops() {
  quantizer_loops loops{[](void const* s, function_ref<void(void const*, encode_loop)> f) {
                          with_pieces(as<S>(s), [&](auto const& pieces) {
                            auto const& q = host_pieces_of(pieces);
                            f(&q, &quantizer_tile<std::remove_cvref_t<decltype(q)>>::encode_on);
                          });
                        },
                        [](void const* s, function_ref<void(void const*, decode_loops const&)> f) {
                          with_decoder(as<S>(s), [&](auto const& pieces) {
                            auto const& q = host_pieces_of(pieces);
                            f(&q, decode_loops_of<std::remove_cvref_t<decltype(q)>>);
                          });
                        }};
  if constexpr (S::bits < 8) {
    loops.pack = &pack_bits<S::bits>;
    loops.unpack = &unpack_bits<S::bits>;
  }
  return loops;
}
template <class S> inline constexpr quantizer_loops quantizer_loops_of = make_quantizer_loops<S>();

template <class S>
inline constexpr vector_loops vector_loops_of = {
    [](void const* s, std::size_t n) -> std::size_t {
      if constexpr (requires { as<S>(s).scratch_bytes(n); })
        return as<S>(s).scratch_bytes(n);
      else
        return 0;
    },
    [](void const* s, host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
       std::span<float> carrier, std::span<std::byte> scratch,
       pass_options const& at) { return as<S>(s).encode(ex, in, side, carrier, scratch, at); },
    [](void const* s, host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
       std::span<float> out, std::span<std::byte> scratch,
       pass_options const& at) { as<S>(s).decode(ex, side, carrier, out, scratch, at); },
    [] {
      using accumulate_t = decltype(vector_loops::accumulate);
      if constexpr (requires(S const& s, host_exec const& ex, std::span<std::byte const> side,
                             std::span<float const> carrier, std::span<float> out,
                             pass_options at) { s.accumulate(ex, side, carrier, out, 1.0f, at); })
        return accumulate_t{[](void const* s, host_exec const& ex, std::span<std::byte const> side,
                               std::span<float const> carrier, std::span<float> out, float sign,
                               pass_options const& at) { as<S>(s).accumulate(ex, side, carrier, out, sign, at); }};
      else
        return accumulate_t{};
    }(),
    [] {
      using read_indices_t = decltype(vector_loops::read_indices);
      if constexpr (requires(S const& s, host_exec const& ex, std::span<std::byte const> side,
                             std::span<std::uint32_t> index) { s.read_indices(ex, side, index, std::size_t{}); })
        return read_indices_t{[](void const* s, host_exec const& ex, std::span<std::byte const> side,
                                 std::span<std::uint32_t> index,
                                 std::size_t n) { as<S>(s).read_indices(ex, side, index, n); }};
      else
        return read_indices_t{};
    }()};

template <class S>
inline constexpr rounds_loops rounds_loops_of = {
    [](void const* s, reduce_shape const& shape) { return as<S>(s).reduce_scratch_bytes(shape); },
    []([[maybe_unused]] void const* s, [[maybe_unused]] std::span<reduce_call const> calls) -> std::string {
      if constexpr (requires { as<S>(s).reduce_setting(calls); })
        return as<S>(s).reduce_setting(calls);
      else
        return {};
    },
    [](void const* s, host_exec const& ex, communicator_ref& comm, std::span<reduce_call const> calls,
       std::span<std::byte> memory) -> std::size_t { return as<S>(s).reduce(ex, comm, calls, memory); }};

template <class S> constexpr host_ops make_host_ops() {
  host_ops ops;
  if constexpr (transform_stage<S>) ops.transform = &transform_loops_of<S>;
  if constexpr (quantizer_stage<S>) ops.quantizer = &quantizer_loops_of<S>;
  if constexpr (vector_stage<S>) ops.vector = &vector_loops_of<S>;
  if constexpr (has_reduce<S>) ops.rounds = &rounds_loops_of<S>;
  return ops;
}
template <class S> inline constexpr host_ops host_ops_table = make_host_ops<S>();
template <class S> host_ops const& host_ops_of() {
  if constexpr (CCOMP_LINKED && standard_stage<S>)
    return compiled_table<host_ops, S>();
  else
    return host_ops_table<S>;
}

/// The stages of a compressor as the host's engine wants them.
template <stage S> std::array<stage_ref, 1> host_stages_of(S const& s) {
  return {{{&s, &facts_of<S>(), &host_ops_of<S>()}}};
}
template <class... S> std::array<stage_ref, sizeof...(S)> host_stages_of(chain<S...> const& c) {
  return std::apply(
      [](auto const&... s) {
        return std::array<stage_ref, sizeof...(S)>{
            {{&s, &facts_of<std::remove_cvref_t<decltype(s)>>(), &host_ops_of<std::remove_cvref_t<decltype(s)>>()}...}};
      },
      c.stages);
}
/// Chains known at run time bring theirs.
template <run_time_chain C> program host_stages_of(C const& c) { return c.stages(); }

}  // namespace detail
CCOMP_END
