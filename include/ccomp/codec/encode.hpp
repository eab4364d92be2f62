#pragma once
/// encode, encode_feedback, decode and decode_accumulate: one pass over one tensor, with any exec. Payloads have no
/// frame: sizes depend on the compressor, n and the element type only. compress.hpp adds a frame that describes the
/// payload.
///
/// With a cuda_exec, all memory is device memory, each call is asynchronous on the stream, and no call allocates once
/// the workspace has grown. The bytes are the same as on the host. A chain without a vector stage is one kernel.

#include <ccomp/codec/engine.hpp>

CCOMP_BEGIN

/// Bytes that a payload of n values of type T may take. Stages whose input decides how much they send may
/// take less; all others take exactly this size. Throws invalid_argument beyond 2^56 values.
template <element T = float, compressor C> std::size_t payload_bytes(C const& c, std::size_t n) {
  detail::expect_countable(n, "payload_bytes");
  auto const stages = detail::stages_of(c);
  detail::validate(stages);
  return detail::capacity(stages, n, element_type_of<T>);
}

namespace detail {

/// The part that depends on the engine alone, so that all chains of the host share it.
template <bool Feedback, class Engine, class Exec>
std::size_t encode_by(Engine const& engine, char const* call, program stages, const_values x, residual_ref residual,
                      std::span<std::byte> payload, workspace<Exec>& ws, pass_options const& at) {
  expect_aligned(payload.data(), call);
  expect_payload(payload.size(), capacity(stages, x.n, x.type), call);
  engine.expect_memory(payload.data(), "the payload");
  engine.expect_memory(x.data, "the input");
  engine.expect_memory(residual.data, "the residual");
  engine.expect_step(at.at);
  [[maybe_unused]] auto const queued = engine.queue();
  auto const memory = ws.reserve(engine.template encode_scratch<Feedback>(x), call);
  return engine.template encode<Feedback>(x, residual, at, payload, memory);
}
template <class Engine, class Exec>
void decode_by(Engine const& engine, char const* call, std::span<std::byte const> payload, values y, bool add,
               workspace<Exec>& ws, pass_options const& at) {
  expect_aligned(payload.data(), call);
  engine.expect_whole(payload, y);
  engine.expect_memory(payload.data(), "the payload");
  engine.expect_memory(y.data, "the output");
  engine.expect_step(at.at);
  [[maybe_unused]] auto const queued = engine.queue();
  auto const memory = ws.reserve(engine.decode_scratch(y), call);
  engine.decode(payload, y, add, at, memory);
}

template <bool Feedback, class Exec, class C>
std::size_t encode_tensor(char const* call, Exec const& ex, C const& c, const_values x, residual_ref residual,
                          std::span<std::byte> payload, workspace<Exec>& ws, pass_options const& at) {
  exclusive_use const alone(ws.usage(), call, "workspace");
  auto const stages = codec_engine<Exec>::stages_of(c);
  validate(stages);
  if (Feedback) expect_step(call, stages, at.at);
  auto const engine = codec_engine<Exec>::make(ex, c, stages, ws, call);
  return encode_by<Feedback>(engine, call, stages, x, residual, payload, ws, at);
}

template <class Exec, class C>
void decode_tensor(char const* call, Exec const& ex, C const& c, std::span<std::byte const> payload, values y, bool add,
                   workspace<Exec>& ws, pass_options const& at) {
  exclusive_use const alone(ws.usage(), call, "workspace");
  auto const stages = codec_engine<Exec>::stages_of(c);
  validate(stages);
  auto const engine = codec_engine<Exec>::make(ex, c, stages, ws, call);
  decode_by(engine, call, payload, y, add, ws, at);
}

}  // namespace detail

/// Codes `in` and returns how many bytes of `payload` are used. `payload` has at least `payload_bytes<T>(c, n)` bytes
/// and starts at a multiple of 16. With a cuda_exec, only the device knows how much of it a stage whose input
/// decides the size has used: the unused rest is filled with zeros.
template <class Exec, compressor C, class In>
std::size_t encode(Exec const& ex, C const& c, In const& in, std::span<std::byte> payload, workspace<Exec>& ws,
                   pass_options at = {}) {
  if constexpr (detail::codec_exists<Exec>())
    return detail::encode_tensor<false>("encode", ex, c, detail::view(detail::input_span(in)), {}, payload, ws, at);
  else
    return 0;
}

/// Codes in + decay * residual and keeps in the residual what the payload does not hold. If a block is not finite, its
/// residual is unchanged. Residual: float or bfloat16 (stochastically rounded), n values. A chain that draws random
/// bits needs a step, `{.at = step}`, and a new step for each call.
template <class Exec, compressor C, class In, class Residual>
std::size_t encode_feedback(Exec const& ex, C const& c, In const& in, Residual&& residual, std::span<std::byte> payload,
                            workspace<Exec>& ws, pass_options at = {}, float decay = 1.0f) {
  if constexpr (detail::codec_exists<Exec>()) {
    auto const x = detail::view(detail::input_span(in));
    auto const r = detail::view(detail::residual_span(residual));
    detail::expects(r.n == x.n, [&] {
      return detail::sentence("encode_feedback: the tensor has ", x.n, " values, the residual ", r.n);
    });
    return detail::encode_tensor<true>("encode_feedback", ex, c, x, {r.data, r.type, decay}, payload, ws, at);
  } else {
    return 0;
  }
}

/// Decodes the payload into n values. For bytes that no encode produces, the host throws payload_error; a GPU skips
/// what is wrong and reports it through the workspace.
template <class Exec, compressor C, class Out>
void decode(Exec const& ex, C const& c, std::span<std::byte const> payload, Out&& out, workspace<Exec>& ws,
            pass_options at = {}) {
  if constexpr (detail::codec_exists<Exec>())
    detail::decode_tensor("decode", ex, c, payload, detail::view(detail::output_span(out)), false, ws, at);
}

/// out += the decoded payload.
template <class Exec, compressor C, class Out>
void decode_accumulate(Exec const& ex, C const& c, std::span<std::byte const> payload, Out&& out, workspace<Exec>& ws,
                       pass_options at = {}) {
  if constexpr (detail::codec_exists<Exec>())
    detail::decode_tensor("decode_accumulate", ex, c, payload, detail::view(detail::output_span(out)), true, ws, at);
}

CCOMP_END
