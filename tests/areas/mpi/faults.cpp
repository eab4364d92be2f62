// What happens to the other ranks when one is late, stopped or killed, when ranks call different primitives, or when a byte is
// changed on its way. Each fault breaks the communicator, so each is a program of its own: faults.sh starts it and reads what the ranks say.
#include <ccomp/collectives.hpp>
#include <ccomp/comm/mpi.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <signal.h>

#include <cstdio>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

namespace {

constexpr auto deadline = 1000ms;
constexpr std::size_t n = 300'000;

/// Below ccomp: the next long message to rank 0 is another one.
bool damage_next = false;

/// What is left of a rank that the fault has not hit: one line, and the end of the program. MPI_Finalize would wait.
[[noreturn]] void end(int rank, std::string const& what) {
  std::printf("rank %d: %s\n", rank, what.c_str());
  std::fflush(stdout);
  std::this_thread::sleep_for(1500ms);  // mpirun ends all ranks when the first one ends
  std::_Exit(0);
}

/// The last rank meets it before its part of an allreduce, in which the others are: so all of them wait for this rank alone.
void fault(std::string_view which) {
  if (which == "late") std::this_thread::sleep_for(deadline + 500ms);
  if (which == "stopped") ::raise(SIGSTOP);
  if (which == "killed") ::raise(SIGKILL);
  if (which.starts_with("damaged")) damage_next = true;
}

}  // namespace

extern "C" int MPI_Isend(void const* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  static std::vector<std::byte> changed;
  if (damage_next && to == 0 && count > 100) {
    damage_next = false;
    auto const* const bytes = static_cast<std::byte const*>(data);
    changed.assign(bytes, bytes + count);
    changed[changed.size() / 2] ^= std::byte{1};
    data = changed.data();
  }
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}

int main(int, char** arguments) {
  std::string_view const which = arguments[1];
  ccomp::mpi_environment const mpi;
  ccomp::mpi_communicator comm(MPI_COMM_WORLD, {.deadline = deadline});
  int const rank = comm.rank();

  ccomp::host_exec const ex{1};
  ccomp::workspace ws{ex};
  ccomp::error_feedback feedback{ccomp::uniform_quantize<8>{}, n, ex, {.transactional = true}};
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i)
    x[i] = static_cast<float>((i * 7919 + static_cast<std::size_t>(rank)) % 1001) - 500;
  auto const gradient = x;
  std::vector<float> before;
  auto const begin = std::chrono::steady_clock::now();
  try {
    if (which == "length") {  // primitives have no agreement before them
      std::vector<std::byte> data(rank == 0 ? 100 : 200);
      comm.broadcast(ex, data, 0);
    }
    for (int step = 0; step < 1000; ++step) {
      if (which != "damaged_sum") before = feedback.residual_copy();
      x = gradient;
      if (step == 3 && rank == comm.size() - 1) fault(which);
      if (which == "damaged_sum") {
        ccomp::allreduce(ex, comm, ccomp::cast<ccomp::bfloat16>{}, x, ws, {.op = ccomp::reduction::sum},
                         ccomp::in_flight{});
      } else {
        ccomp::allreduce(ex, comm, feedback, x, ws, {}, ccomp::two_shot{});
      }
    }
    end(rank, "no exception");
  } catch (ccomp::error const& e) {
    auto const took = std::chrono::steady_clock::now() - begin;
    std::string said = e.what();
    if (dynamic_cast<ccomp::timeout const*>(&e)) said = "timeout: " + said;
    if (took > 3 * deadline) said += "; too late";
    if (!before.empty()) feedback.discard();
    if (!before.empty() && feedback.residual_copy() != before) said += "; the residual is another one";
    try {
      ccomp::allreduce(ex, comm, feedback, x, ws);
      said += "; the next call worked";
    } catch (ccomp::communicator_error const& next) {
      if (std::string_view(next.what()).find("has failed before") == std::string_view::npos)
        said += std::string("; then: ") + next.what();
    }
    end(rank, said);
  }
}
