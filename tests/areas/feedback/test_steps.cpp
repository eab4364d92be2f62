#include <support/stepped.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/collectives.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/transform/scale.hpp>

#include <doctest/doctest.h>

using ccomp::element_type;
using ccomp::error_feedback;
using ccomp::error_feedback_set;
using ccomp::host_exec;
using ccomp::self_communicator;
using support::erase;
using support::erased;
using support::step;
using support::wrapped_compressors;
using host_workspace = ccomp::workspace<host_exec>;

TEST_CASE("a chain that draws refuses a step that is not after the last one committed") {
  for (auto const& c : wrapped_compressors())
    for (auto const type : {element_type::float32, element_type::bfloat16}) {
      error_feedback ef{c, support::stepped_size, host_exec{}, {.id = 3, .residual = type, .transactional = true}};
      CAPTURE(c.text());
      bool const draws = type == element_type::bfloat16 || ccomp::detail::is_stochastic(c.stages());
      CHECK(ef.draws() == draws);
      step(ef, 5);
      auto const before = ef.save();
      for (int const t : {5, 4, 0}) {
        if (draws) {
          CHECK_THROWS_WITH_AS(step(ef, t), doctest::Contains("is committed"), ccomp::invalid_argument);
          CHECK(ef.valid());
          CHECK(ef.save() == before);
        } else {
          step(ef, t);
        }
      }
      step(ef, 6);
      ef.discard();
      step(ef, 6);  // free again
      error_feedback other{c, support::stepped_size, host_exec{}, {.id = 3, .residual = type, .transactional = true}};
      other.load(ef.save());  // the last step travels along
      if (draws)
        CHECK_THROWS_AS(step(other, 6), ccomp::invalid_argument);
      else
        step(other, 6);
      step(other, 7);
      other.reset();
      step(other, 0);
    }
}
TEST_CASE("negative steps count up to zero") {
  error_feedback ef{erase(ccomp::random_k{.ratio = 0.1}), support::stepped_size};
  for (int const t : {-2, -1, 0, 1}) step(ef, t);
  CHECK_THROWS_AS(step(ef, -1), ccomp::invalid_argument);
}
TEST_CASE("without a step a wrapper counts by itself: random_k reaches every value") {
  std::vector<char> sent(1000);
  ccomp::thread_group group(2);
  group.run([&](ccomp::thread_communicator& comm) {
    host_workspace ws;
    error_feedback ef{ccomp::random_k{.ratio = 0.05}, 1000};
    error_feedback_set set{ccomp::random_k{.ratio = 0.05}};
    for (int t = 0; t < 400; ++t) {
      std::vector<float> g(1000, 1.0f), h = g, told = g;
      ccomp::allreduce({1}, comm, ef, g, ws);
      if (comm.rank() == 0)
        for (std::size_t i = 0; i < 1000; ++i) sent[i] = sent[i] != 0 || g[i] != 0;
      std::vector<ccomp::tensor_view> views{{std::span(h), 0}};
      ccomp::allreduce({1}, comm, set, views, ws);
      REQUIRE(support::same_bits(h, g));  // sets count alike
    }
    // From a step that is given the count goes on.
    error_feedback a{ccomp::random_k{.ratio = 0.05}, 1000}, b = a;
    std::vector<float> x(1000, 1.0f), y = x;
    ccomp::allreduce({1}, comm, a, x, ws, {.at = 41});
    ccomp::allreduce({1}, comm, b, y, ws, {.at = 41});
    std::ranges::fill(x, 1.0f);
    std::ranges::fill(y, 1.0f);
    ccomp::allreduce({1}, comm, a, x, ws);
    ccomp::allreduce({1}, comm, b, y, ws, {.at = 42});
    CHECK(support::same_bits(x, y));
  });
  CHECK(std::ranges::count(sent, 0) == 0);
}
TEST_CASE("the report says whether error feedback took part") {
  ccomp::thread_group group(2);
  group.run([&](ccomp::thread_communicator& comm) {
    host_workspace ws;
    std::vector<float> x(64, 1.0f), full(128), part(32);
    ccomp::uniform_quantize<4> const c{};
    error_feedback ef{c, 64};
    error_feedback_set set{c};
    CHECK_FALSE(ccomp::allreduce({1}, comm, c, x, ws).feedback);
    CHECK(ccomp::allreduce({1}, comm, ef, x, ws).feedback);
    CHECK(ccomp::allreduce({1}, comm, set, x, ws).feedback);
    CHECK(ccomp::allgather({1}, comm, ef, x, full, ws).feedback);
    CHECK(ccomp::reduce_scatter({1}, comm, ef, x, part, ws).feedback);
    CHECK(ccomp::broadcast({1}, comm, ef, x, 1, ws).feedback == (comm.rank() == 1));
    CHECK_FALSE(ccomp::broadcast({1}, comm, c, x, 1, ws).feedback);
  });
}
TEST_CASE("automatic with feedback leaves sums of 16-bit carriers to the ranks, which can keep their rounding") {
  ccomp::thread_group group(3);
  group.run([&](ccomp::thread_communicator& comm) {
    host_workspace ws;
    auto strategy = [&](auto const& c, auto zero) {
      std::vector<decltype(zero)> x(600, zero);
      error_feedback ef{c, 600};
      return ccomp::allreduce({1}, comm, ef, x, ws, {.at = 1}).strategy;
    };
    CHECK(strategy(ccomp::cast<ccomp::bfloat16>{}, 0.0f) == "two_shot");
    CHECK(strategy(ccomp::cast<ccomp::float16>{}, 0.0f) == "two_shot");
    CHECK(strategy(ccomp::random_k{.ratio = 0.1} | ccomp::cast<ccomp::bfloat16>{}, 0.0f) != "in_flight");
    CHECK(strategy(ccomp::random_k{.ratio = 0.1}, ccomp::float16(0.0f)) != "in_flight");
    CHECK(strategy(ccomp::random_k{.ratio = 0.1}, 0.0f) == "in_flight");
    std::vector<float> x(600);
    CHECK(ccomp::allreduce({1}, comm, ccomp::cast<ccomp::bfloat16>{}, x, ws).strategy == "in_flight");
  });
}
