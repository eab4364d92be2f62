#pragma once
/// The frame of a payload: a header that describes it, so that payloads from elsewhere are checked before they are
/// read.

#include <ccomp/core/chain.hpp>
#include <ccomp/core/checksum.hpp>

CCOMP_BEGIN

/// What a frame states about its payload.
struct frame_info {
  element_type type{};
  std::uint64_t n = 0;
  step at{};
  std::uint64_t tensor = 0;
  std::uint32_t rank = 0;
  std::uint64_t fingerprint = 0;    // of the compressor, seeds included
  std::uint64_t payload_bytes = 0;  // behind the frame's header
};

namespace detail {

/// The first 64 bytes of a frame; all numbers little-endian.
struct frame_header {
  std::uint32_t magic = 0x706d6363u;  // "ccmp"
  std::uint16_t version = 1;
  std::uint8_t type = 0;
  std::uint8_t zero = 0;
  std::uint64_t n = 0, step = 0, tensor = 0;
  std::uint32_t rank = 0, also_zero = 0;
  std::uint64_t fingerprint = 0, length = 0;
  std::uint64_t checksum = 0;  // of all before it, and of the payload

  static constexpr std::size_t checked_bytes = 56;
};
static_assert(sizeof(frame_header) == 64);

void frame_check(bool ok, char const* what);

void expect_header(std::size_t frame_bytes);
/// Checks the header of a frame of so many bytes, including the length of the payload. The checksum is checked
/// separately.
frame_info read_header(frame_header const& h, std::size_t frame_bytes);
inline void check_checksum(frame_header const& h, std::uint64_t found) {
  frame_check(h.checksum == found, "its checksum does not match");
}
/// The header of a payload of `used` bytes, without the checksum.
frame_header make_header(program stages, element_type type, std::uint64_t n, pass_options const& at, std::size_t used);
/// Checks that this chain made the frame, for a tensor of this type and size.
void expect_frame(frame_info const& info, program stages, element_type type, std::uint64_t n);
void expect_extent(std::size_t have, std::size_t takes);

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void frame_check(bool ok, char const* what) {
  expects<payload_error>(ok, [&] { return sentence("the frame is not valid: ", what); });
}
CCOMP_FUNCTION void expect_header(std::size_t frame_bytes) {
  frame_check(frame_bytes >= sizeof(frame_header), "it ends inside its header of 64 bytes");
}
CCOMP_FUNCTION frame_info read_header(frame_header const& h, std::size_t frame_bytes) {
  frame_check(h.magic == frame_header{}.magic, "it does not begin with ccmp");
  frame_check(h.version == frame_header{}.version, "its version is unknown");
  frame_check(element_bytes(static_cast<element_type>(h.type)) != 0, "its element type is unknown");
  frame_check(h.zero == 0 && h.also_zero == 0, "its reserved bytes are not zero");
  frame_check(h.n <= most_values, "it claims more values than any memory holds");
  expects<payload_error>(h.length == frame_bytes - sizeof h, [&] {
    return sentence("the frame is not valid: its payload has ", frame_bytes - sizeof h, " bytes, the header says ",
                    h.length);
  });
  return {static_cast<element_type>(h.type), h.n, h.step, h.tensor, h.rank, h.fingerprint, h.length};
}
CCOMP_FUNCTION frame_header make_header(program stages, element_type type, std::uint64_t n, pass_options const& at,
                                        std::size_t used) {
  frame_header h;
  h.type = static_cast<std::uint8_t>(type);
  h.n = n;
  h.step = at.at.number;
  h.tensor = at.tensor;
  h.rank = at.rank;
  h.fingerprint = fingerprint(stages);
  h.length = used;
  return h;
}
CCOMP_FUNCTION void expect_frame(frame_info const& info, program stages, element_type type, std::uint64_t n) {
  expects<payload_error>(info.fingerprint == fingerprint(stages), [&] {
    return sentence("decompress: the frame was not written by ", text(stages), " with these settings and seeds");
  });
  expects<payload_error>(info.type == type, [&] {
    return sentence("decompress: the frame holds ", element_name(info.type), ", the output ", element_name(type));
  });
  expects<payload_error>(info.n == n,
                         [&] { return sentence("decompress: the frame holds ", info.n, " values, the output ", n); });
}
CCOMP_FUNCTION void expect_extent(std::size_t have, std::size_t takes) {
  expects<payload_error>(
      takes == have, [&] { return sentence("decompress: the payload has ", have, " bytes, its values take ", takes); });
}
#endif

}  // namespace detail

CCOMP_END
