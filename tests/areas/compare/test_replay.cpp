#include <bench/compare/host/exchanges.hpp>
#include <bench/compare/replay.hpp>
#include <support/named_compressor.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/comm/thread.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

using namespace compare;

namespace {

std::vector<float> tensor_of(int rank) {
  std::vector<float> values(10007);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::sin(static_cast<float>(i * 7 + 1) * static_cast<float>(rank + 1));
  }
  return values;
}

}

TEST_CASE("a rank alone gets from the log what it got from the others, under every strategy") {
  constexpr int ranks = 3;
  ccomp::host_exec const ex{.threads = 1};
  ccomp::allreduce_options const options{.op = ccomp::reduction::sum, .at = 5};
  struct example {
    char const* compressor;
    std::string strategy;
    std::size_t exchanges;
  };
  for (example const& each :
       {example{"top_k(count=3)", "gather", 1}, example{"uniform_quantize<4>(round=stochastic)", "two_shot", 2},
        example{"cast<bfloat16>", "in_flight", 1}}) {
    INFO(each.compressor);
    support::named_compressor const compressor{each.compressor};
    exchanges log;
    std::vector<float> together;
    ccomp::thread_group group{ranks};
    auto const run = [&](auto& comm, std::vector<float>& tensor, auto strategy_value) {
      ccomp::workspace<ccomp::host_exec> ws{ex};
      return ccomp::allreduce(ex, comm, compressor, std::span(tensor), ws, options, strategy_value);
    };
    auto const with_strategy = [&](auto&& call) {
      if (each.strategy == "gather") return call(ccomp::gather{});
      if (each.strategy == "two_shot") return call(ccomp::two_shot{});
      return call(ccomp::in_flight{});
    };
    group.run([&](ccomp::thread_communicator& comm) {
      auto tensor = tensor_of(comm.rank());
      recorder recording(comm, comm.rank() == 1 ? &log : nullptr);
      with_strategy([&](auto value) { run(recording, tensor, value); });
      if (comm.rank() == 1) together = tensor;
    });
    CHECK(log.size() == each.exchanges);

    auto alone = tensor_of(1);
    replayer comm(1, ranks, log);
    with_strategy([&](auto value) { run(comm, alone, value); });
    CHECK(std::memcmp(alone.data(), together.data(), alone.size() * sizeof(float)) == 0);
    CHECK(comm.seconds() > 0);
  }
}

TEST_CASE("a call that exchanges something else is noticed") {
  exchanges const log = {std::vector<std::byte>(8)};
  std::vector<std::byte> received(9);
  replayer comm(0, 2, log);
  CHECK_THROWS_AS(comm.all_gather(ccomp::host_exec{}, {}, received), std::logic_error);
  replayer other(0, 2, log);
  other.all_gather(ccomp::host_exec{}, {}, std::span(received).first(8));
  CHECK_THROWS_AS(other.all_gather(ccomp::host_exec{}, {}, std::span(received).first(8)), std::logic_error);
}
