#pragma once

#include <ccomp/comm/mpi_error.hpp>  // mpi.h without the C++ classes of MPI

#include <cstdint>
#include <span>

namespace network {

// All ranks that mpirun started. MPI ends the program where one of these calls fails. Every rank makes the same calls.
class world {
 public:
  world() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool speaks() const { return rank_ == 0; }  // this rank prints and writes

  void wait_for_all() const { MPI_Barrier(MPI_COMM_WORLD); }
  double largest(double value) const { return combined(value, MPI_MAX); }
  double sum(double value) const { return combined(value, MPI_SUM); }
  bool same(std::uint64_t value) const {
    std::uint64_t const mine[2] = {value, ~value};
    std::uint64_t least[2] = {};
    MPI_Allreduce(mine, least, 2, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
    return least[0] == ~least[1];
  }

 private:
  static double combined(double value, MPI_Op op) {
    double all = 0;
    MPI_Allreduce(&value, &all, 1, MPI_DOUBLE, op, MPI_COMM_WORLD);
    return all;
  }

  int rank_ = 0;
  int size_ = 1;
};

}
