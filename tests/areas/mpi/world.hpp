#pragma once

#include <ccomp/comm/mpi.hpp>

/// All ranks of the program.
inline ccomp::mpi_communicator*& world() {
  static ccomp::mpi_communicator* ranks = nullptr;
  return ranks;
}
