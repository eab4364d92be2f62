/// Payload bytes as they were when the wire format was fixed: a change that moves a bit must be meant.
///
/// To write payloads.inc anew, after a stage or a text was added to stage_list.hpp or after a change that is meant (and
/// named in CHANGELOG.md); what is stored keeps its place, so that the diff shows what is new:
///   CCOMP_GOLDEN_OUT=tests/methods/golden/payloads.inc <build>/tests/ccomp-test-golden

#include <support/catalogue.hpp>
#include <support/codec.hpp>
#include <support/named_compressor.hpp>

#include <ccomp/codec.hpp>

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace {

using namespace ccomp;
using namespace support;

/// One compressor and element type: of n values, the size and hash of payload, of decoded values, of a residual; and of
/// 21 values the frame, byte by byte.
struct golden {
  std::string text, type;
  std::uint64_t bytes, payload, decoded, residual;
  std::string frame;
};
std::vector<golden> const& stored() {
  static std::vector<golden> const all{
#include "payloads.inc"
  };
  return all;
}

constexpr std::size_t n = 6151;  // more than a tile of the host engine
constexpr pass_options here{.at = 41, .tensor = (7ull << 32) + 3, .rank = 2};

/// By integer arithmetic alone, so that no mathematical library has a say: sign, exponent and mantissa from a mixer.
float value(std::uint64_t i) {
  std::uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  auto const exponent = static_cast<std::uint32_t>(127 - std::countr_zero((z >> 32) | 0x1000));  // 1 down to 2^-12
  return std::bit_cast<float>(static_cast<std::uint32_t>(z & 0x807fffffu) | (exponent << 23));
}

/// FNV-1a; nothing of the library's own.
std::uint64_t hash(void const* data, std::size_t size) {
  auto const* bytes = static_cast<unsigned char const*>(data);
  std::uint64_t h = 0xcbf29ce484222325u;
  for (std::size_t i = 0; i < size; ++i) h = (h ^ bytes[i]) * 0x100000001b3u;
  return h;
}

template <class T> golden golden_of(std::string const& text) {
  named_compressor const c(text);
  std::vector<T> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = T(value(i));
  auto const payload = encoded(c, x, here);
  auto const back = decoded<T>(c, payload, n, here);
  std::vector<float> residual(n);
  for (std::size_t i = 0; i < n; ++i) residual[i] = value(i + n) * 0.25f;
  payload_buffer room(payload_bytes<T>(c, n));
  workspace<host_exec> ws{{1}};
  encode_feedback({1}, c, x, std::span(residual), room, ws, here, 0.75f);
  x.resize(21);
  std::vector<std::byte> frame(max_compressed_bytes<T>(c, x.size()));
  frame.resize(compress({1}, c, x, frame, ws, here));
  std::string hex;
  for (std::byte const b : frame) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", std::to_integer<unsigned>(b));
    hex += digits;
  }
  return {text,
          std::string(element_name(element_type_of<T>)),
          payload.size(),
          hash(payload.data(), payload.size()),
          hash(back.data(), n * sizeof(T)),
          hash(residual.data(), n * sizeof(float)),
          hex};
}

std::vector<golden> now() {
  std::vector<golden> all;
  for (auto const& e : catalogue()) {
    all.push_back(golden_of<float>(e.text));
    all.push_back(golden_of<float16>(e.text));
    all.push_back(golden_of<bfloat16>(e.text));
  }
  return all;
}

golden const* find(std::vector<golden> const& all, golden const& like) {
  auto const at =
      std::ranges::find_if(all, [&](golden const& g) { return g.text == like.text && g.type == like.type; });
  return at == all.end() ? nullptr : &*at;
}

void write(std::vector<golden> const& all, char const* path) {
  std::vector<golden const*> order;
  for (auto const& g : stored())
    if (auto const* still = find(all, g)) order.push_back(still);
  for (auto const& g : all)
    if (!find(stored(), g)) order.push_back(&g);
  std::ofstream out(path);
  for (auto const* g : order)
    out << "{\"" << g->text << "\", \"" << g->type << "\", " << g->bytes << "u, " << std::hex << "0x" << g->payload
        << "u, 0x" << g->decoded << "u, 0x" << g->residual << std::dec << "u,\n \"" << g->frame << "\"},\n";
}

}  // namespace

TEST_CASE("golden: payloads, decoded values, residuals and frames are what they have always been") {
  auto const all = now();
  if (char const* path = std::getenv("CCOMP_GOLDEN_OUT")) {
    write(all, path);
    MESSAGE("written: " << path);
    return;
  }
  for (auto const& s : stored()) CHECK_MESSAGE(find(all, s), s.text << " is in no row of stage_list.hpp any more");
  for (auto const& g : all) {
    INFO(g.text << ", " << g.type);
    golden const* const s = find(stored(), g);
    REQUIRE_MESSAGE(s, "payloads.inc lacks it; see the first lines of this file");
    CHECK_MESSAGE(g.bytes == s->bytes, "the payload has another size");
    CHECK_MESSAGE(g.payload == s->payload, "the payload has other bytes");
    CHECK_MESSAGE(g.decoded == s->decoded, "other values are decoded");
    CHECK_MESSAGE(g.residual == s->residual, "other residuals remain");
    CHECK_MESSAGE(g.frame == s->frame, "the frame has other bytes");
  }
}

TEST_CASE("golden: the hashes tell payloads apart") {
  std::vector<std::uint64_t> seen;
  for (auto const& g : stored()) seen.push_back(g.payload);
  std::ranges::sort(seen);
  auto const twice = seen.size() - static_cast<std::size_t>(std::ranges::unique(seen).begin() - seen.begin());
  CHECK(stored().size() > 100);
  CHECK(twice < stored().size() / 4);  // uniform and shared scales of equal settings are the same bytes
}
