#include "bfloat16_sum.hpp"

#include <ccomp/engine/host/typed_sum.hpp>

#include <array>
#include <cstddef>

namespace network {
namespace {

void add(void* in, void* in_and_out, int* n, MPI_Datatype*) {
  std::array<void const*, 2> const sources{in, in_and_out};
  ccomp::detail::typed_sum(ccomp::host_exec{.threads = 1}, sources, static_cast<std::size_t>(*n),
                           ccomp::wire_type::bfloat16, ccomp::wire_op::sum, in_and_out);
}

constexpr int commutes = 1;

}

bfloat16_sum::bfloat16_sum() {
  MPI_Type_contiguous(2, MPI_BYTE, &type_);
  MPI_Type_commit(&type_);
  MPI_Op_create(add, commutes, &op_);
}

bfloat16_sum::~bfloat16_sum() {
  MPI_Op_free(&op_);
  MPI_Type_free(&type_);
}

}
