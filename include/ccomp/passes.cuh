#pragma once
/// One tensor, one pass, on a GPU: the calls of passes.hpp with a cuda_exec. Each is asynchronous on the stream and
/// allocates nothing once the workspace has grown; the bytes are those of the host. Block chains are one kernel.

#include <ccomp/engine/cuda/passes.cuh>
#include <ccomp/passes.hpp>

CCOMP_BEGIN
namespace detail {

/// Checks that every call makes before anything is queued.
inline void expect_device_payload(cuda_exec const& ex, std::span<std::byte const> payload, std::size_t need,
                                  workspace<cuda_exec>& ws, char const* call) {
  expect_device(ex, call);
  ws.expect_stream(ex, call);
  ws.raise(call);
  expect_aligned(payload.data(), call);
  expect_payload(payload.size(), need, call);
  expect_device_memory(ex, payload.data(), call, "the payload");
}
/// Only vector stages find fault with payloads.
inline device_status* status_for(program stages, workspace<cuda_exec>& ws, char const* call) {
  return first_segment(stages).vector() ? ws.status(call) : nullptr;
}

template <device_pass Pass, class C, class T>
std::size_t encode_on_device(cuda_exec const& ex, C const& c, std::span<T const> x, device_values residual, float decay,
                             std::span<std::byte> payload, workspace<cuda_exec>& ws, pass_options const& at,
                             char const* call) {
  auto const stages = stages_of(c);
  validate(stages);
  std::size_t const bytes = capacity(stages, x.size(), element_type_of<T>);
  expect_device_payload(ex, payload, bytes, ws, call);
  expect_device_memory(ex, x.data(), call, "the input");
  expect_device_memory(ex, residual.data, call, "the residual");
  expect_device_memory(ex, at.at.on_device, call, "the step");
  block_call k = device_call(x.size(), element_type_of<T>, at);
  queued_call const queued(ex, ws);
  ws.note_use(residual.data);
  k.in = {x.data(), element_type_of<T>};
  k.residual = residual;
  k.decay = decay;
  k.payload = payload.data();
  k.status = status_for(stages, ws, call);
  run_on_device<Pass>(ex, c, k, ws, call);
  return bytes;
}

template <class C, class T>
void decode_on_device(cuda_exec const& ex, C const& c, std::span<std::byte const> payload, std::span<T> y,
                      bool add_to_out, workspace<cuda_exec>& ws, pass_options const& at, char const* call) {
  auto const stages = stages_of(c);
  validate(stages);
  expect_device_payload(ex, payload, capacity(stages, y.size(), element_type_of<T>), ws, call);
  expect_device_memory(ex, y.data(), call, "the output");
  expect_device_memory(ex, at.at.on_device, call, "the step");
  block_call k = device_call(y.size(), element_type_of<T>, at);
  queued_call const queued(ex, ws);
  k.sources = payload.data();
  k.source_count = 1;
  k.out = {y.data(), element_type_of<T>};
  k.add_to_out = add_to_out;
  k.status = status_for(stages, ws, call);
  run_on_device<device_pass::decode>(ex, c, k, ws, call);
}

}  // namespace detail

/// As on the host: queues the coding of `in` and returns the bytes that the payload may take. A threshold, whose true
/// size only the device knows, fills what it does not use with zeros.
template <compressor C, class In>
std::size_t encode(cuda_exec const& ex, C const& c, In const& in, std::span<std::byte> payload,
                   workspace<cuda_exec>& ws, pass_options at = {}) {
  detail::exclusive_use const alone(ws.usage(), "encode", "workspace");
  auto const x = detail::input_span(in);
  using T = std::remove_cv_t<typename decltype(x)::element_type>;
  return detail::encode_on_device<detail::device_pass::encode>(ex, c, std::span<T const>(x), {}, 1.0f, payload, ws, at,
                                                               "encode");
}

/// As on the host; residual: float or bfloat16 in device memory, n values.
template <compressor C, class In, class Residual>
std::size_t encode_feedback(cuda_exec const& ex, C const& c, In const& in, Residual&& rest,
                            std::span<std::byte> payload, workspace<cuda_exec>& ws, pass_options at = {},
                            float decay = 1.0f) {
  auto const residual = detail::residual_span(rest);
  using R = typename decltype(residual)::element_type;
  detail::exclusive_use const alone(ws.usage(), "encode_feedback", "workspace");
  auto const x = detail::input_span(in);
  using T = std::remove_cv_t<typename decltype(x)::element_type>;
  detail::expects(residual.size() == x.size(), [&] {
    return "encode_feedback: the tensor has " + std::to_string(x.size()) + " values, the residual " +
           std::to_string(residual.size());
  });
  detail::expect_step("encode_feedback", detail::stages_of(c), at.at);
  return detail::encode_on_device<detail::device_pass::encode_feedback>(
      ex, c, std::span<T const>(x), {residual.data(), element_type_of<R>}, decay, payload, ws, at, "encode_feedback");
}

/// Queues the decoding of the n values that the payload stands for. Of a payload that no encode produces, what is wrong
/// is left out and reported through the workspace.
template <compressor C, class Out>
void decode(cuda_exec const& ex, C const& c, std::span<std::byte const> payload, Out&& out, workspace<cuda_exec>& ws,
            pass_options at = {}) {
  detail::exclusive_use const alone(ws.usage(), "decode", "workspace");
  auto const y = detail::output_span(out);
  detail::decode_on_device(ex, c, payload, y, false, ws, at, "decode");
}

/// out += what the payload stands for.
template <compressor C, class Out>
void decode_accumulate(cuda_exec const& ex, C const& c, std::span<std::byte const> payload, Out&& out,
                       workspace<cuda_exec>& ws, pass_options at = {}) {
  detail::exclusive_use const alone(ws.usage(), "decode_accumulate", "workspace");
  auto const y = detail::output_span(out);
  detail::decode_on_device(ex, c, payload, y, true, ws, at, "decode_accumulate");
}

CCOMP_END
