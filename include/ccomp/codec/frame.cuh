#pragma once
/// Headers and checksums of frames in device memory: the same bytes as on the host.

#include <ccomp/codec/frame.hpp>
#include <ccomp/core/payload.hpp>
#include <ccomp/engine/cuda/tile.cuh>

#include <algorithm>

CCOMP_BEGIN
namespace detail {

using checksum_word = unsigned long long;

/// Adds the checksum terms of a payload to `sum`; a short last word is filled up with zeros.
CCOMP_KERNEL checksum_kernel(std::byte const* data, std::uint64_t bytes, checksum_word* sum) {
  std::uint64_t const words = (bytes + 7) / 8, stride = std::uint64_t{gridDim.x} * blockDim.x;
  std::uint64_t total = 0;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < words; i += stride) {
    std::uint64_t w = 0;
    if (8 * i + 8 <= bytes)
      w = reinterpret_cast<std::uint64_t const*>(data)[i];
    else
      for (std::uint64_t b = 8 * i; b < bytes; ++b) w |= static_cast<std::uint64_t>(data[b]) << (8 * (b % 8));
    total += checksum_term(w, i);
  }
  for (int d = 16; d > 0; d /= 2) total += __shfl_xor_sync(full_warp, total, d);
  if (threadIdx.x % 32 == 0) atomicAdd(sum, static_cast<checksum_word>(total));
}
/// What `frame_checksum` is on the host, from the sum over the payload.
CCOMP_HD inline std::uint64_t device_frame_checksum(frame_header const& h, std::uint64_t payload_sum) {
  std::uint64_t words[8], own = mix64(56 + 1);
  __builtin_memcpy(words, &h, sizeof words);
  for (int i = 0; i < 7; ++i) own += checksum_term(words[i], static_cast<std::uint64_t>(i));
  return hash64(own, mix64(h.length + 1) + payload_sum);
}
/// The header may be written to any address.
CCOMP_KERNEL frame_header_kernel(frame_header h, step at, unsigned long long const* payload_sum, std::byte* out) {
  h.step = at.on_device ? *at.on_device : at.number;
  h.checksum = device_frame_checksum(h, *payload_sum);
  auto const* const bytes = reinterpret_cast<std::byte const*>(&h);
  for (unsigned i = 0; i < sizeof h; ++i) out[i] = bytes[i];
}

inline void queue_checksum(cuda_exec const& ex, std::span<std::byte const> payload, std::byte* sum) {
  ex.fill_zero(sum, sizeof(checksum_word));
  constexpr unsigned threads = 128;
  auto const blocks =
      static_cast<unsigned>(std::min<std::size_t>(ceil_div(ceil_div(payload.size(), 8), threads), 4096));
  launch(ex, "checksum", checksum_kernel<>, dim3(blocks), threads, payload.data(), std::uint64_t{payload.size()},
         reinterpret_cast<checksum_word*>(sum));
}

}  // namespace detail
CCOMP_END
