#pragma once

#include "host_rank.hpp"

#include <ccomp/comm/mpi.hpp>

namespace perf {

// All ranks that mpirun started. MPI ends the program where one of these calls fails.
class mpi_world : public world {
 public:
  mpi_world() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void wait_for_all() override { MPI_Barrier(MPI_COMM_WORLD); }
  std::vector<double> gather(std::span<double const> mine) override {
    std::vector<double> all(mine.size() * static_cast<std::size_t>(size_));
    auto const n = static_cast<int>(mine.size());
    MPI_Allgather(mine.data(), n, MPI_DOUBLE, all.data(), n, MPI_DOUBLE, MPI_COMM_WORLD);
    return all;
  }
  void broadcast_from_first(std::span<std::byte> bytes) override {
    MPI_Bcast(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, 0, MPI_COMM_WORLD);
  }

 private:
  int rank_ = 0;
  int size_ = 1;
};

// Beside ccomp's own calls over MPI, MPI's. Sums are of float alone, since MPI knows no 16-bit floats, and of less than
// 2^31 values.
class mpi_rank : public host_rank {
 public:
  using host_rank::host_rank;
  char const* native_name() const override { return "MPI"; }
  bool has_native(operation_facts const& facts, ccomp::element_type type, ccomp::reduction op) const override {
    return !facts.reduces || (type == ccomp::element_type::float32 && op == ccomp::reduction::sum);
  }
  void native(native_call const& c) override {
    auto const n = static_cast<int>(c.count);
    auto const bytes = static_cast<int>(c.count * ccomp::element_bytes(c.type));
    if (c.operation == allreduce::facts.name)
      MPI_Allreduce(MPI_IN_PLACE, c.output, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    else if (c.operation == allgather::facts.name)
      MPI_Allgather(c.input, bytes, MPI_BYTE, c.output, bytes, MPI_BYTE, MPI_COMM_WORLD);
    else if (c.operation == reduce_scatter::facts.name)
      MPI_Reduce_scatter_block(c.input, c.output, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    else if (c.operation == all_to_all::facts.name)
      MPI_Alltoall(c.input, bytes, MPI_BYTE, c.output, bytes, MPI_BYTE, MPI_COMM_WORLD);
    else if (c.operation == broadcast::facts.name)
      MPI_Bcast(c.output, bytes, MPI_BYTE, c.root, MPI_COMM_WORLD);
  }
};

}
