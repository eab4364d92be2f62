#include <bench/compare/link.hpp>
#include <bench/compare/number.hpp>
#include <bench/compare/user_error.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace compare;

TEST_CASE("speeds with every unit") {
  CHECK(parse_link("1gbit").bits_per_second == 1e9);
  CHECK(parse_link("2.5gbit").bits_per_second == 2.5e9);
  CHECK(parse_link("100mbit").bits_per_second == 100e6);
  CHECK(parse_link("64kbit").bits_per_second == 64e3);
  CHECK(parse_link("9600bit").bits_per_second == 9600);
  CHECK(parse_link("10Gbit").bits_per_second == 10e9);
  CHECK(parse_link("10Gbit").text == "10Gbit");
  CHECK(parse_link("1gbit").seconds(1e9) == doctest::Approx(8));
}

TEST_CASE("what is no speed is refused and named") {
  for (auto const* text : {"",        "1",
                           "gbit",    "bit",
                           "kbit",    "-1gbit",
                           "+1gbit",  "1 gbit",
                           "1gb",     "1gbits",
                           "1tbit",   "1kgbit",
                           "0gbit",   "0.0mbit",
                           "1e3mbit", "infgbit",
                           "nangbit", "1.2.3gbit",
                           ".gbit",   "0x1gbit",
                           "1,5gbit", "99999999999999999999gbit",
                           "1bit"}) {
    std::string sentence;
    try {
      parse_link(text);
    } catch (user_error const& e) {
      sentence = e.what();
    }
    CHECK_MESSAGE(sentence.starts_with("--link '" + std::string(text) + "' "), "for '" << text << "': " << sentence);
    CHECK(sentence.ends_with("."));
  }
}

TEST_CASE("lists keep their order and drop repeats") {
  auto const links = parse_links("10gbit,1gbit,10gbit,2.5gbit");
  REQUIRE(links.size() == 3);
  CHECK(links[0].text == "10gbit");
  CHECK(links[1].text == "1gbit");
  CHECK(links[2].text == "2.5gbit");
  for (auto const* list : {"", ",", "1gbit,", ",1gbit", "1gbit,,2gbit", "1gbit;2gbit"}) {
    CHECK_THROWS_AS(parse_links(list), user_error);
  }
}

TEST_CASE("whole numbers") {
  CHECK(parse_whole("64", 1, 64) == 64);
  CHECK(parse_whole("1", 1, 64) == 1);
  for (auto const* text : {"", "0", "65", "-1", "+1", " 1", "1 ", "1.0", "1e1", "99999999999999999999", "x"}) {
    CHECK_MESSAGE(!parse_whole(text, 1, 64), text);
  }
}
