#include <bench/perf/percentile.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("a percentile is the value of the nearest rank") {
  std::vector<double> hundred;
  for (int i = 100; i > 0; --i) hundred.push_back(i);
  CHECK(perf::percentile(hundred, 50) == 50);
  CHECK(perf::percentile(hundred, 99) == 99);
  CHECK(perf::percentile(hundred, 100) == 100);
  CHECK(perf::percentile({3, 1, 2}, 50) == 2);
  CHECK(perf::percentile({3, 1, 2}, 99) == 3);
  CHECK(perf::percentile({7}, 1) == 7);
}
