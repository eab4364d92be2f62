#pragma once
/// One tensor, one pass: encode, encode with feedback, decode, decode-accumulate. Payloads are bare (no frame): sizes
/// follow from the compressor, n and the element type. See codec.hpp for self-describing bytes.

#include <ccomp/chain.hpp>
#include <ccomp/engine/host/passes.hpp>
#include <ccomp/exclusive.hpp>
#include <ccomp/exec/reach.hpp>
#include <ccomp/tensor.hpp>
#include <ccomp/workspace.hpp>

CCOMP_BEGIN

/// Bytes that a payload of n values of type T may take; nearly every compressor takes exactly these. Throws
/// invalid_argument beyond 2^56 values.
template <element T = float, compressor C> std::size_t payload_bytes(C const& c, std::size_t n) {
  detail::expect_countable(n, "payload_bytes");
  auto const stages = detail::stages_of(c);
  detail::validate(stages);
  return detail::capacity(stages, n, element_type_of<T>);
}

namespace detail {

inline void expect_aligned(void const* p, char const* call) {
  expects(reinterpret_cast<std::uintptr_t>(p) % 16 == 0,
          [&] { return std::string(call) + ": the payload must start on 16 bytes"; });
}
inline void expect_payload(std::size_t have, std::size_t need, char const* call) {
  expects(have >= need, [&] {
    return std::string(call) + ": the payload has " + std::to_string(have) + " bytes, " + std::to_string(need) +
           " needed";
  });
}

}  // namespace detail

/// Codes `in`; returns the bytes used of `payload` (at least `payload_bytes<T>(c, n)` bytes, starting on 16).
template <compressor C, class In>
std::size_t encode(host_exec const& ex, C const& c, In const& in, std::span<std::byte> payload,
                   workspace<host_exec>& ws, pass_options at = {}) {
  detail::exclusive_use const alone(ws.usage(), "encode", "workspace");
  auto const x = detail::input_span(in);
  using T = std::remove_cv_t<typename decltype(x)::element_type>;
  auto const stages = detail::stages_of(c);
  detail::validate(stages);
  detail::expect_host_memory(x.data(), "encode", "the input");
  detail::expect_host_memory(payload.data(), "encode", "the payload");
  detail::expect_aligned(payload.data(), "encode");
  detail::expect_payload(payload.size(), detail::capacity(stages, x.size(), element_type_of<T>), "encode");
  detail::scratch const memory(ws.reserve(detail::scratch_bytes(stages, x.size())));
  return detail::encode(stages, {ex, at}, detail::view(std::span<T const>(x)), element_type_of<T>, {}, payload, memory);
}

/// Codes in + decay * residual and leaves in the residual what the payload does not hold.
/// A block that is not finite keeps its residual. Residual: float or bfloat16 (stochastically rounded), n values.
/// A chain that draws random bits needs a step, `{.at = step}`, and a new one for each call.
template <compressor C, class In, class Residual>
std::size_t encode_feedback(host_exec const& ex, C const& c, In const& in, Residual&& rest,
                            std::span<std::byte> payload, workspace<host_exec>& ws, pass_options at = {},
                            float decay = 1.0f) {
  auto const residual = detail::residual_span(rest);
  using R = typename decltype(residual)::element_type;
  detail::exclusive_use const alone(ws.usage(), "encode_feedback", "workspace");
  auto const x = detail::input_span(in);
  using T = std::remove_cv_t<typename decltype(x)::element_type>;
  auto const stages = detail::stages_of(c);
  detail::validate(stages);
  detail::expects(residual.size() == x.size(), [&] {
    return "encode_feedback: the tensor has " + std::to_string(x.size()) + " values, the residual " +
           std::to_string(residual.size());
  });
  detail::expect_step("encode_feedback", stages, at.at);
  detail::expect_host_memory(x.data(), "encode_feedback", "the input");
  detail::expect_host_memory(payload.data(), "encode_feedback", "the payload");
  detail::expect_host_memory(residual.data(), "encode_feedback", "the residual");
  detail::expect_aligned(payload.data(), "encode_feedback");
  detail::expect_payload(payload.size(), detail::capacity(stages, x.size(), element_type_of<T>), "encode_feedback");
  detail::scratch const memory(ws.reserve(detail::scratch_bytes(stages, x.size())));
  return detail::encode(stages, {ex, at}, detail::view(std::span<T const>(x)), element_type_of<T>,
                        {residual.data(), element_type_of<R>, decay}, payload, memory);
}

/// Writes the n values that the payload stands for. Throws payload_error on bytes that no encode produces.
template <compressor C, class Out>
void decode(host_exec const& ex, C const& c, std::span<std::byte const> payload, Out&& out, workspace<host_exec>& ws,
            pass_options at = {}) {
  detail::exclusive_use const alone(ws.usage(), "decode", "workspace");
  auto const y = detail::output_span(out);
  using T = typename decltype(y)::element_type;
  auto const stages = detail::stages_of(c);
  detail::validate(stages);
  detail::expect_host_memory(y.data(), "decode", "the output");
  detail::expect_host_memory(payload.data(), "decode", "the payload");
  detail::expect_aligned(payload.data(), "decode");
  detail::scratch const memory(ws.reserve(detail::scratch_bytes(stages, y.size())));
  std::byte const* const one[] = {payload.data()};
  detail::sum_decoded(stages, {ex, at}, one, payload.size(), element_type_of<T>, detail::view(y), 1.0f, memory);
}

/// out += what the payload stands for.
template <compressor C, class Out>
void decode_accumulate(host_exec const& ex, C const& c, std::span<std::byte const> payload, Out&& out,
                       workspace<host_exec>& ws, pass_options at = {}) {
  detail::exclusive_use const alone(ws.usage(), "decode_accumulate", "workspace");
  auto const y = detail::output_span(out);
  using T = typename decltype(y)::element_type;
  auto const stages = detail::stages_of(c);
  detail::validate(stages);
  detail::expect_host_memory(y.data(), "decode_accumulate", "the output");
  detail::expect_host_memory(payload.data(), "decode_accumulate", "the payload");
  detail::expect_aligned(payload.data(), "decode_accumulate");
  detail::scratch const memory(ws.reserve(detail::scratch_bytes(stages, y.size())));
  std::byte const* const one[] = {payload.data()};
  detail::sum_decoded(stages, {ex, at}, one, payload.size(), element_type_of<T>, detail::view(y), 1.0f, memory, true);
}

CCOMP_END
