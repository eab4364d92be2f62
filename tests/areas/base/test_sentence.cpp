#include <ccomp/core/sentence.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

using ccomp::detail::sentence;

TEST_CASE("sentence: text of every kind, in order") {
  std::string const owned = "owned";
  CHECK(sentence("literal ", owned, " ", std::string_view("a view of more").substr(0, 6), " ",
                 std::string("temporary")) == "literal owned a view temporary");
  CHECK(sentence().empty());
  CHECK(sentence("").empty());
}

TEST_CASE("sentence: whole numbers of every width") {
  CHECK(sentence(std::size_t{0}, " ", 7, " ", -7, " ", 7u) == "0 7 -7 7");
  CHECK(sentence(std::numeric_limits<std::int64_t>::min(), " ", std::numeric_limits<std::int64_t>::max()) ==
        "-9223372036854775808 9223372036854775807");
  CHECK(sentence(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  CHECK(sentence(std::numeric_limits<std::int32_t>::min(), " ", std::numeric_limits<std::uint32_t>::max()) ==
        "-2147483648 4294967295");
  CHECK(sentence(static_cast<std::int16_t>(-300), " ", static_cast<std::uint8_t>(200)) == "-300 200");
}
