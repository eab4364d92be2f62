#pragma once
/// The checksum of core/checksum.hpp in device memory.

#include <ccomp/core/checksum.hpp>
#include <ccomp/engine/cuda/tile.cuh>

#include <algorithm>
#include <span>

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

inline void queue_checksum(cuda_exec const& ex, std::span<std::byte const> payload, std::byte* sum) {
  ex.fill_zero(sum, sizeof(checksum_word));
  constexpr unsigned threads = 128;
  auto const blocks =
      static_cast<unsigned>(std::min<std::size_t>(ceil_div(ceil_div(payload.size(), 8), threads), 4096));
  launch(ex, "checksum", checksum_kernel<>, dim3(blocks), threads, payload.data(), std::uint64_t{payload.size()},
         reinterpret_cast<checksum_word*>(sum));
}
/// What `checksum` is on the host. Waits for the stream; `word`: eight bytes on the device.
inline std::uint64_t device_checksum(cuda_exec const& ex, std::span<std::byte const> bytes, std::byte* word) {
  queue_checksum(ex, bytes, word);
  checksum_word sum = 0;
  ex.copy_to_host(&sum, word, sizeof sum);
  return mix64(bytes.size() + 1) + sum;
}

}  // namespace detail
CCOMP_END
