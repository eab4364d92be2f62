// Every rank runs every test case. What rank 0 says is shown, and what a rank says in which something failed.
#define DOCTEST_CONFIG_IMPLEMENT
#include "world.hpp"

#include <doctest/doctest.h>

#include <iostream>
#include <sstream>

int main(int argc, char** argv) {
  ccomp::mpi_environment const mpi;
  ccomp::mpi_communicator ranks(MPI_COMM_WORLD, {.deadline = std::chrono::seconds(20)});
  world() = &ranks;
  std::ostringstream said;
  doctest::Context tests(argc, argv);
  tests.setCout(&said);
  int const result = tests.run();
  if (result != 0 || ranks.rank() == 0) {
    std::istringstream lines(said.str());
    for (std::string line; std::getline(lines, line);) std::cout << '[' << ranks.rank() << "] " << line << std::endl;
  }
  return result;
}
