// allreduce of four ranks that are threads of this process: no wire, so only the codecs' cost shows. The dense sum of
// the same ranks is the yardstick.
#include "suite/timed.hpp"

#include <barrier>

namespace suite {
namespace {

constexpr int ranks = 4;

// Runs `call(comm, tensor, workspace)` on every rank again and again; the time of one is from the first rank's start
// to the last one's end.
template <class Call> void time_ranks(benchmark::State& state, std::span<float const> x, Call const& call) {
  ccomp::thread_group group(ranks);
  std::vector<double> times, dense;
  std::vector<std::vector<float>> tensors(ranks, std::vector<float>(x.begin(), x.end()));
  std::vector<ccomp::workspace<ccomp::host_exec>> spaces;
  for (int r = 0; r < ranks; ++r) spaces.emplace_back();
  ccomp::collective_report report;
  auto const round = [&](auto const& body) {
    return seconds_of([&] {
      group.run([&](ccomp::thread_communicator& comm) {
        auto const r = static_cast<std::size_t>(comm.rank());
        body(comm, tensors[r], spaces[r]);
      });
    });
  };
  auto const compressed = [&](auto& comm, auto& tensor, auto& space) {
    auto const done = call(comm, tensor, space);
    if (comm.rank() == 0) report = done;
  };
  auto const plain = [&](auto& comm, auto& tensor, auto&) {
    comm.all_reduce(ccomp::host_exec{}, tensor.data(), tensor.size(), ccomp::wire_type::float32, ccomp::wire_op::sum);
  };
  round(compressed);
  for (auto _ : state) {
    for (auto& t : tensors) std::copy(x.begin(), x.end(), t.begin());
    dense.push_back(round(plain));
    for (auto& t : tensors) std::copy(x.begin(), x.end(), t.begin());
    times.push_back(round(compressed));
    state.SetIterationTime(times.back());
  }
  double const bytes = static_cast<double>(x.size_bytes());
  state.counters["GB/s"] = bytes / compare::median(times) / 1e9;
  state.counters["of_dense"] = compare::median(dense) / compare::median(times);
  state.counters["sent_ratio"] = 2.0 * (ranks - 1) / ranks * bytes / static_cast<double>(report.bytes_sent);
  // All ranks brought the same tensor, so their mean is that tensor.
  state.counters["error"] = compare::relative_error(std::span<float const>(tensors[0]), x);
}

template <class Strategy> void add_allreduce(std::string const& text, std::size_t n, Strategy strategy) {
  add("allreduce/" + text + '/' + std::string(Strategy::name) + '/' + size_name(n), n, [=](benchmark::State& state) {
    ccomp::any_compressor const c(text);
    time_ranks(state, values(kind::gradient, n), [&](auto& comm, auto& tensor, auto& space) {
      return ccomp::allreduce(ccomp::host_exec{}, comm, c, tensor, space, {.at = 1}, strategy);
    });
  });
}

int const registered_collectives = [] {
  for (std::size_t const n : sizes) {
    for (std::string const text :
         {"uniform_quantize<8>", "uniform_quantize<4>", "sign_quantize", "top_k(0.01)|uniform_quantize<8>"}) {
      add_allreduce(text, n, ccomp::gather{});
      add_allreduce(text, n, ccomp::two_shot{});
    }
    for (std::string const text : {"cast<bfloat16>", "cast<float16>", "random_k(0.01)"})
      add_allreduce(text, n, ccomp::in_flight{});
    add_allreduce("shared_scale_quantize<4>", n, ccomp::automatic{});
  }
  return 0;
}();

}
}
