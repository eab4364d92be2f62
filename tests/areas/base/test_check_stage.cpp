// check_stage finds what is planted in stages, and nothing in sound ones.
#include <ccomp/testing/check_stage.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace {

using ccomp::host_exec;
using ccomp::pass_options;

/// Keeps the largest value of each eight: a side byte tells its place. Sound; each derived one has one fault.
struct largest_of_eight {
  static constexpr std::string_view name = "largest_of_eight";
  static constexpr auto fields() { return std::tuple{}; }
  std::size_t side_bytes(std::size_t n) const { return (n + 7) / 8; }
  std::size_t carrier_size(std::size_t n) const { return (n + 7) / 8; }
  double contraction(std::size_t) const { return 0.125; }

  std::size_t encode(host_exec const&, std::span<float const> in, std::span<std::byte> side, std::span<float> carrier,
                     std::span<std::byte>, pass_options const&) const {
    for (std::size_t b = 0; b < carrier.size(); ++b) {
      std::size_t best = 8 * b;
      for (std::size_t i = best + 1; i < std::min(in.size(), 8 * b + 8); ++i)
        if (magnitude(in[i]) > magnitude(in[best])) best = i;
      side[b] = static_cast<std::byte>(best - 8 * b);
      carrier[b] = in[best];
    }
    return carrier.size();
  }
  void decode(host_exec const&, std::span<std::byte const> side, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    for (std::size_t b = 0; b < carrier.size(); ++b)
      if (std::size_t const i = 8 * b + static_cast<std::size_t>(side[b]); i >= std::min(out.size(), 8 * b + 8))
        throw ccomp::payload_error("largest_of_eight: a place lies outside of its eight");
    place(side, carrier, out);
  }

 protected:
  static void place(std::span<std::byte const> side, std::span<float const> carrier, std::span<float> out) {
    std::fill(out.begin(), out.end(), 0.0f);
    for (std::size_t b = 0; b < carrier.size(); ++b) out[8 * b + static_cast<std::size_t>(side[b])] = carrier[b];
  }
  static std::uint32_t magnitude(float x) { return std::bit_cast<std::uint32_t>(x) & 0x7fffffffu; }  // NaN is largest
};

struct unwritten_byte : largest_of_eight {
  static constexpr std::string_view name = "unwritten_byte";
  std::size_t side_bytes(std::size_t n) const { return (n + 7) / 8 + 1; }
};
struct too_short : largest_of_eight {
  static constexpr std::string_view name = "too_short";
  void decode(host_exec const&, std::span<std::byte const> side, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    if (std::size_t const most = carrier.size(); most > 0)
      place(side, carrier.first(most - 1), out.first(8 * most - 8));
  }
};
struct trusts_bytes : largest_of_eight {
  static constexpr std::string_view name = "trusts_bytes";
  void decode(host_exec const&, std::span<std::byte const> side, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    std::fill(out.begin(), out.end(), 0.0f);
    for (std::size_t b = 0; b < carrier.size(); ++b)
      out.data()[8 * b + static_cast<std::size_t>(side[b] & std::byte{15})] = carrier[b];  // up to 15 behind the end
  }
};
struct other_exception : largest_of_eight {
  static constexpr std::string_view name = "other_exception";
  void decode(host_exec const&, std::span<std::byte const> side, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    for (std::byte const p : side)
      if (p > std::byte{7}) throw std::out_of_range("place");
    place(side, carrier, out);
  }
};
struct writes_then_refuses : largest_of_eight {
  static constexpr std::string_view name = "writes_then_refuses";
  void decode(host_exec const&, std::span<std::byte const> side, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    std::fill(out.begin(), out.end(), 0.0f);
    largest_of_eight::decode({}, side, carrier, out, {}, {});
  }
};
struct depends_on_threads : largest_of_eight {
  static constexpr std::string_view name = "depends_on_threads";
  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> memory, pass_options const& at) const {
    largest_of_eight::encode(ex, in, side, carrier, memory, at);
    if (ex.threads > 1 && !carrier.empty()) carrier[0] = -carrier[0];
    return carrier.size();
  }
};
struct draws_in_secret : largest_of_eight {
  static constexpr std::string_view name = "draws_in_secret";
  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> memory, pass_options const& at) const {
    largest_of_eight::encode(ex, in, side, carrier, memory, at);
    if (at.rank == 3 && carrier.size() > 1) carrier[1] = 0;
    return carrier.size();
  }
};
struct hides_nan : largest_of_eight {
  static constexpr std::string_view name = "hides_nan";
  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> memory, pass_options const& at) const {
    largest_of_eight::encode(ex, in, side, carrier, memory, at);
    for (float& v : carrier) v = std::isfinite(v) ? v : 0.0f;
    return carrier.size();
  }
};
struct claims_too_much : largest_of_eight {
  static constexpr std::string_view name = "claims_too_much";
  double contraction(std::size_t) const { return 0.5; }
};
struct calls_itself_linear : largest_of_eight {
  static constexpr std::string_view name = "calls_itself_linear";
  static constexpr bool is_linear = true;
};
struct calls_itself_unbiased : largest_of_eight {
  static constexpr std::string_view name = "calls_itself_unbiased";
  static constexpr bool is_unbiased = true;
};
/// Where there are 255 values; the suite hands them over with memory around them.
struct reads_beyond : largest_of_eight {
  static constexpr std::string_view name = "reads_beyond";
  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> memory, pass_options const& at) const {
    largest_of_eight::encode(ex, in, side, carrier, memory, at);
    if (in.size() == 255) carrier[0] = in.data()[in.size()];
    return carrier.size();
  }
};
struct reads_scratch : largest_of_eight {
  static constexpr std::string_view name = "reads_scratch";
  static std::size_t scratch_bytes(std::size_t) { return 16; }
  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> memory, pass_options const& at) const {
    largest_of_eight::encode(ex, in, side, carrier, memory, at);
    if (!carrier.empty() && memory[0] != std::byte{0}) carrier[0] = 0;
    return carrier.size();
  }
};
struct counts_calls : largest_of_eight {
  static constexpr std::string_view name = "counts_calls";
  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> memory, pass_options const& at) const {
    static float calls = 0;
    largest_of_eight::encode(ex, in, side, carrier, memory, at);
    if (!carrier.empty()) carrier[0] = ++calls;
    return carrier.size();
  }
};
/// `factor` is missing among the fields.
struct setting_without_field : largest_of_eight {
  static constexpr std::string_view name = "setting_without_field";
  float factor = 1;
  void decode(host_exec const&, std::span<std::byte const> side, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    largest_of_eight::decode({}, side, carrier, out, {}, {});
    for (float& v : out) v *= factor;
  }
};
struct unreadable_text : largest_of_eight {
  static constexpr std::string_view name = "no name";
};
struct forgets_a_setting : largest_of_eight {
  static constexpr std::string_view name = "forgets";
  static std::string argument() { return "4>"; }
};
struct refuses_itself : largest_of_eight {
  static constexpr std::string_view name = "refuses_itself";
  void validate() const { throw ccomp::invalid_argument("refuses_itself: never right"); }
};

/// Two bits per value, sound: -1, 0 and 1 times the largest magnitude.
struct three_levels {
  static constexpr std::string_view name = "three_levels";
  static constexpr int bits = 2;
  std::uint32_t block = 64;
  static constexpr auto fields() { return std::tuple{ccomp::field{"block", &three_levels::block}}; }

  using statistic = ccomp::max_abs;
  struct parameters {
    float scale;
  };
  CCOMP_HD parameters fit(ccomp::max_abs m, std::size_t) const { return {m.value()}; }
  CCOMP_HD std::uint32_t code(float x, parameters p, std::uint32_t) const {
    float const half = ccomp::detail::mul(p.scale, 0.5f);
    return x > half ? 2u : x < -half ? 0u : 1u;
  }
  CCOMP_HD float value(std::uint32_t code, parameters p) const {
    return code == 1u ? ccomp::detail::mul(p.scale, 0.0f) : code == 0u ? -p.scale : p.scale;
  }
};
struct zero_becomes_one : three_levels {
  static constexpr std::string_view name = "zero_becomes_one";
  CCOMP_HD float value(std::uint32_t code, parameters p) const {
    return code == 1u && p.scale == 0 ? 1.0f : three_levels::value(code, p);
  }
};
template <class S> std::string said_of(S const& s) {
  std::string all;
  for (auto const& fault : ccomp::testing::check_stage(s, {.damaged = 100, .steps = 20})) all += fault + '\n';
  return all;
}
template <class S> void finds(char const* what) {
  auto const said = said_of(S{});
  CAPTURE(said);
  CHECK(said.find(what) != std::string::npos);
}

}  // namespace

TEST_CASE("check_stage: nothing is wrong with sound stages") {
  CHECK(said_of(largest_of_eight{}) == "");
  CHECK(said_of(three_levels{}) == "");
  CHECK(said_of(three_levels{.block = 4096}) == "");
}

TEST_CASE("check_stage: sizes, text and settings") {
  finds<unwritten_byte>("bytes of the payload were not written");
  finds<too_short>("decode left values unwritten");
  finds<reads_beyond>("n = 255, Gaussian: bytes of the payload were not written, or depend on more than the values");
  finds<reads_scratch>("depend on more than the values");
  finds<counts_calls>("depend on more than the values");
  setting_without_field twice;
  twice.factor = 2;
  CHECK(said_of(twice).find("is a setting missing in fields()?") != std::string::npos);
  finds<unreadable_text>("its own text is refused");
  finds<forgets_a_setting>("its own text is refused");
  finds<refuses_itself>("its settings are refused: ");
  CHECK(said_of(three_levels{.block = 48}).find("block must be a power of two") != std::string::npos);
}

TEST_CASE("check_stage: claims") {
  finds<claims_too_much>("of the squared norm is left out, and 0.5");
  finds<calls_itself_linear>("it is called linear");
  finds<calls_itself_unbiased>("it is called unbiased");
}

TEST_CASE("check_stage: values that are zero, and that are not finite") {
  finds<zero_becomes_one>("zeros do not decode to zero");
  finds<hides_nan>("a non-finite value decodes to a finite one");
}

TEST_CASE("check_stage: the same bits everywhere") {
  finds<depends_on_threads>("with 7 threads: other payload bytes");
  finds<draws_in_secret>("another rank changes the bytes");
}

TEST_CASE("check_stage: damaged payloads") {
  finds<trusts_bytes>("writes outside of the output");
  finds<other_exception>("something other than a payload_error");
  finds<writes_then_refuses>("wrote values, then refused the frame");
}
