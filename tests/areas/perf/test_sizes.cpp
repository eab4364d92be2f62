#include <bench/perf/sizes.hpp>

#include <doctest/doctest.h>

using namespace perf;

TEST_CASE("sizes have suffixes, and anything else is no size") {
  CHECK(parse_bytes("8") == 8);
  CHECK(parse_bytes("64K") == 65536);
  CHECK(parse_bytes("3m") == 3 << 20);
  CHECK(parse_bytes("64G") == std::size_t{64} << 30);
  for (auto const* text : {"", "K", "0", "0K", "-8", "+8", "8KB", "8 K", "1.5M", "65G", "64T", "x8",
                           "99999999999999999999", "18446744073709551615G"})
    CHECK_MESSAGE(!parse_bytes(text), text);
}

TEST_CASE("sizes go from the first to the last by a factor or a step") {
  using list = std::vector<std::size_t>;
  CHECK(sizes_of({.first = 8, .last = 64, .factor = 2}) == list{8, 16, 32, 64});
  CHECK(sizes_of({.first = 8, .last = 63, .factor = 2}) == list{8, 16, 32});
  CHECK(sizes_of({.first = 10, .last = 41, .step = 10}) == list{10, 20, 30, 40});
  CHECK(sizes_of({.first = 8, .last = 8, .step = 1}) == list{8});
}
