// Calls with a cuda_exec: asynchronous, without allocation, and what they refuse.
#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/device_array.hpp>
#include <support/cuda/recorded_graph.hpp>
#include <support/text_checks.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>
#include <ccomp/collectives.cuh>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

using namespace ccomp;
using support::device_array;
using support::has;

namespace {

uniform_quantize<8> const eight_bits{};  // of values of 127 the scale is 1: nothing is rounded
constexpr std::size_t length = 3000;

/// What `call` throws, and that it queued nothing.
template <class Error, class Call> std::string refusal(Call const& call) {
  std::size_t const launches = cudart_sim::count().launches;
  std::string text = "nothing was thrown";
  try {
    call();
  } catch (Error const& e) {
    text = e.what();
  }
  CHECK(cudart_sim::count().launches == launches);
  return text;
}

}  // namespace

TEST_CASE("cuda: passes return before the work is done, allocate nothing and never wait") {
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  {
    device_array<float> const in(std::vector<float>(length, 127.0f)), out(length), rest(length);
    device_array<std::byte> const payload(payload_bytes(eight_bits, length));
    cuda_exec const ex{stream};
    workspace ws{ex};
    cudart_sim::hold_stream hold(stream);
    auto const before = cudart_sim::count();
    std::span const bytes(payload.data(), payload.size());
    encode_feedback(ex, eight_bits, std::span<float const>(in.data(), length), std::span(rest.data(), length), bytes,
                    ws);
    decode(ex, eight_bits, bytes, std::span(out.data(), length), ws);
    decode_accumulate(ex, eight_bits, bytes, std::span(out.data(), length), ws);
    auto const after = cudart_sim::count();
    CHECK(after.launches == before.launches + 3);
    CHECK(after.allocations == before.allocations);
    CHECK(after.host_syncs == before.host_syncs);
    CHECK(cudart_sim::pending() >= 3);
    hold.release();
    ex.synchronize();
    CHECK(out.values() == std::vector<float>(length, 254.0f));
  }
  REQUIRE(cudaStreamDestroy(stream) == cudaSuccess);
}

TEST_CASE("cuda: a captured pass can be replayed") {
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  {
    device_array<float> const in(std::vector<float>(length, 127.0f)), out(length);
    device_array<std::byte> const payload(payload_bytes(eight_bits, length));
    cuda_exec const ex{stream};
    workspace ws{ex};
    std::span const bytes(payload.data(), payload.size());
    support::recorded_graph const graph(ex, [&] {
      CHECK(ex.capturing());
      encode(ex, eight_bits, std::span<float const>(in.data(), length), bytes, ws);
      decode_accumulate(ex, eight_bits, bytes, std::span(out.data(), length), ws);
    });
    CHECK_FALSE(ex.capturing());
    for (int i = 0; i < 2; ++i) graph.launch();
    ex.synchronize();
    CHECK(out.values() == std::vector<float>(length, 254.0f));
  }
  REQUIRE(cudaStreamDestroy(stream) == cudaSuccess);
}

TEST_CASE("cuda: wrong arguments are refused in one sentence, before anything is queued") {
  device_array<float> const in(length), out(length);
  device_array<std::byte> const payload(payload_bytes(eight_bits, length));
  std::span<float const> const x(in.data(), length);
  std::span const y(out.data(), length), short_y = std::span(out.data(), length - 1);
  std::span const bytes(payload.data(), payload.size());
  cuda_exec const ex;
  workspace ws{ex};

  std::vector<float> host(length);
  std::string text = refusal<invalid_argument>([&] { encode(ex, eight_bits, host, bytes, ws); });
  CHECK((has(text, "encode: the input must be device memory") && has(text, "pageable host memory")));
  text = refusal<invalid_argument>([&] { decode(ex, eight_bits, bytes, host, ws); });
  CHECK(has(text, "decode: the output"));
  text = refusal<invalid_argument>([&] { encode_feedback(ex, eight_bits, x, std::span(host), bytes, ws); });
  CHECK(has(text, "encode_feedback: the residual"));
  alignas(16) static std::byte host_bytes[8192];
  text = refusal<invalid_argument>([&] { encode(ex, eight_bits, x, std::span(host_bytes), ws); });
  CHECK(has(text, "the payload must be device memory"));
  text = refusal<invalid_argument>([&] { encode(ex, eight_bits, x, bytes.first(bytes.size() - 16), ws); });
  CHECK((has(text, std::to_string(bytes.size() - 16)) && has(text, std::to_string(bytes.size()))));
  text = refusal<invalid_argument>([&] { decode(ex, eight_bits, bytes.subspan(4), y, ws); });
  CHECK(has(text, "start at a multiple of 16 bytes"));
  text = refusal<invalid_argument>([&] { encode_feedback(ex, eight_bits, x, short_y, bytes, ws); });
  CHECK((has(text, "3000") && has(text, "2999")));
  text = refusal<invalid_argument>([&] { encode(ex, uniform_quantize<8>{.block = 100}, x, bytes, ws); });
  CHECK(has(text, "block must be a power of two"));
}

TEST_CASE("cuda: device memory given to the host's calls is refused, not followed") {
  cuda_exec const ex;  // from the first one on the host asks
  alignas(16) static std::byte memory[4 * length];
  std::span<std::byte> const bytes(memory), frame = bytes.first(max_compressed_bytes(eight_bits, length));
  std::vector<float> values(length, 127.0f), more(length);
  std::span const host(values), rest(more);
  host_exec const here{1};
  workspace ws{here};
  compress(here, eight_bits, host, frame, ws);
  device_array<float> const x(length);
  device_array<std::byte> const there(std::vector<std::byte>(frame.begin(), frame.end()));
  std::span const device(x.data(), length);
  std::span const device_bytes(there.data(), there.size());
  self_communicator comm;
  error_feedback wrapper{eight_bits, length, ex};
  struct {
    std::string name;  // of the call and of what it was given
    std::function<void()> call;
  } const calls[] = {
      {"encode: the input", [&] { encode(here, eight_bits, device, bytes, ws); }},
      {"encode: the payload", [&] { encode(here, eight_bits, host, device_bytes, ws); }},
      {"encode_feedback: the input", [&] { encode_feedback(here, eight_bits, device, rest, bytes, ws); }},
      {"encode_feedback: the residual", [&] { encode_feedback(here, eight_bits, host, device, bytes, ws); }},
      {"decode: the payload", [&] { decode(here, eight_bits, device_bytes, host, ws); }},
      {"decode: the output", [&] { decode(here, eight_bits, bytes, device, ws); }},
      {"decode_accumulate: the payload", [&] { decode_accumulate(here, eight_bits, device_bytes, host, ws); }},
      {"decode_accumulate: the output", [&] { decode_accumulate(here, eight_bits, bytes, device, ws); }},
      {"compress: the input", [&] { compress(here, eight_bits, device, bytes, ws); }},
      {"compress: the output", [&] { compress(here, eight_bits, host, device_bytes, ws); }},
      {"decompress: the frame", [&] { decompress(here, eight_bits, device_bytes, host, ws); }},
      {"decompress: the output", [&] { decompress(here, eight_bits, frame, device, ws); }},
      {"inspect: the frame", [&] { inspect(device_bytes); }},
      {"allreduce: the tensor", [&] { allreduce(here, comm, eight_bits, device, ws); }},
      {"allreduce: the residual", [&] { allreduce(here, comm, wrapper, host, ws); }},
      {"allgather: the tensor", [&] { allgather(here, comm, eight_bits, device, rest, ws); }},
      {"allgather: the output", [&] { allgather(here, comm, eight_bits, host, device, ws); }},
      {"reduce_scatter: the tensor", [&] { reduce_scatter(here, comm, eight_bits, device, rest, ws); }},
      {"reduce_scatter: the output", [&] { reduce_scatter(here, comm, eight_bits, host, device, ws); }},
      {"broadcast: the tensor", [&] { broadcast(here, comm, eight_bits, device, 0, ws); }},
  };
  auto const before = std::vector(frame.begin(), frame.end());
  for (auto const& [name, call] : calls)
    has(refusal<invalid_argument>(call), name + " must be host memory for a host_exec, got device memory");
  CHECK(std::ranges::equal(frame, before));
  CHECK(host[0] == 127.0f);
  CHECK(rest[0] == 0.0f);
  CHECK(x.values() == std::vector<float>(length));
  CHECK(there.values() == before);
  CHECK(wrapper.residual_copy() == std::vector<float>(length));
  CHECK(encode(here, eight_bits, host, bytes, ws) == payload_bytes(eight_bits, length));
}

TEST_CASE("cuda: another device than the stream's") {
  if (!cudart_sim::set_device_count(2)) return;  // a machine with one GPU
  cuda_exec const ex;
  workspace ws{ex};
  REQUIRE(cudaSetDevice(1) == cudaSuccess);
  device_array<float> const x(16);
  device_array<std::byte> const payload(payload_bytes(eight_bits, 16));
  std::span<float const> const in(x.data(), 16);
  std::span const bytes(payload.data(), payload.size());
  std::string text = refusal<invalid_argument>([&] { encode(ex, eight_bits, in, bytes, ws); });
  CHECK(has(text, "the stream belongs to device 0, but device 1 is current"));
  REQUIRE(cudaSetDevice(0) == cudaSuccess);
  text = refusal<invalid_argument>([&] { encode(ex, eight_bits, in, bytes, ws); });
  CHECK(has(text, "lies on device 1, the stream belongs to device 0"));
  cudart_sim::set_device_count(1);
}

TEST_CASE("cuda: the runtime's failures are cuda_error") {
  device_array<float> const x(16);
  device_array<std::byte> const payload(payload_bytes(eight_bits, 16));
  cuda_exec const ex;
  workspace ws{ex};
  cudart_sim::fail_next("cudaLaunchKernel", cudaErrorLaunchOutOfResources);
  std::string text = refusal<cuda_error>([&] {
    encode(ex, eight_bits, std::span<float const>(x.data(), 16), std::span(payload.data(), payload.size()), ws);
  });
  CHECK(has(text, "encode: "));
  cudart_sim::set_device_count(0);
  CHECK_THROWS_AS(cuda_exec{}, cuda_error);
  cudart_sim::set_device_count(1);
}
