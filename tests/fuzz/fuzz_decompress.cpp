/// Frames from anywhere: decompress refuses them or decodes them, within bounds, and writes nothing when it refuses.
///
/// Byte 0 chooses the compressor, byte 1 the element type and whether a frame is made around the rest (so that mutations
/// reach what lies behind the checksum), bytes 2 and 3 the number of values. The rest is the frame, or the payload.

#include <ccomp/any_compressor.hpp>
#include <ccomp/codec.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <support/guarded.hpp>
#include <vector>

namespace {

using namespace ccomp;

char const* const texts[] = {"uniform_quantize<4>",
                             "uniform_quantize<8>(range=min_max)",
                             "sign_quantize(scale=two_means)",
                             "natural",
                             "cast<float16>",
                             "cast<fp8_e4m3>",
                             "hadamard_rotate|qsgd<3>",
                             "top_k(0.1, indices=raw)",
                             "top_k(0.1, indices=packed)",
                             "top_k(0.4, indices=bitmap)",
                             "top_k(0.1)|uniform_quantize<8>",
                             "top_k(0.3)|top_k(0.5)|cast<bfloat16>",
                             "threshold",
                             "threshold(indices=raw)|qsgd<4>",
                             "threshold(capacity_ratio=0.5)|threshold(capacity_ratio=0.5)",
                             "sign_flip|threshold|hadamard_rotate(block=16)",
                             "random_k(0.2)|cast<bfloat16>",
                             "random_block(0.3, blocks=3)|uniform_quantize<5>"};
constexpr std::size_t text_count = sizeof texts / sizeof *texts;

[[noreturn]] void broken(char const* what, std::string const& text) {
  std::fprintf(stderr, "%s: %s\n", text.c_str(), what);
  std::abort();
}

template <class T> void attempt(any_compressor const& c, std::vector<std::byte> const& bytes, std::size_t n) {
  static workspace<host_exec> ws{{1}};
  support::guarded<T> out(n);
  bool refused = false;
  try {
    decompress({1}, c, bytes, out.span(), ws);
  } catch (payload_error const&) {
    refused = true;
  }
  if (refused && !out.blank()) broken("wrote values, then refused the frame", c.text());
  if (!out.intact()) broken("wrote outside of the output", c.text());
  if (!refused && !out.complete()) broken("left values unwritten", c.text());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size < 4) return 0;
  static std::vector<std::optional<any_compressor>> made(text_count);
  std::size_t const which = data[0] % text_count;
  if (!made[which]) made[which].emplace(texts[which]);
  any_compressor const& c = *made[which];
  std::size_t const n = (data[2] | std::size_t{data[3]} << 8) % 3000;
  auto const type = static_cast<element_type>(data[1] % 3);
  bool const framed = (data[1] & 0x80) == 0;

  std::vector<std::byte> bytes(size - 4 + (framed ? sizeof(detail::frame_header) : 0));
  auto* const rest = bytes.data() + (bytes.size() - (size - 4));
  if (size > 4) std::memcpy(rest, data + 4, size - 4);
  if (framed) {
    detail::frame_header h;
    h.type = static_cast<std::uint8_t>(type);
    h.n = n;
    h.fingerprint = fingerprint(c);
    h.length = size - 4;
    // Sizes are guessed rarely: the payload is cut or filled up to what fits, unless a bit says otherwise.
    if ((data[1] & 0x40) == 0) {
      std::size_t const room = detail::capacity(c.stages(), n, type);
      bytes.resize(sizeof h + room);
      std::size_t const extent = [&] {
        try {
          return detail::extent(c.stages(), bytes.data() + sizeof h, room, n, type);
        } catch (payload_error const&) {
          return room;
        }
      }();
      bytes.resize(sizeof h + extent);
      bytes.shrink_to_fit();
      h.length = extent;
    }
    h.checksum = detail::frame_checksum({1}, h, std::span<std::byte const>(bytes).subspan(sizeof h));
    std::memcpy(bytes.data(), &h, sizeof h);
  }
  switch (type) {
    case element_type::float32:
      attempt<float>(c, bytes, n);
      break;
    case element_type::float16:
      attempt<float16>(c, bytes, n);
      break;
    case element_type::bfloat16:
      attempt<bfloat16>(c, bytes, n);
      break;
  }
  return 0;
}
