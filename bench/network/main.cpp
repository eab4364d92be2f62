#include "bench/compare/output_file.hpp"
#include "bench/compare/printable.hpp"
#include "bench/compare/user_error.hpp"
#include "compressed.hpp"
#include "dense.hpp"
#include "json_output.hpp"
#include "options.hpp"
#include "tensor.hpp"
#include "world.hpp"

#include <ccomp/comm/mpi.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace network;

constexpr int wrong_input = 2;

void show(world const& all, std::string const& what, timing const& time) {
  if (!all.speaks()) return;
  char text[64];
  std::snprintf(text, sizeof text, ": %.1f ms", time.median_ms());
  std::cout << "  " << compare::printable(what) << text << std::endl;
}

void time_dense(world const& all, tensor& data, options const& wanted, measurement& found,
                ccomp::mpi_communicator& comm) {
  auto const add = [&](dense_result one) {
    show(all, one.library + ' ' + one.type, one.time);
    found.dense.push_back(std::move(one));
  };
  add(time_mpi_float32(all, data, wanted.limits));
  add(time_mpi_bfloat16(all, data, wanted.limits));
  if (!wanted.dense_only) add(time_own_float32(all, data, wanted.limits, comm));
}

void time_contestants(world const& all, tensor& data, options const& wanted, measurement& found,
                      ccomp::mpi_communicator& comm, std::chrono::steady_clock::time_point start) {
  for (auto const& one : wanted.contestants) {
    std::chrono::duration<double> const spent = std::chrono::steady_clock::now() - start;
    if (all.largest(spent.count()) > wanted.time_limit) {
      found.left_out.push_back(one.name());
      continue;
    }
    try {
      found.results.push_back(time_compressed(all, data, wanted.limits, comm, one));
      show(all, one.name(), found.results.back().time);
    } catch (ccomp::invalid_argument const& e) {  // on every rank, before anything is sent
      found.refused.push_back({one.name(), e.what()});
      if (all.speaks()) std::cout << "  " << compare::printable(one.name() + " is refused: " + e.what()) << std::endl;
    }
  }
}

void run(world const& all, options const& wanted) {
  auto const start = std::chrono::steady_clock::now();
  std::unique_ptr<compare::output_file> json;
  if (wanted.json && all.speaks()) json = std::make_unique<compare::output_file>(*wanted.json);
  tensor data(all, wanted.n);
  ccomp::mpi_communicator comm(MPI_COMM_WORLD, {.deadline = std::chrono::minutes(2), .checksums = wanted.checksums});
  measurement found;
  found.link_mbit = link_mbit(all, data);
  time_dense(all, data, wanted, found, comm);
  if (!wanted.dense_only) {
    time_contestants(all, data, wanted, found, comm, start);
    auto const again = time_mpi_float32(all, data, {.seconds = 0, .least = 1, .most = 1});
    found.drift = again.time.median_ms() / found.dense[0].time.median_ms();
  }
  if (json) json->write(to_json(found, all, wanted.n));
}

}

int main(int argc, char** argv) {
  ccomp::mpi_environment const mpi;
  world const all;
  // Every rank meets the same mistakes; one tells of them.
  auto const tell = [&](std::string const& sentence) {
    if (all.speaks()) std::cerr << "ccomp-bench-network: " << compare::printable(sentence) << std::endl;
  };
  options wanted;
  try {
    wanted = parse_options(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
  } catch (compare::user_error const& e) {
    tell(e.what());
    all.wait_for_all();  // mpirun ends all ranks with the first
    return wrong_input;
  }
  try {
    if (wanted.help.empty())
      run(all, wanted);
    else if (all.speaks())
      std::cout << wanted.help;
    return EXIT_SUCCESS;
  } catch (compare::user_error const& e) {
    tell(e.what());
    std::_Exit(wrong_input);
  } catch (std::exception const& e) {  // one rank alone: mpirun ends the others
    std::cerr << "ccomp-bench-network: rank " << all.rank() << ": " << compare::printable(e.what()) << std::endl;
    std::_Exit(EXIT_FAILURE);
  }
}
