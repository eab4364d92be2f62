#pragma once
/// Memory hints: what the hardware does not guess by itself. They change speed only.

#include <ccomp/engine/host/x86.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

CCOMP_BEGIN
namespace detail {

/// A pass that first scans a block and then codes it asks for no memory during the second half, and the hardware's
/// prefetcher stops with it. Asking for the values of two blocks ahead keeps the memory busy (encode at 64 MiB: from
/// half to four fifths of the read bandwidth). Past the end of the tensor a prefetch does nothing.
inline constexpr std::size_t prefetch_distance = 1024;  // values
/// (Inlined by force: g++ takes a function that only prefetches for one without effect, and drops the call.)
template <class T> [[gnu::always_inline]] inline void prefetch_values(T const* x, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 64 / sizeof(T))
    __builtin_prefetch(reinterpret_cast<void const*>(reinterpret_cast<std::uintptr_t>(x) + i * sizeof(T)));
}

/// From this size on, output goes past the caches: it would not stay there, and an ordinary store reads the line first.
inline constexpr std::size_t streaming_bytes = std::size_t{32} << 20;

#if CCOMP_X86_VARIANTS
template <class V>
[[gnu::always_inline]] inline std::size_t stream_as(std::byte const* from, std::size_t bytes, std::byte* to) {
  std::size_t i = 0;
  for (V x; i + sizeof x <= bytes; i += sizeof x) {
    load_vector(x, from + i);
    stream_vector(x, to + i);
  }
  return i;
}
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX512)]] inline std::size_t stream_avx512(std::byte const* from, std::size_t bytes,
                                                                           std::byte* to) {
  return stream_as<word_x8>(from, bytes, to);
}
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX2)]] inline std::size_t stream_avx2(std::byte const* from, std::size_t bytes,
                                                                       std::byte* to) {
  return stream_as<word_x4>(from, bytes, to);
}
#endif

/// memcpy past the caches. `stream_end` must follow before another thread reads.
inline void stream(instruction_set isa, void const* from, std::size_t bytes, void* to) {
  auto const* in = static_cast<std::byte const*>(from);
  auto* out = static_cast<std::byte*>(to);
#if CCOMP_X86_VARIANTS
  if (isa != instruction_set::baseline) {
    std::size_t const head = (64 - reinterpret_cast<std::uintptr_t>(out) % 64) % 64;
    std::size_t done = head < bytes ? head : bytes;
    std::memcpy(out, in, done);
    done += isa == instruction_set::avx512 ? stream_avx512(in + done, bytes - done, out + done)
                                           : stream_avx2(in + done, bytes - done, out + done);
    in += done;
    out += done;
    bytes -= done;
  }
#endif
  static_cast<void>(isa);
  std::memcpy(out, in, bytes);
}
inline void stream_end() {
#if CCOMP_X86_VARIANTS
  stream_fence();
#endif
}

}  // namespace detail
CCOMP_END
