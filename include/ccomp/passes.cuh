#pragma once
/// One tensor, one pass, on a GPU: the calls of passes.hpp with a cuda_exec. Each is asynchronous on the stream, one
/// kernel, without allocation; the bytes are those of the host.
///
/// Block chains only so far: a chain with a sparsifier or low rank in it is refused.

#include <ccomp/engine/cuda/block_passes.cuh>
#include <ccomp/passes.hpp>

CCOMP_BEGIN
namespace detail {

template <device_pass Pass, stage S> device_program<Pass> device_program_of(S const&, program stages) {
  return {stages, {&device_ops_of<Pass, S>}};
}
template <device_pass Pass, class... S> device_program<Pass> device_program_of(chain<S...> const&, program stages) {
  static_assert(sizeof...(S) <= device_program<Pass>::most_stages, "ccomp: a chain on a GPU has at most 16 stages");
  return {stages, {&device_ops_of<Pass, S>...}};
}

/// Makes the call of one pass over n values, which `fill` completes, and queues it.
template <device_pass Pass, class C, class Fill>
void run_on_device(cuda_exec const& ex, C const& c, std::size_t n, element_type type, pass_options const& at,
                   Fill const& fill) {
  auto const stages = stages_of(c);
  auto const device = device_program_of<Pass>(c, stages);
  auto k = block_call_of(device, n, type, at);
  fill(k);
  run_pass(ex, device, k);
}

/// Checks that every call makes before anything is queued.
inline void expect_device_payload(cuda_exec const& ex, std::span<std::byte const> payload, std::size_t need,
                                  char const* call) {
  expect_device(ex, call);
  expect_aligned(payload.data(), call);
  expect_payload(payload.size(), need, call);
  expect_device_memory(ex, payload.data(), call, "the payload");
}

template <device_pass Pass, class C, class T>
std::size_t encode_on_device(cuda_exec const& ex, C const& c, std::span<T const> x, device_values residual, float decay,
                             std::span<std::byte> payload, pass_options const& at, char const* call) {
  auto const stages = stages_of(c);
  validate(stages);
  std::size_t const bytes = capacity(stages, x.size(), element_type_of<T>);
  expect_device_payload(ex, payload, bytes, call);
  expect_device_memory(ex, x.data(), call, "the input");
  expect_device_memory(ex, residual.data, call, "the residual");
  run_on_device<Pass>(ex, c, x.size(), element_type_of<T>, at, [&](block_call& k) {
    k.in = {x.data(), element_type_of<T>};
    k.residual = residual;
    k.decay = decay;
    k.payload = payload.data();
  });
  return bytes;
}

template <class C, class T>
void decode_on_device(cuda_exec const& ex, C const& c, std::span<std::byte const> payload, std::span<T> y,
                      bool add_to_out, pass_options const& at, char const* call) {
  auto const stages = stages_of(c);
  validate(stages);
  expect_device_payload(ex, payload, capacity(stages, y.size(), element_type_of<T>), call);
  expect_device_memory(ex, y.data(), call, "the output");
  run_on_device<device_pass::decode>(ex, c, y.size(), element_type_of<T>, at, [&](block_call& k) {
    k.sources = payload.data();
    k.source_count = 1;
    k.out = {y.data(), element_type_of<T>};
    k.add_to_out = add_to_out;
  });
}

}  // namespace detail

/// As on the host: queues the coding of `in` and returns the bytes that the payload takes.
template <compressor C, class In>
std::size_t encode(cuda_exec const& ex, C const& c, In const& in, std::span<std::byte> payload, pass_options at = {}) {
  std::span const x(in);
  using T = std::remove_cv_t<typename decltype(x)::element_type>;
  return detail::encode_on_device<detail::device_pass::encode>(ex, c, std::span<T const>(x), {}, 1.0f, payload, at,
                                                               "encode");
}

/// As on the host; residual: float or bfloat16 in device memory, n values.
template <compressor C, class In, class R>
std::size_t encode_feedback(cuda_exec const& ex, C const& c, In const& in, std::span<R> residual,
                            std::span<std::byte> payload, pass_options at = {}, float decay = 1.0f) {
  static_assert(std::same_as<R, float> || std::same_as<R, bfloat16>,
                "ccomp::encode_feedback: the residual is float or bfloat16");
  std::span const x(in);
  using T = std::remove_cv_t<typename decltype(x)::element_type>;
  detail::expects(residual.size() == x.size(), [&] {
    return "encode_feedback: the tensor has " + std::to_string(x.size()) + " values, the residual " +
           std::to_string(residual.size());
  });
  return detail::encode_on_device<detail::device_pass::encode_feedback>(
      ex, c, std::span<T const>(x), {residual.data(), element_type_of<R>}, decay, payload, at, "encode_feedback");
}

/// Writes the n values that the payload stands for.
template <compressor C, class Out>
void decode(cuda_exec const& ex, C const& c, std::span<std::byte const> payload, Out&& out, pass_options at = {}) {
  std::span const y(out);
  detail::decode_on_device(ex, c, payload, y, false, at, "decode");
}

/// out += what the payload stands for.
template <compressor C, class Out>
void decode_accumulate(cuda_exec const& ex, C const& c, std::span<std::byte const> payload, Out&& out,
                       pass_options at = {}) {
  std::span const y(out);
  detail::decode_on_device(ex, c, payload, y, true, at, "decode_accumulate");
}

CCOMP_END
