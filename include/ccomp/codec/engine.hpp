#pragma once
/// The engine that runs the passes of one tensor, for the exec of a call.

#include <ccomp/core/chain.hpp>
#include <ccomp/core/exclusive.hpp>
#include <ccomp/core/workspace.hpp>

CCOMP_BEGIN
namespace detail {

/// The engine that serves an exec; a header specialises it (host_engine.hpp, device_engine.cuh):
///   template <class C> static auto stages_of(C const&): the chain as the engine wants it;
///   template <class C> static auto make(Exec const&, C const&, program, workspace<Exec>&, char const* call): an object
///   that lives as long as the call. Making it refuses what cannot run here. It has:
///     expect_memory(p, what)                      the exec can reach it
///     expect_step(step), expect_whole(payload, y) it can use them
///     queue()                                     what has to live while work is queued
///     encode_scratch<Feedback>(x), encode<Feedback>(x, residual, at, payload, memory): bytes written, the most of them
///                                                 where only the device knows
///     decode_scratch(y), decode(payload, y, add, at, memory)
///     copy(to, from, bytes)
///   and for frames
///     seal_scratch, encoded_bytes(payload, room, x): how many of them count;
///     seal(header, at, payload, out, memory): writes the header, checksum included
///     read(bytes): the header; frame_checksum(header, payload, memory); extent(payload, y)
///     decode_checked(payload, y, at, memory), decode_checked_scratch(y): all values or, if the payload is not what any
///                                                 encode produces, none
template <class Exec> struct codec_engine;
template <class Exec>
concept has_codec = requires { sizeof(codec_engine<Exec>); };

/// A compile error of one sentence if there is no engine.
template <class Exec> consteval bool codec_exists() {
  static_assert(
      has_codec<Exec>,
      "ccomp: there is no engine for this execution; include <ccomp/ccomp.hpp>, and for a cuda_exec compile with "
      "nvcc");
  return has_codec<Exec>;
}

void expect_aligned(void const* p, char const* call);
void expect_payload(std::size_t have, std::size_t need, char const* call);

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void expect_aligned(void const* p, char const* call) {
  expects(reinterpret_cast<std::uintptr_t>(p) % 16 == 0,
          [&] { return sentence(call, ": the payload must start at a multiple of 16 bytes"); });
}
CCOMP_FUNCTION void expect_payload(std::size_t have, std::size_t need, char const* call) {
  expects(have >= need, [&] { return sentence(call, ": the payload has ", have, " bytes, ", need, " needed"); });
}
#endif

}  // namespace detail
CCOMP_END
