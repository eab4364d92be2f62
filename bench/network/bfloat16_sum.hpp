#pragma once

#include <ccomp/comm/mpi_error.hpp>  // mpi.h without the C++ classes of MPI

namespace network {

// MPI knows no bfloat16: a datatype and the sum of it, for MPI_Allreduce. The additions are the library's own, with the
// machine's vector instructions, so that MPI is not held back by them.
class bfloat16_sum {
 public:
  bfloat16_sum();
  bfloat16_sum(bfloat16_sum const&) = delete;
  bfloat16_sum& operator=(bfloat16_sum const&) = delete;
  ~bfloat16_sum();

  MPI_Datatype type() const { return type_; }
  MPI_Op op() const { return op_; }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
  MPI_Op op_ = MPI_OP_NULL;
};

}
