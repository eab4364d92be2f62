#pragma once
/// The headers of slots in device memory: kernels write them, add up checksums, and check both.

#include <ccomp/collective/call.hpp>
#include <ccomp/engine/cuda/status.cuh>
#include <ccomp/engine/cuda/tile.cuh>

#include <algorithm>

CCOMP_BEGIN
namespace detail {

/// A row of slots and the header that each begins with.
struct header_call {
  std::byte* slots = nullptr;
  std::uint64_t stride = 0, bytes = 0;
  unsigned count = 0, first_rank = 0;
  std::uint64_t fingerprint = 0;
  device_random at{};
  device_status* status = nullptr;
  bool checksums = false;

  __device__ slot_header header() const { return {fingerprint, at.now().number, 0, 0}; }
  __device__ slot_header* of(unsigned i) const { return reinterpret_cast<slot_header*>(slots + i * stride); }
};
CCOMP_KERNEL write_headers_kernel(header_call call) {
  unsigned const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < call.count) *call.of(i) = call.header();
}

/// Adds what the payloads of slot blockIdx.y contribute to its checksum, and the sender what the header contributes. The
/// receiver adds up in the header's last field: no other memory has to be cleared first.
template <bool Receiver> __global__ void __launch_bounds__(256) slot_sums_kernel(header_call call) {
  slot_header* const h = call.of(blockIdx.y);
  auto const* const words = reinterpret_cast<unsigned long long const*>(h);
  std::uint64_t const end = call.bytes / 8, stride = std::uint64_t{gridDim.x} * blockDim.x;
  std::uint64_t const mine = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  std::uint64_t sum = !Receiver && mine == 0 ? call.header().own_sum(call.bytes) : 0;
  for (std::uint64_t i = slot_header::words + mine; i < end; i += stride) sum += checksum_term(words[i], i);
  for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(full_warp, sum, d);
  if (threadIdx.x % 32 == 0)
    atomicAdd(reinterpret_cast<unsigned long long*>(Receiver ? &h->taken : &h->checksum),
              static_cast<unsigned long long>(sum));
}

/// One warp, of which one lane reports: the first slot that is wrong.
CCOMP_KERNEL check_headers_kernel(header_call call) {
  slot_header const want = call.header();
  for (unsigned first = 0; first < call.count; first += 32) {
    unsigned const i = first + threadIdx.x;
    slot_header const found = i < call.count ? *call.of(i) : want;
    bool damaged = false;
    if (call.checksums && i < call.count) {
      damaged = found.own_sum(call.bytes) + found.taken != found.checksum;
      call.of(i)->taken = 0;  // a ring sends the slot on
    }
    bool const wrong = damaged || found.fingerprint != want.fingerprint || found.sequence != want.sequence;
    unsigned const all = __ballot_sync(full_warp, wrong);
    if (all == 0) continue;
    if (threadIdx.x == static_cast<unsigned>(__ffs(static_cast<int>(all)) - 1))
      report_other_call(call.status, {call.first_rank + i, found.fingerprint, found.sequence, want.fingerprint,
                                      want.sequence, damaged});
    return;
  }
}

/// The kernels on a stream.
class device_slots {
 public:
  device_slots(cuda_exec const& ex, header_call const& call, slot_row const& slots, std::size_t first_rank = 0)
      : ex_(ex), call_(call) {
    call_.slots = slots.data;
    call_.stride = slots.stride;
    call_.bytes = slots.size();
    call_.count = static_cast<unsigned>(slots.count);
    call_.first_rank = static_cast<unsigned>(first_rank);
  }

  void write() const {
    launch(ex_, "write_headers", write_headers_kernel<>, dim3((call_.count + 127) / 128), 128, call_);
  }
  void seal() const {
    if (!call_.checksums) return;
    write();  // from zero: the slot may have been sent before
    add<false>();
  }
  void check() const {
    if (call_.checksums) add<true>();
    launch(ex_, "check_headers", check_headers_kernel<>, dim3(call_.count > 0 ? 1 : 0), 32, call_);
  }

 private:
  template <bool Receiver> void add() const {
    constexpr unsigned threads = 256, words_of_thread = 4, most_rows = 65535;
    unsigned const blocks = static_cast<unsigned>(
        std::clamp<std::size_t>(ceil_div(call_.bytes / 8, std::size_t{threads} * words_of_thread), 1, 2048));
    header_call now = call_;
    for (unsigned first = 0; first < call_.count; first += most_rows) {
      now.slots = call_.slots + first * call_.stride;
      launch(ex_, "slot_sums", slot_sums_kernel<Receiver>, dim3(blocks, std::min(most_rows, call_.count - first)),
             threads, now);
    }
  }

  cuda_exec const& ex_;
  header_call call_;
};

}  // namespace detail
CCOMP_END
