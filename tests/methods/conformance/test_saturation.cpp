/// Finite values decode to finite values of the tensor's type, whichever compressor of the list codes them.

#include <support/catalogue.hpp>
#include <support/named_compressor.hpp>
#include <support/saturation.hpp>

#include <doctest/doctest.h>

#include <limits>

TEST_CASE("conformance: finite values decode to finite values of the tensor's type") {
  int all = 0;
  for (auto const& e : support::catalogue()) {
    bool const reaches_all = e.reach == std::numeric_limits<float>::max();
    support::stays_finite(support::named_compressor(e.text), reaches_all);
    all += reaches_all;
  }
  CHECK(all >= 60);
}
