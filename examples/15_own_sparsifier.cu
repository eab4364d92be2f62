// Your own sparsifier with kernels, in two files beside this one: the same bytes on the host and on a GPU, in a
// chain, with error feedback, and in an allreduce.
#include "block_peak.cuh"
#include "gpu.hpp"

int main() {
  gpu::count();
  std::size_t const n = 100'101;  // the last block holds 5 values, fewer than a warp has threads
  auto const compressor = mylab::block_peak{} | ccomp::uniform_quantize<8>{};
  auto const gradient = gpu::gradient_of(15, n);
  std::size_t const bytes = ccomp::payload_bytes(compressor, n);

  gpu::stream const stream;
  ccomp::cuda_exec const ex(stream.get());
  ccomp::workspace ws{ex};
  gpu::memory<float> const in(gradient), left{std::vector<float>(n)}, decoded(n);
  gpu::memory<std::byte> const payload(bytes);
  ccomp::encode_feedback(ex, compressor, in.span(), left.span(), payload.span(), ws, {.at = 0});
  ccomp::decode(ex, compressor, payload.span(), decoded.span(), ws);
  ex.synchronize();

  ccomp::host_exec const host;
  ccomp::workspace host_ws{host};
  std::vector<float> expected(n), residual(n);
  std::vector<std::byte> frame(bytes + 16);
  void* start = frame.data();
  std::size_t space = frame.size();
  std::span const host_payload(static_cast<std::byte*>(std::align(16, bytes, start, space)), bytes);
  ccomp::encode_feedback(host, compressor, gradient, residual, host_payload, host_ws, {.at = 0});
  ccomp::decode(host, compressor, host_payload, expected, host_ws);

  auto const device_payload = payload.to_host();
  bool good = std::equal(device_payload.begin(), device_payload.end(), host_payload.begin(), host_payload.end()) &&
              decoded.to_host() == expected && left.to_host() == residual;

  // Two ranks, threads of this process, add their gradients through it.
  std::vector<std::vector<float>> sums(2);
  ccomp::thread_group(2).run([&](ccomp::thread_communicator& comm) {
    gpu::stream const own;
    // [feedback]
    ccomp::cuda_exec const rank_ex(own.get());
    ccomp::workspace rank_ws{rank_ex};
    gpu::memory<float> const mine(gpu::gradient_of(comm.rank(), n));
    ccomp::error_feedback feedback{compressor, n, rank_ex};  // the residual lies on the device
    ccomp::allreduce(rank_ex, comm, feedback, mine.span(), rank_ws, {.at = 0});
    // [/feedback]
    rank_ex.synchronize();
    sums[static_cast<std::size_t>(comm.rank())] = mine.to_host();
  });
  good = good && sums[0] == sums[1];
  std::printf("%s: %zu of %zu values sent in %zu bytes, the same on host and device\n", good ? "ok" : "WRONG",
              mylab::block_peak{}.carrier_size(n), n, bytes);
  return good ? 0 : 1;
}
