#include <support/late_ranks.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/sparsify/threshold.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("late ranks: the memory of a failed call stays") {
  for (bool const trim : {false, true}) {
    CAPTURE(trim);
    std::vector<std::span<std::byte>> lent;
    std::vector<float> x(1000, 1.0f);
    {
      ccomp::workspace<ccomp::host_exec> ws{ccomp::host_exec{1}};
      support::late_ranks comm{&lent};
      auto const call = [&] {
        ccomp::allreduce(ccomp::host_exec{1}, comm, ccomp::threshold{.value = 0.5f}, x, ws, {.at = 0},
                         ccomp::gather{.trim = trim});
      };
      CHECK_THROWS_AS(call(), ccomp::timeout);
    }
    REQUIRE(lent.size() == 1);
    CHECK(support::still_ours(lent[0]));
  }
}
