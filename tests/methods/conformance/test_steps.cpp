/// What draws random bits demands a step of collectives; what draws none does not.

#include <support/catalogue.hpp>
#include <support/named_compressor.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace ccomp;

TEST_CASE("conformance: a chain that draws demands a step, in every collective, and changes nothing") {
  self_communicator comm;
  workspace<host_exec> ws{host_exec{1}};
  std::vector<float> x(256, 1.0f), full(256);
  auto const untouched = x;
  int drawing = 0;
  for (auto const& e : support::catalogue()) {
    CAPTURE(e.text);
    support::named_compressor const c(e.text);
    bool const draws = std::ranges::any_of(c.stages(), [](auto const& s) { return s.facts->stochastic(s.stage); });
    CHECK((draws || e.random == ccomp::testing::draws::nothing));
    if (!draws) {
      auto y = x;
      allreduce({1}, comm, c, y, ws);
      continue;
    }
    ++drawing;
    auto const refused = [&](auto const& call) {
      CHECK_THROWS_WITH_AS(call(), doctest::Contains("pass {.at = step}"), invalid_argument);
      CHECK(x == untouched);
    };
    refused([&] { allreduce({1}, comm, c, x, ws); });
    refused([&] { allgather({1}, comm, c, x, full, ws); });
    refused([&] { reduce_scatter({1}, comm, c, x, full, ws); });
    refused([&] { broadcast({1}, comm, c, x, 0, ws); });
    std::vector<float> rest(256);
    alignas(16) std::byte payload[4096];
    REQUIRE(payload_bytes<float>(c, x.size()) <= sizeof payload);
    refused([&] { encode_feedback({1}, c, x, std::span(rest), payload, ws); });
    encode_feedback({1}, c, x, std::span(rest), payload, ws, {.at = 0});
    encode({1}, c, x, payload, ws);  // stands alone, like compress: the caller may send it as step 0
    auto y = x;
    allreduce({1}, comm, c, y, ws, {.at = 0});
  }
  CHECK(drawing >= 40);
}
