#pragma once
// Your own sparsifier: it keeps the value of largest magnitude of each 256. This file is all that the host needs;
// block_peak.cuh beside it has the kernels.

#include <ccomp/ccomp.hpp>

#include <cstring>
#include <string>

// [host]
namespace mylab {

/// Side bytes: one per 256 values, the place of the one that is kept. Carrier: those values, in order.
struct block_peak {
  static constexpr std::string_view name = "block_peak";
  static constexpr std::size_t block = 256;
  static constexpr auto fields() { return std::tuple{}; }

  std::size_t side_bytes(std::size_t n) const { return (n + block - 1) / block; }
  std::size_t carrier_size(std::size_t n) const { return side_bytes(n); }
  /// The squared error is at most 1 - contraction times the squared norm: error feedback relies on it.
  double contraction(std::size_t) const { return 1.0 / block; }

  std::size_t encode(ccomp::host_exec const&, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte>, ccomp::pass_options) const {
    for (std::size_t b = 0; b < side.size(); ++b) {
      std::size_t const first = b * block, last = std::min(first + block, in.size());
      std::size_t best = first;
      for (std::size_t i = first + 1; i < last; ++i)
        if (magnitude(in[i]) > magnitude(in[best])) best = i;  // of equals the first
      side[b] = static_cast<std::byte>(best - first);
      carrier[b] = in[best];
    }
    return carrier.size();
  }
  void decode(ccomp::host_exec const&, std::span<std::byte const> side, std::span<float const> carrier,
              std::span<float> out, std::span<std::byte>, ccomp::pass_options) const {
    for (std::size_t b = 0; b < side.size(); ++b)  // before anything is written: the bytes may be anybody's
      if (place(side, b) >= out.size()) throw ccomp::payload_error("block_peak: a place lies behind the tensor's end");
    std::fill(out.begin(), out.end(), 0.0f);
    for (std::size_t b = 0; b < side.size(); ++b) out[place(side, b)] = carrier[b];
  }

  /// Orders like |x|; NaN above Inf.
  CCOMP_HD static std::uint32_t magnitude(float x) { return __builtin_bit_cast(std::uint32_t, x) & 0x7fffffffu; }

 private:
  static std::size_t place(std::span<std::byte const> side, std::size_t b) {
    return b * block + static_cast<std::size_t>(side[b]);
  }
};
static_assert(ccomp::check_stage<block_peak>());

}
// [/host]
