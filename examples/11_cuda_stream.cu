// Encoding and decoding on a GPU, asynchronously on streams; the bytes are those of the host.
#include "gpu.hpp"

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>
#include <ccomp/quantize/natural.hpp>

#include <memory>

int main() {
  gpu::count();
  std::size_t const n = 100'000;
  ccomp::natural const compressor;
  std::size_t const bytes = ccomp::payload_bytes(compressor, n);
  auto const gradient = gpu::gradient_of(0, n);

  gpu::stream const first, second;
  gpu::memory<float> const in(gradient), decoded(n), again(n);
  gpu::memory<std::byte> const payload(bytes), other(bytes);

  ccomp::cuda_exec const ex(first.get()), beside(second.get());  // of the device that is current
  ccomp::workspace ws{ex}, ws_beside{beside};                    // one a stream
  // All calls return at once; what one stream is told to do, it does in order.
  ccomp::encode(ex, compressor, in.span(), payload.span(), ws, {.at = 7});
  ccomp::decode(ex, compressor, payload.span(), decoded.span(), ws, {.at = 7});
  ccomp::encode(beside, compressor, in.span(), other.span(), ws_beside, {.at = 7});
  ccomp::decode(beside, compressor, other.span(), again.span(), ws_beside, {.at = 7});
  ex.synchronize();
  beside.synchronize();

  ccomp::workspace host_ws{ccomp::host_exec{}};
  std::vector<float> expected(n), storage(bytes / sizeof(float) + 4);
  void* start = storage.data();
  std::size_t space = storage.size() * sizeof(float);
  std::span const host_payload(static_cast<std::byte*>(std::align(16, bytes, start, space)), bytes);
  ccomp::encode(ccomp::host_exec{}, compressor, gradient, host_payload, host_ws, {.at = 7});
  ccomp::decode(ccomp::host_exec{}, compressor, host_payload, expected, host_ws, {.at = 7});
  bool const good = decoded.to_host() == expected && again.to_host() == expected;
  std::printf("%s: %zu values, %zu bytes, both streams%s the host's result\n", good ? "ok" : "WRONG", n, bytes,
              good ? " gave" : " did not give");
  return good ? 0 : 1;
}
