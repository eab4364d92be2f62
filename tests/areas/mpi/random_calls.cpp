// random_calls <number>: so many allreduces of random sizes, compressors, strategies and slices: all ranks have equal bits after each, the means are
// near the exact ones, and memory does not grow. All ranks draw the same numbers.
#include <ccomp/any_compressor.hpp>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/mpi.hpp>
#include <ccomp/error_feedback.hpp>

#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr std::size_t longest = 60'000;

std::size_t resident_bytes() {
  std::size_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

struct chain {
  char const* text;
  bool exact_enough;  // its mean has at most a third of error for these values
};
constexpr chain chains[] = {{"uniform_quantize<8>", true},
                            {"uniform_quantize<4>", false},
                            {"qsgd<8>", true},
                            {"natural", false},
                            {"sign_quantize", false},
                            {"cast<bfloat16>", true},
                            {"cast<float16>", true},
                            {"hadamard_rotate | uniform_quantize<8>", true},
                            {"shared_scale_quantize<8>", true},
                            {"top_k(0.1)", false},
                            {"top_k(0.1) | uniform_quantize<8>", false},
                            {"random_k(0.2)", false},
                            {"block_top_k(count=8, block=64)", false},
                            {"threshold(0.5)", false}};

ccomp::collective_report reduce(int how, ccomp::mpi_communicator& comm, auto& c, std::span<float> x,
                                ccomp::workspace<ccomp::host_exec>& ws, std::uint64_t step) {
  ccomp::host_exec const ex{1};
  ccomp::allreduce_options const options{.at = step};
  switch (how) {
    case 0:
      return ccomp::allreduce(ex, comm, c, x, ws, options, ccomp::gather{});
    case 1:
      return ccomp::allreduce(ex, comm, c, x, ws, options, ccomp::two_shot{});
    case 2:
      return ccomp::allreduce(ex, comm, c, x, ws, options, ccomp::ring{});
    default:
      return ccomp::allreduce(ex, comm, c, x, ws, options);
  }
}

float value(std::size_t rank, std::uint64_t step, std::size_t i) {
  return 1.0f + static_cast<float>(ccomp::hash64(step, 8 * i + rank) >> 40) * 0x1p-24f;  // 1 to 2
}

}  // namespace

int main(int, char** arguments) try {
  std::uint64_t const calls = std::strtoull(arguments[1], nullptr, 10);
  ccomp::mpi_environment const mpi;
  std::vector<ccomp::mpi_communicator> comms;
  for (std::size_t const slice : {std::size_t{0}, std::size_t{500}, std::size_t{8000}})
    comms.emplace_back(MPI_COMM_WORLD, ccomp::mpi_options{.deadline = std::chrono::seconds(60), .slice_bytes = slice});
  auto const me = static_cast<std::size_t>(comms[0].rank()), ranks = static_cast<std::size_t>(comms[0].size());
  std::vector<ccomp::any_compressor> compressors;
  for (auto const& c : chains) compressors.emplace_back(c.text);
  std::vector<ccomp::error_feedback<ccomp::any_compressor>> feedback;
  for (std::size_t const c : {0u, 1u, 4u, 9u}) feedback.emplace_back(compressors[c], 5000);

  ccomp::workspace<ccomp::host_exec> ws;
  std::vector<float> x;
  std::mt19937_64 draw(7);
  auto const below = [&](std::uint64_t n) { return draw() % n; };
  std::size_t warm = 0;
  for (std::uint64_t step = 0; step < calls; ++step) {
    auto& comm = comms[below(comms.size())];
    std::size_t const which = below(std::size(chains)), keeper = below(4 * feedback.size());
    int const how = static_cast<int>(below(4));
    bool const keeps = keeper < feedback.size();
    // Small tensors above all.
    std::size_t const n =
        keeps ? 5000 : static_cast<std::size_t>(static_cast<double>(below(longest + 1)) * std::pow(0.5, below(12)));
    x.resize(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = value(me, step, i);
    if (keeps)
      reduce(how, comm, feedback[keeper], x, ws, step);
    else
      reduce(how, comm, compressors[which], x, ws, step);

    std::uint64_t const mine = ccomp::detail::hash_bytes({reinterpret_cast<char const*>(x.data()), n * sizeof(float)});
    std::vector<std::uint64_t> all(ranks);
    comm.all_gather({}, std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
    auto const fail = [&](char const* what) {
      std::printf("call %llu: %s, n = %zu, strategy %d: %s\n", static_cast<unsigned long long>(step),
                  keeps ? "feedback" : chains[which].text, n, how, what);
      std::fflush(stdout);
      std::_Exit(1);
    };
    for (auto const other : all)
      if (other != mine) fail("the ranks have different bits");
    if (!keeps && chains[which].exact_enough)
      for (std::size_t i = 0; i < n; i += 97) {
        double exact = 0;
        for (std::size_t r = 0; r < ranks; ++r)
          exact += static_cast<double>(value(r, step, i)) / static_cast<double>(ranks);
        if (std::abs(static_cast<double>(x[i]) - exact) > exact / 3) fail("a mean is wrong");
      }
    if (step == calls / 2) warm = resident_bytes();
  }
  std::size_t const grown = resident_bytes() > warm ? resident_bytes() - warm : 0;
  if (me == 0)
    std::printf("%llu calls, %zu bytes more than after half of them\n", static_cast<unsigned long long>(calls), grown);
  return grown < (std::size_t{4} << 20) ? 0 : 1;
} catch (std::exception const& e) {
  std::printf("%s\n", e.what());
  std::fflush(stdout);
  std::_Exit(1);
}
