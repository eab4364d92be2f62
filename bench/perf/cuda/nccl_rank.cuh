#pragma once

#include "device_rank.cuh"

#include <ccomp/comm/nccl.hpp>

namespace perf {

// Beside ccomp's own calls over NCCL, NCCL's.
class nccl_rank : public device_rank<ccomp::nccl_communicator> {
 public:
  using device_rank::device_rank;

  static char const* native_name() { return "NCCL"; }
  static bool has_native(operation_facts const&, ccomp::element_type, ccomp::reduction) { return true; }
  void native(native_call const& c) {
    auto const type = ccomp::detail::nccl_type(ccomp::wire_type_of(c.type), "ccomp-perf-cuda");
    auto const op = c.op == ccomp::reduction::mean ? ncclAvg : ncclSum;
    auto* const handle = comm.get();
    auto const stream = ex.stream();
    auto result = ncclSuccess;
    if (c.operation == allreduce::facts.name)
      result = ncclAllReduce(c.input, c.output, c.count, type, op, handle, stream);
    else if (c.operation == allgather::facts.name)
      result = ncclAllGather(c.input, c.output, c.count, type, handle, stream);
    else if (c.operation == reduce_scatter::facts.name)
      result = ncclReduceScatter(c.input, c.output, c.count, type, op, handle, stream);
    else if (c.operation == broadcast::facts.name)
      result = ncclBroadcast(c.input, c.output, c.count, type, c.root, handle, stream);
    else if (c.operation == all_to_all::facts.name)
      result = all_to_all_in_a_group(c, type);
    ccomp::detail::check_nccl(result, "NCCL's own call");
  }

 private:
  ncclResult_t all_to_all_in_a_group(native_call const& c, ncclDataType_t type) {
    std::size_t const bytes = c.count * ccomp::element_bytes(c.type);
    ccomp::detail::check_nccl(ncclGroupStart(), "ncclGroupStart");
    auto result = ncclSuccess;
    for (int r = 0; r < comm.size() && result == ncclSuccess; ++r) {
      std::size_t const at = static_cast<std::size_t>(r) * bytes;
      result = ncclSend(static_cast<std::byte const*>(c.input) + at, c.count, type, r, comm.get(), ex.stream());
      if (result == ncclSuccess)
        result = ncclRecv(static_cast<std::byte*>(c.output) + at, c.count, type, r, comm.get(), ex.stream());
    }
    auto const ended = ncclGroupEnd();
    return result == ncclSuccess ? ended : result;
  }
};

inline std::string nccl_library() {
  int version = 0;
  ccomp::detail::check_nccl(ncclGetVersion(&version), "ncclGetVersion");
  return "NCCL " + std::to_string(version / 10000) + '.' + std::to_string(version % 10000 / 100) + '.' +
         std::to_string(version % 100);
}

}
