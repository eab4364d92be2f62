#include "one_build.hpp"

#include <doctest/doctest.h>

#include <algorithm>

TEST_CASE("odr: two builds of the umbrella in one program share no code and make the same bytes") {
  auto const plain = odr::plain::run();
  auto const native = odr::native::run();
  CHECK(plain.bytes == native.bytes);
  CHECK(plain.restored == native.restored);
  CHECK(std::ranges::count(plain.restored, 0.0f) < 10'000);
#if defined(_OPENMP) || defined(__x86_64__)  // otherwise the two builds may be alike
  CHECK(plain.workspace_type != native.workspace_type);
#endif
}
