#pragma once
/// Frames whose payload somebody has changed, with a checksum that fits: only the compressor stands between them and
/// the output.

#include <ccomp/codec.hpp>
#include <ccomp/testing/guarded.hpp>
#include <ccomp/testing/inputs.hpp>

#include <cstring>
#include <string>
#include <vector>

CCOMP_BEGIN
namespace testing::detail {

/// What decompress does wrong with these bytes; empty if nothing. It may refuse them or decode them.
template <class T, class C>
std::string decompress_fault(C const& c, std::span<std::byte const> bytes, std::size_t n, workspace<host_exec>& ws) {
  guarded<T> out(n);
  bool refused = false;
  try {
    decompress(host_exec{1}, c, bytes, out.span(), ws);
  } catch (payload_error const&) {
    refused = true;
  } catch (std::exception const& e) {
    return ccomp::detail::sentence("a damaged payload throws something other than a payload_error: ", e.what());
  }
  if (refused && !out.blank()) return "wrote values, then refused the frame";
  if (!out.intact()) return "decoding a damaged payload writes outside of the output";
  if (!refused && !out.complete()) return "decoding a damaged payload leaves values unwritten";
  return {};
}

/// What `decode`, which has no frame to tell it the size, does wrong with a payload that is one byte too short; empty if
/// nothing. It is refused.
template <class T, class C>
std::string short_payload_fault(C const& c, std::span<std::byte const> whole, std::size_t n, workspace<host_exec>& ws) {
  if (whole.empty()) return {};
  payload_buffer payload(whole.size() - 1);
  std::ranges::copy(whole.first(payload.size()), payload.bytes().begin());
  guarded<T> out(n);
  try {
    decode(host_exec{1}, c, payload, out.span(), ws, {.at = 1});
  } catch (payload_error const&) {
    return out.blank() ? "" : "decode wrote values, then refused a payload that is too short";
  }
  return "decode takes a payload that is too short";
}

/// Puts header and checksum in front of a payload, which begins behind room for the header.
template <class C> void make_frame(C const& c, element_type type, std::size_t n, std::vector<std::byte>& bytes) {
  ccomp::detail::frame_header h;
  h.type = static_cast<std::uint8_t>(type);
  h.n = n;
  h.fingerprint = fingerprint(c);
  h.length = bytes.size() - sizeof h;
  h.checksum = ccomp::detail::frame_checksum({1}, h, std::span<std::byte const>(bytes).subspan(sizeof h));
  std::memcpy(bytes.data(), &h, sizeof h);
}

/// Payloads of n values with changed bits, changed bytes, runs of one byte, and cut or longer ones.
template <class T, class C>
std::vector<std::string> hostile_frame_faults(C const& c, std::size_t n, std::size_t rounds) {
  host_exec const ex{1};
  workspace<host_exec> ws{ex};
  std::vector<std::byte> frame(max_compressed_bytes<T>(c, n));
  auto const x = narrowed<T>(gaussian_values(n, 61));
  frame.resize(compress(ex, c, x, frame, ws, {.at = 1}));
  constexpr std::size_t header = sizeof(ccomp::detail::frame_header);
  std::size_t const payload = frame.size() - header;
  std::vector<std::string> faults;
  if (auto fault = short_payload_fault<T>(c, std::span(frame).subspan(header), n, ws); !fault.empty())
    faults.push_back(std::move(fault));
  generator g(n + rounds);
  for (std::size_t round = 0; round < rounds && faults.empty(); ++round) {
    auto bytes = frame;
    auto const any_byte = [&]() -> std::byte& { return bytes[header + g.next() % payload]; };
    if (payload > 0) {
      for (std::size_t i = g.next() % 4 + 1; i > 0; --i) switch (g.next() % 4) {
          case 0:
            any_byte() ^= std::byte{1} << static_cast<int>(g.next() % 8);
            break;
          case 1:
            any_byte() = static_cast<std::byte>(g.next());
            break;
          case 2:
            any_byte() = std::byte{0xff};
            break;
          default: {
            std::size_t const first = g.next() % payload, length = g.next() % (payload - first) + 1;
            std::memset(bytes.data() + header + first, g.next() % 2 ? 0xff : 0, length);
          }
        }
    }
    if (round % 8 == 7) bytes.resize(header + g.next() % (payload + 33));
    make_frame(c, element_type_of<T>, n, bytes);
    bytes.shrink_to_fit();  // where AddressSanitizer sees a read beyond it
    if (auto fault = decompress_fault<T>(c, bytes, n, ws); !fault.empty()) faults.push_back(std::move(fault));
  }
  return faults;
}

}  // namespace testing::detail
CCOMP_END
