#pragma once
/// compress and decompress: payloads in a frame that says what they are, so that foreign bytes are refused, not read.

#include <ccomp/checksum.hpp>
#include <ccomp/passes.hpp>

CCOMP_BEGIN

/// What a frame says of its payload.
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
  std::uint64_t checksum = 0;  // of the 56 bytes before it and the payload
};
static_assert(sizeof(frame_header) == 64);

inline std::uint64_t frame_checksum(host_exec const& ex, frame_header const& h, std::span<std::byte const> payload) {
  std::byte bytes[56];
  std::memcpy(bytes, &h, sizeof bytes);
  return hash64(checksum({.threads = 1}, bytes), checksum(ex, payload));
}

inline void frame_check(bool ok, char const* what) {
  expects<payload_error>(ok, [&] { return std::string("the frame is not valid: ") + what; });
}

inline void expect_header(std::size_t frame_bytes) {
  frame_check(frame_bytes >= sizeof(frame_header), "it ends inside its header of 64 bytes");
}
/// Judges the header of a frame of so many bytes; the payload's length is right when this returns. The checksum is
/// judged apart.
inline frame_info read_header(frame_header const& h, std::size_t frame_bytes) {
  frame_check(h.magic == frame_header{}.magic, "it does not begin with ccmp");
  frame_check(h.version == frame_header{}.version, "its version is unknown");
  frame_check(element_bytes(static_cast<element_type>(h.type)) != 0, "its element type is unknown");
  frame_check(h.zero == 0 && h.also_zero == 0, "its reserved bytes are not zero");
  frame_check(h.n <= most_values, "it claims more values than any memory holds");
  expects<payload_error>(h.length == frame_bytes - sizeof h, [&] {
    return "the frame is not valid: its payload has " + std::to_string(frame_bytes - sizeof h) +
           " bytes, the header says " + std::to_string(h.length);
  });
  return {static_cast<element_type>(h.type), h.n, h.step, h.tensor, h.rank, h.fingerprint, h.length};
}
inline void check_checksum(frame_header const& h, std::uint64_t found) {
  frame_check(h.checksum == found, "its checksum does not match");
}
/// The header of a payload of `used` bytes; its checksum is still to come.
inline frame_header make_header(program stages, element_type type, std::uint64_t n, pass_options const& at,
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
/// The frame was made by this chain for a tensor like this one.
inline void expect_frame(frame_info const& info, program stages, element_type type, std::uint64_t n) {
  expects<payload_error>(info.fingerprint == fingerprint(stages), [&] {
    return "decompress: the frame was not written by " + text(stages) + " with these settings and seeds";
  });
  expects<payload_error>(info.type == type, [&] {
    return "decompress: the frame holds " + std::string(element_name(info.type)) + ", the output " +
           std::string(element_name(type));
  });
  expects<payload_error>(info.n == n, [&] {
    return "decompress: the frame holds " + std::to_string(info.n) + " values, the output " + std::to_string(n);
  });
}
inline void expect_extent(std::size_t have, std::size_t takes) {
  expects<payload_error>(takes == have, [&] {
    return "decompress: the payload has " + std::to_string(have) + " bytes, its values take " + std::to_string(takes);
  });
}

}  // namespace detail

/// What the bytes say they are, after every check that needs no compressor; throws payload_error.
inline frame_info inspect(std::span<std::byte const> bytes, host_exec const& ex = {}) {
  detail::expect_header(bytes.size());
  detail::expect_host_memory(bytes.data(), "inspect", "the frame");
  detail::frame_header h;
  std::memcpy(&h, bytes.data(), sizeof h);
  frame_info const info = detail::read_header(h, bytes.size());
  detail::check_checksum(h, detail::frame_checksum(ex, h, bytes.subspan(sizeof h)));
  return info;
}

/// Bytes that `compress` may write for n values of type T.
template <element T = float, compressor C> std::size_t max_compressed_bytes(C const& c, std::size_t n) {
  return sizeof(detail::frame_header) + payload_bytes<T>(c, n);
}

/// Codes `in` into a frame; returns its size. `out` may start anywhere and holds `max_compressed_bytes<T>(c, n)`.
template <compressor C, class In>
std::size_t compress(host_exec const& ex, C const& c, In const& in, std::span<std::byte> out, workspace<host_exec>& ws,
                     pass_options at = {}) {
  detail::exclusive_use const alone(ws.usage(), "compress", "workspace");
  auto const x = detail::input_span(in);
  using T = std::remove_cv_t<typename decltype(x)::element_type>;
  auto const stages = detail::stages_of(c);
  detail::validate(stages);
  std::size_t const room = detail::capacity(stages, x.size(), element_type_of<T>);
  detail::expect_host_memory(x.data(), "compress", "the input");
  detail::expect_host_memory(out.data(), "compress", "the output");
  detail::expect_payload(out.size(), sizeof(detail::frame_header) + room, "compress");
  auto const target = out.subspan(sizeof(detail::frame_header));
  bool const aligned = reinterpret_cast<std::uintptr_t>(target.data()) % 16 == 0;
  auto const memory = ws.reserve((aligned ? 0 : room) + detail::scratch_bytes(stages, x.size()));
  auto const payload = aligned ? target : memory.first(room);
  std::size_t const used = detail::encode(stages, {ex, at}, detail::view(std::span<T const>(x)), element_type_of<T>, {},
                                          payload, detail::scratch(memory.subspan(aligned ? 0 : room)));
  if (!aligned && used > 0) std::memcpy(target.data(), payload.data(), used);
  auto h = detail::make_header(stages, element_type_of<T>, x.size(), at, used);
  h.checksum = detail::frame_checksum(ex, h, {payload.data(), used});
  std::memcpy(out.data(), &h, sizeof h);
  return sizeof h + used;
}

/// Writes the values a frame stands for. Throws payload_error, and writes nothing, if the frame is damaged, of another
/// compressor (settings and seeds count), another element type or another size.
template <compressor C, class Out>
frame_info decompress(host_exec const& ex, C const& c, std::span<std::byte const> bytes, Out&& out,
                      workspace<host_exec>& ws) {
  detail::exclusive_use const alone(ws.usage(), "decompress", "workspace");
  auto const y = detail::output_span(out);
  using T = typename decltype(y)::element_type;
  auto const stages = detail::stages_of(c);
  detail::validate(stages);
  detail::expect_host_memory(y.data(), "decompress", "the output");
  detail::expect_host_memory(bytes.data(), "decompress", "the frame");
  frame_info const info = inspect(bytes, ex);
  detail::expect_frame(info, stages, element_type_of<T>, y.size());
  auto source = bytes.subspan(sizeof(detail::frame_header));
  bool const aligned = reinterpret_cast<std::uintptr_t>(source.data()) % 16 == 0;
  std::size_t const copied = aligned ? 0 : detail::pad16(source.size());
  auto const memory = ws.reserve(copied + detail::scratch_bytes(stages, y.size()));
  if (!aligned && !source.empty()) {
    std::memcpy(memory.data(), source.data(), source.size());
    source = memory.first(source.size());
  }
  detail::expect_extent(source.size(),
                        detail::extent(stages, source.data(), source.size(), y.size(), element_type_of<T>));
  std::byte const* const one[] = {source.data()};
  detail::sum_decoded(stages, {ex, {info.at, info.tensor, info.rank}}, one, source.size(), element_type_of<T>,
                      detail::view(y), 1.0f, detail::scratch(memory.subspan(copied)));
  return info;
}

CCOMP_END
