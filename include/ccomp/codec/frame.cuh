#pragma once
/// Headers of frames in device memory: the same bytes as on the host.

#include <ccomp/codec/frame.hpp>
#include <ccomp/core/payload.hpp>
#include <ccomp/engine/cuda/checksum.cuh>

CCOMP_BEGIN
namespace detail {

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

}  // namespace detail
CCOMP_END
