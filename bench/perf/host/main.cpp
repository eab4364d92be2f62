// ccomp-perf: collectives over threads of this process, and over MPI where CMake has found it.
#include "../report.hpp"
#include "bench/compare/printable.hpp"
#include "host_rank.hpp"
#if CCOMP_PERF_MPI
#include "bench/network/mpi_library.hpp"
#include "mpi_rank.hpp"
#endif

#include <cstdlib>
#include <exception>
#include <optional>

namespace {

using namespace perf;

constexpr int wrong_input = 2;
constexpr auto program_name = "ccomp-perf";

std::size_t over_threads(options const& wanted) {
  int const ranks = wanted.threads > 0 ? wanted.threads : 4;
  ccomp::thread_group group(ranks), beside(ranks);
  std::size_t wrong = 0;
  group.run([&](ccomp::thread_communicator& comm) {
    ccomp::thread_communicator meeting(beside, comm.rank());
    thread_world all(meeting);
    host_rank self(all, host_ranks(comm));
    run_facts const facts{.transport = "threads", .ranks = ranks, .threads = ccomp::detail::resolve_threads({})};
    auto const found = measure_and_report(self, wanted, facts);
    if (all.speaks()) wrong = found;
  });
  return wrong;
}

#if CCOMP_PERF_MPI
std::size_t over_mpi(world& all, options const& wanted) {
  ccomp::mpi_communicator comm(MPI_COMM_WORLD, {.deadline = std::chrono::minutes(2)});
  mpi_rank self(all, host_ranks(comm));
  return measure_and_report(self, wanted,
                            {.transport = "MPI",
                             .library = network::mpi_library(),
                             .ranks = all.size(),
                             .threads = ccomp::detail::resolve_threads({})});
}
#endif

// Whether mpirun or srun has started this process: MPI must then be initialised, whatever the options say.
bool started_by_mpi() {
#if CCOMP_PERF_MPI
  for (auto const* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"})
    if (std::getenv(name)) return true;  // NOLINT(concurrency-mt-unsafe): nothing changes the environment
#endif
  return false;
}

// Every rank meets the same mistakes; one tells of them.
void tell(world const* all, std::string const& sentence) {
  if (!all || all->speaks()) std::cerr << program_name << ": " << compare::printable(sentence) << std::endl;
}

int run(world* all, bool launched, std::vector<std::string> const& arguments) {
  options wanted;
  try {
    offer program{program_name, {"threads"}, false, "over threads or MPI, compressed and dense"};
#if CCOMP_PERF_MPI
    program.transports.insert(launched ? program.transports.begin() : program.transports.end(), "mpi");
#endif
    wanted = parse_options(program, arguments);
    if (launched && wanted.transport != "mpi")
      throw compare::user_error("mpirun has started this program, so --transport is mpi; start it alone for threads.");
    if (!wanted.help.empty()) {
      if (!all || all->speaks()) std::cout << wanted.help;
      return EXIT_SUCCESS;
    }
  } catch (compare::user_error const& e) {
    tell(all, e.what());
    if (all) all->wait_for_all();  // mpirun ends all ranks with the first
    return wrong_input;
  }
  std::size_t wrong = 0;
#if CCOMP_PERF_MPI
  if (wanted.transport == "mpi") {
    std::optional<ccomp::mpi_environment> own;
    std::optional<mpi_world> ranks;
    if (!all) {
      own.emplace();
      ranks.emplace();
      all = &*ranks;
    }
    try {
      wrong = over_mpi(*all, wanted);
    } catch (compare::user_error const& e) {
      tell(all, e.what());
      std::_Exit(wrong_input);
    } catch (std::exception const& e) {  // one rank alone: mpirun ends the others
      std::cerr << program_name << ": rank " << all->rank() << ": " << compare::printable(e.what()) << std::endl;
      std::_Exit(EXIT_FAILURE);
    }
    return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }
#endif
  try {
    wrong = over_threads(wanted);
  } catch (compare::user_error const& e) {
    tell(nullptr, e.what());
    return wrong_input;
  }
  return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}

int main(int argc, char** argv) {
  std::vector<std::string> const arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  try {
#if CCOMP_PERF_MPI
    if (started_by_mpi()) {
      ccomp::mpi_environment const mpi;
      mpi_world all;
      return run(&all, true, arguments);
    }
#endif
    return run(nullptr, false, arguments);
  } catch (std::exception const& e) {
    std::cerr << program_name << ": " << compare::printable(e.what()) << std::endl;
    return EXIT_FAILURE;
  }
}
