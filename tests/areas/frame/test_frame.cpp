/// compress, inspect, decompress: every field of the frame is judged, and what lies behind the checksum as well.

#include <support/catalogue.hpp>
#include <support/codec.hpp>
#include <support/guarded.hpp>
#include <support/named_compressor.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/codec.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <set>

namespace {

using namespace ccomp;
using namespace support;
using ccomp::detail::frame_header;

constexpr std::size_t header_bytes = sizeof(frame_header);
using bytes_t = std::vector<std::byte>;

template <class C, class T> bytes_t framed(C const& c, std::vector<T> const& x, pass_options at = {}) {
  bytes_t out(max_compressed_bytes<T>(c, x.size()));
  workspace<host_exec> ws{{1}};
  out.resize(compress({1}, c, x, out, ws, at));
  return out;
}

/// Puts the checksum right again, so that what lies behind it is judged.
void repair(bytes_t& bytes) {
  frame_header h;
  std::memcpy(&h, bytes.data(), sizeof h);
  h.checksum = ccomp::detail::frame_checksum({1}, h, std::span<std::byte const>(bytes).subspan(sizeof h));
  std::memcpy(bytes.data(), &h, sizeof h);
}

enum class outcome { decoded, refused };
/// Decodes bytes of doubtful origin; they and the output lie in memory of exactly their size, so that a sanitizer sees
/// every step outside.
template <class T>
outcome try_decompress(named_compressor const& c, bytes_t const& bytes, std::size_t n, std::string& why) {
  bytes_t const exact(bytes.begin(), bytes.end());
  guarded<T> out(n);
  workspace<host_exec> ws{{1}};
  try {
    decompress({1}, c, exact, out.span(), ws);
  } catch (payload_error const& e) {
    why = e.what();
    CHECK_MESSAGE(out.blank(), "something was written before: " << why);
    return outcome::refused;
  }
  CHECK(out.intact());
  CHECK(out.complete());
  return outcome::decoded;
}

/// What decompress says of these bytes; empty: it decodes them.
std::string refusal(named_compressor const& c, bytes_t const& bytes, std::size_t n) {
  std::string why;
  return try_decompress<float>(c, bytes, n, why) == outcome::refused ? why : "";
}
bool says(std::string const& message, char const* words) { return message.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("frame: what compress wrote, inspect reports and decompress restores, wherever the bytes lie") {
  pass_options const at{.at = 12, .tensor = (1ull << 40) + 5, .rank = 3};
  for (auto const& e : catalogue()) {
    named_compressor const c(e.text);
    for (std::size_t const n : {0u, 1u, 33u, 700u}) {
      INFO(e.text << ", n = " << n);
      auto const x = gaussian_values(n, 5);
      auto const bytes = framed(c, x, at);
      auto const info = inspect(bytes);
      CHECK(info.type == element_type::float32);
      CHECK(info.n == n);
      CHECK(info.at == at.at);
      CHECK(info.tensor == at.tensor);
      CHECK(info.rank == at.rank);
      CHECK(info.fingerprint == fingerprint(c));
      CHECK(info.payload_bytes == bytes.size() - header_bytes);
      auto const expected = bits_of(round_trip(c, x, at));
      for (std::size_t const shift : {0u, 1u, 2u, 4u, 8u, 15u}) {
        bytes_t room(bytes.size() + shift), again(max_compressed_bytes<float>(c, n) + shift);
        std::ranges::copy(bytes, room.begin() + static_cast<std::ptrdiff_t>(shift));
        std::vector<float> out(n);
        workspace<host_exec> ws{{1}};
        decompress({1}, c, std::span<std::byte const>(room).subspan(shift), out, ws);
        CHECK(bits_of(out) == expected);
        std::size_t const used = compress({1}, c, x, std::span(again).subspan(shift), ws, at);
        CHECK(std::ranges::equal(std::span(again).subspan(shift, used), bytes));
      }
    }
  }
}

TEST_CASE("frame: every truncation and extension is refused") {
  named_compressor const c("top_k(0.2)|uniform_quantize<8>");
  auto const bytes = framed(c, gaussian_values(100, 6));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    bytes_t const cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    auto const why = refusal(c, cut, 100);
    CHECK_MESSAGE(says(why, size < header_bytes ? "it ends inside its header" : "its payload has"),
                  "of " << bytes.size() << " bytes " << size << " are left: " << why);
    CHECK_THROWS_AS(inspect(cut), payload_error);
  }
  for (std::size_t more : {1u, 7u, 16u, 1000u}) {
    auto longer = bytes;
    longer.resize(bytes.size() + more);
    CHECK(says(refusal(c, longer, 100), "its payload has"));
  }
}

TEST_CASE("frame: every flipped bit is noticed, and the message names the field") {
  named_compressor const c("top_k(0.2)|uniform_quantize<8>");
  auto const bytes = framed(c, gaussian_values(100, 6), {.at = 3, .tensor = 4, .rank = 1});
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    char const* expected = "its checksum does not match";
    std::size_t const at = bit / 8;
    if (at < 4) expected = "it does not begin with ccmp";
    if (at == 4 || at == 5) expected = "its version is unknown";
    if (at == 6 && (std::to_integer<int>(damaged[6]) > 2)) expected = "its element type is unknown";
    if (at == 15) expected = "it claims more values";  // 2^56 times as many
    if (at == 7 || (at >= 36 && at < 40)) expected = "its reserved bytes are not zero";
    if (at >= 48 && at < 56) expected = "the header says";
    auto const why = refusal(c, damaged, 100);
    CHECK_MESSAGE(says(why, expected), "bit " << bit << ": '" << why << "' instead of '" << expected << "'");
    CHECK_THROWS_AS(inspect(damaged), payload_error);
  }
}

TEST_CASE("frame: payloads of equal bytes from another compressor of the list are refused by name") {
  auto const x = gaussian_values(100, 7);
  named_compressor const written("uniform_quantize<4>(round=stochastic)");
  auto const bytes = framed(written, x);
  for (auto const& e : catalogue()) {
    if (e.text == ccomp::text(written)) continue;
    CHECK_MESSAGE(says(refusal(named_compressor(e.text), bytes, 100), "was not written by"), e.text);
  }
}

TEST_CASE("frame: another compressor, seed, setting, element type or size is refused by name") {
  auto const x = gaussian_values(100, 7);
  auto const bytes = framed(named_compressor("uniform_quantize<4>(round=stochastic, seed=1)"), x);
  CHECK(refusal(named_compressor("uniform_quantize<4>(round=stochastic, seed=1)"), bytes, 100).empty());
  for (auto const* other :
       {"uniform_quantize<4>(round=stochastic, seed=2)", "uniform_quantize<4>(round=stochastic)",
        "uniform_quantize<5>(round=stochastic, seed=1)", "uniform_quantize<4>(round=stochastic, seed=1, block=64)",
        "uniform_quantize<4>(seed=1)", "top_k", "hadamard_rotate|uniform_quantize<4>(round=stochastic, seed=1)"})
    CHECK_MESSAGE(says(refusal(named_compressor(other), bytes, 100), "was not written by"), other);
  named_compressor const same("uniform_quantize<4>(round=stochastic, seed=1)");
  CHECK(says(refusal(same, bytes, 99), "holds 100 values, the output 99"));
  CHECK(says(refusal(same, bytes, 0), "holds 100 values, the output 0"));
  std::string why;
  CHECK(try_decompress<float16>(same, bytes, 100, why) == outcome::refused);
  CHECK(says(why, "holds float32, the output float16"));
  CHECK(try_decompress<bfloat16>(same, bytes, 100, why) == outcome::refused);
  CHECK(says(why, "holds float32, the output bfloat16"));
}

TEST_CASE("frame: alien bytes are refused") {
  named_compressor const c("uniform_quantize<8>");
  CHECK(says(refusal(c, {}, 100), "it ends inside its header"));
  CHECK(says(refusal(c, bytes_t(64), 100), "it does not begin with ccmp"));
  bytes_t noise(300);
  generator g(9);
  for (auto& b : noise) b = static_cast<std::byte>(g.next());
  CHECK(says(refusal(c, noise, 100), "it does not begin with ccmp"));
}

TEST_CASE("frame: a header that lies, its checksum right, is refused") {
  named_compressor const c("threshold|uniform_quantize<8>");
  auto const good = framed(c, gaussian_values(500, 8));
  auto lie = [&](auto change) {
    auto bytes = good;
    frame_header h;
    std::memcpy(&h, bytes.data(), sizeof h);
    change(h);
    std::memcpy(bytes.data(), &h, sizeof h);
    repair(bytes);
    return refusal(c, bytes, 500);
  };
  CHECK(lie([](frame_header&) {}).empty());
  CHECK(says(lie([](frame_header& h) { h.magic ^= 1; }), "ccmp"));
  CHECK(says(lie([](frame_header& h) { h.version = 2; }), "version"));
  CHECK(says(lie([](frame_header& h) { h.type = 3; }), "element type"));
  CHECK(says(lie([](frame_header& h) { h.type = 1; }), "float16"));
  CHECK(says(lie([](frame_header& h) { h.zero = 1; }), "reserved"));
  CHECK(says(lie([](frame_header& h) { h.also_zero = 1; }), "reserved"));
  CHECK(says(lie([](frame_header& h) { h.n = ~std::uint64_t{0}; }), "values"));
  CHECK(says(lie([](frame_header& h) { h.fingerprint ^= 1; }), "was not written by"));
  CHECK(says(lie([](frame_header& h) { h.length -= 16; }), "the header says"));
}

TEST_CASE_TEMPLATE("frame: payload bytes changed behind the checksum are refused or decode, within bounds", T, float,
                   float16, bfloat16) {
  generator g(10);
  int refused = 0, decoded = 0;
  for (auto const& e : catalogue()) {
    named_compressor const c(e.text);
    for (std::size_t const n : {1u, 40u, 700u}) {
      INFO(e.text << ", n = " << n << ", " << element_name(element_type_of<T>));
      auto const good = framed(c, narrowed<T>(gaussian_values(n, 11)), {.at = 2});
      for (int round = 0; round < 60; ++round) {
        auto bytes = good;
        std::size_t const payload = bytes.size() - header_bytes;
        if (round % 12 == 11) {  // another length, as the header says
          bytes.resize(header_bytes + g.next() % (payload + 33));
          frame_header h;
          std::memcpy(&h, bytes.data(), sizeof h);
          h.length = bytes.size() - header_bytes;
          std::memcpy(bytes.data(), &h, sizeof h);
        } else {
          int const changes = round < 30 ? 1 : round < 45 ? 4 : 64;
          for (int i = 0; i < changes; ++i) {
            // The side bytes, with counts and indices, come first: half of the changes go there.
            std::size_t const where = g.next() % (i % 2 == 0 ? std::min<std::size_t>(payload, 24) : payload);
            std::byte const value = round % 3 == 0   ? std::byte{0xff}
                                    : round % 3 == 1 ? static_cast<std::byte>(g.next())
                                                     : bytes[header_bytes + where] ^ (std::byte{1} << (g.next() % 8));
            bytes[header_bytes + where] = value;
          }
        }
        repair(bytes);
        std::string why;
        (try_decompress<T>(c, bytes, n, why) == outcome::refused ? refused : decoded)++;
      }
    }
  }
  CHECK(refused > 300);
  CHECK(decoded > 1000);
}

TEST_CASE("frame: counts and indices that no encode produces are refused") {
  std::size_t const n = 1000;
  auto const x = gaussian_values(n, 12);
  auto put = [](bytes_t& bytes, std::size_t at, std::uint32_t value) {
    std::memcpy(bytes.data() + header_bytes + at, &value, sizeof value);
  };
  auto expect_refused = [&](char const* text, auto change) {
    named_compressor const c(text);
    auto bytes = framed(c, x);
    REQUIRE(refusal(c, bytes, n).empty());
    change(bytes);
    repair(bytes);
    CHECK_MESSAGE(!refusal(c, bytes, n).empty(), text);
  };
  for (auto const* text : {"top_k(count=7, indices=raw)", "top_k(count=7, indices=raw)|uniform_quantize<8>"}) {
    expect_refused(text, [&](bytes_t& b) { put(b, 0, 0xffffffffu); });
    expect_refused(text, [&](bytes_t& b) { put(b, 24, 1000); });  // the last: just beyond the tensor
    expect_refused(text, [&](bytes_t& b) { put(b, 4, 0); });      // descends, or stands twice
    expect_refused(text, [&](bytes_t& b) {
      std::uint32_t first;
      std::memcpy(&first, b.data() + header_bytes, sizeof first);
      put(b, 4, first);
    });
  }
  // One index more or fewer in the row of ones.
  for (auto const* text : {"top_k(0.4, indices=bitmap)", "top_k(0.1, indices=packed)"})
    expect_refused(text, [&](bytes_t& b) {
      std::size_t const row =
          std::string_view(text).find("packed") != std::string_view::npos ? 8 * ((100 * 3 + 63) / 64) : 0;
      b[header_bytes + row + 2] ^= std::byte{1};
    });
  for (auto const* text : {"threshold", "threshold|uniform_quantize<8>", "threshold(indices=raw)"}) {
    expect_refused(text, [&](bytes_t& b) { put(b, 0, 51); });  // more than the capacity
    expect_refused(text, [&](bytes_t& b) { put(b, 0, 0xffffffffu); });
    expect_refused(text, [&](bytes_t& b) { put(b, 4, 1000); });  // more left out than there are
    expect_refused(text, [&](bytes_t& b) { put(b, 4, 0xffffffffu); });
    expect_refused(text, [&](bytes_t& b) { put(b, 0, 1); });  // the payload is longer than that
  }
}

TEST_CASE("frame: too small an output buffer is the caller's error, and nothing is written") {
  named_compressor const c("uniform_quantize<8>");
  auto const x = gaussian_values(100, 13);
  bytes_t out(max_compressed_bytes<float>(c, 100) - 1, std::byte{0x5a});
  workspace<host_exec> ws{{1}};
  CHECK_THROWS_AS(compress({1}, c, x, out, ws), invalid_argument);
  CHECK(std::ranges::all_of(out, [](std::byte b) { return b == std::byte{0x5a}; }));
}
