#include <ccomp/core/error.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/types.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <tuple>

namespace {

enum class flavour { plain, sweet, bitter };
constexpr auto setting_names(flavour) { return std::array<std::string_view, 3>{"plain", "sweet", "bitter"}; }

// One setting of every type that a stage may have.
template <int Bits> struct sample_stage {
  static constexpr std::string_view name = "sample";
  static constexpr std::string_view argument() { return Bits == 4 ? "4" : "8"; }
  std::uint32_t block = 512;
  double ratio = 0.01;
  float limit = 1.5f;
  bool exact = false;
  flavour kind = flavour::plain;
  std::uint64_t seed = 0;
  int offset = 0;
  static constexpr auto fields() {
    using ccomp::field;
    return std::tuple{field{"block", &sample_stage::block},  field{"ratio", &sample_stage::ratio},
                      field{"limit", &sample_stage::limit},  field{"exact", &sample_stage::exact},
                      field{"kind", &sample_stage::kind},    field{"seed", &sample_stage::seed},
                      field{"offset", &sample_stage::offset}};
  }
};

struct bare_stage {
  static constexpr std::string_view name = "bare";
  static constexpr auto fields() { return std::tuple{}; }
};

// A stage before and after it got two more settings.
struct young_stage {
  static constexpr std::string_view name = "ageing";
  std::uint32_t block = 512;
  std::uint64_t seed = 0;
  static constexpr auto fields() {
    return std::tuple{ccomp::field{"block", &young_stage::block}, ccomp::field{"seed", &young_stage::seed}};
  }
};
struct old_stage {
  static constexpr std::string_view name = "ageing";
  std::uint32_t block = 512;
  std::uint64_t seed = 0;
  float clip = 1, floor = 1;
  static constexpr auto fields() {
    using ccomp::field;
    return std::tuple{field{"block", &old_stage::block}, field{"seed", &old_stage::seed},
                      field{"clip", &old_stage::clip, ccomp::added_setting},
                      field{"floor", &old_stage::floor, ccomp::added_setting}};
  }
};

template <class V> V parse(std::string_view text) {
  V v{};
  ccomp::detail::parse_value(v, text, {"sample", "key"});
  return v;
}

template <class V> std::string refusal(std::string_view text) {
  try {
    parse<V>(text);
  } catch (ccomp::invalid_argument const& e) {
    return e.what();
  }
  return "nothing was thrown";
}

bool has(std::string const& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

using ccomp::detail::print_value;
using ccomp::detail::stage_fingerprint;
using ccomp::detail::stage_text;

TEST_CASE("fields: a stage prints its name and the settings that differ from the defaults") {
  CHECK(stage_text(bare_stage{}) == "bare");
  CHECK(stage_text(sample_stage<8>{}) == "sample<8>");
  CHECK(stage_text(sample_stage<4>{.block = 64}) == "sample<4>(block=64)");
  CHECK(stage_text(sample_stage<8>{.ratio = 0.001, .exact = true, .kind = flavour::bitter}) ==
        "sample<8>(ratio=0.001, exact=true, kind=bitter)");
  CHECK(stage_text(sample_stage<8>{.limit = 0.1f, .seed = 18446744073709551615u, .offset = -3}) ==
        "sample<8>(limit=0.1, seed=18446744073709551615, offset=-3)");
}

TEST_CASE("fields: a setting that was added counts in the fingerprint where it is not at its default") {
  CHECK(stage_fingerprint(old_stage{}) == stage_fingerprint(young_stage{}));
  CHECK(stage_fingerprint(old_stage{.block = 16, .seed = 7}) == stage_fingerprint(young_stage{16, 7}));
  CHECK(stage_fingerprint(old_stage{.clip = 2}) != stage_fingerprint(young_stage{}));
  CHECK(stage_fingerprint(old_stage{.clip = 2}) != stage_fingerprint(old_stage{.clip = 3}));
  CHECK(stage_fingerprint(old_stage{.clip = 2}) != stage_fingerprint(old_stage{.floor = 2}));
  CHECK(stage_text(old_stage{.clip = 2}) == "ageing(clip=2)");
}

TEST_CASE("fields: values read back what was printed") {
  for (double v : {0.01, 1.0 / 3.0, 1e-300, 12345678.9, -0.5}) CHECK(parse<double>(print_value(v)) == v);
  for (float v : {0.1f, 1.0f / 3.0f, 1e-38f, 16777216.0f}) CHECK(parse<float>(print_value(v)) == v);
  for (std::uint64_t v : {std::uint64_t{0}, std::uint64_t{1} << 53, ~std::uint64_t{0}})
    CHECK(parse<std::uint64_t>(print_value(v)) == v);
  for (std::int32_t v : {0, -1, 2147483647}) CHECK(parse<std::int32_t>(print_value(v)) == v);
  for (bool v : {false, true}) CHECK(parse<bool>(print_value(v)) == v);
  for (flavour v : {flavour::plain, flavour::sweet, flavour::bitter}) CHECK(parse<flavour>(print_value(v)) == v);
}

TEST_CASE("fields: rounding is a setting with names") {
  CHECK(print_value(ccomp::rounding::nearest) == "nearest");
  CHECK(print_value(ccomp::rounding::stochastic) == "stochastic");
  CHECK(parse<ccomp::rounding>("nearest") == ccomp::rounding::nearest);
  CHECK(parse<ccomp::rounding>("stochastic") == ccomp::rounding::stochastic);
}

TEST_CASE("fields: numbers are read whole or refused") {
  CHECK(parse<std::uint32_t>("4294967295") == 4294967295u);
  CHECK(parse<double>("1e-3") == 0.001);
  for (auto text : {"", "x", "1x", "1 ", " 1", "-1", "1.5", "4294967296", "0x10", "1e3"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse<std::uint32_t>(text), ccomp::invalid_argument);
  }
  for (auto text : {"", "x", "0.1x", "1,5", "nan", "inf", "-inf", "1e999"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse<double>(text), ccomp::invalid_argument);
  }
  for (auto text : {"", "1", "yes", "True", "false "}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse<bool>(text), ccomp::invalid_argument);
  }
}

TEST_CASE("fields: lists of numbers") {
  using three = std::array<float, 3>;
  CHECK(print_value(three{-1, 0.25f, 2}) == "-1/0.25/2");
  CHECK(print_value(three{}) == "none");
  CHECK(parse<three>("-1/0.25/2") == three{-1, 0.25f, 2});
  CHECK(parse<three>("none") == three{});
  for (auto text :
       {"", "1", "1/2", "1/2/", "1/2/3/", "1/2/3/4", "/1/2", "1//2", "1/2/x", "1/2/nan", "1 /2/3", "None"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse<three>(text), ccomp::invalid_argument);
  }
  CHECK(has(refusal<three>("1/2"), "sample's key must be 3 numbers with / between them, or none, got '1/2'"));
}

TEST_CASE("fields: a refusal says the stage, the key, what was given and what is wanted") {
  for (std::string const& text : {refusal<std::uint32_t>("many"), refusal<double>("many"), refusal<bool>("many"),
                                  refusal<flavour>("many"), refusal<std::int32_t>("many")}) {
    CAPTURE(text);
    CHECK(has(text, "sample"));
    CHECK(has(text, "key"));
    CHECK(has(text, "'many'"));
  }
  CHECK(has(refusal<flavour>("many"), "plain, sweet, bitter"));
  CHECK(has(refusal<bool>("many"), "true or false"));
  CHECK(has(refusal<double>("many"), "a finite number"));
  CHECK(has(refusal<std::uint32_t>("-1"), "whole number"));
}

TEST_CASE("fields: the fingerprint depends on the name, the argument and every setting") {
  std::set<std::uint64_t> seen;
  seen.insert(stage_fingerprint(bare_stage{}));
  seen.insert(stage_fingerprint(sample_stage<4>{}));
  seen.insert(stage_fingerprint(sample_stage<8>{}));
  seen.insert(stage_fingerprint(sample_stage<8>{.block = 513}));
  seen.insert(stage_fingerprint(sample_stage<8>{.ratio = 0.011}));
  seen.insert(stage_fingerprint(sample_stage<8>{.limit = 1.25f}));
  seen.insert(stage_fingerprint(sample_stage<8>{.exact = true}));
  seen.insert(stage_fingerprint(sample_stage<8>{.kind = flavour::sweet}));
  seen.insert(stage_fingerprint(sample_stage<8>{.seed = 1}));
  seen.insert(stage_fingerprint(sample_stage<8>{.seed = std::uint64_t{1} << 32}));
  seen.insert(stage_fingerprint(sample_stage<8>{.offset = 1}));
  seen.insert(stage_fingerprint(sample_stage<8>{.offset = -1}));
  CHECK(seen.size() == 12);
  // The same number in another field is another stage; the same settings written out are the same stage.
  CHECK(stage_fingerprint(sample_stage<8>{.seed = 1}) != stage_fingerprint(sample_stage<8>{.offset = 1}));
  CHECK(stage_fingerprint(sample_stage<8>{.block = 512}) == stage_fingerprint(sample_stage<8>{}));
}

TEST_CASE("fields: names are hashed in order") {
  using ccomp::detail::hash_bytes;
  CHECK(hash_bytes("ab") != hash_bytes("ba"));
  CHECK(hash_bytes("a") != hash_bytes(""));
  CHECK(hash_bytes("\xff") != hash_bytes("\x7f"));
  CHECK(hash_bytes("top_k") == hash_bytes(std::string("top_k")));
}
