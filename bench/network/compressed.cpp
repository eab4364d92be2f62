#include "compressed.hpp"

#include <ccomp/any_compressor.hpp>
#include <ccomp/ccomp.hpp>

// Joins the stages that a text may name.
#if __has_include(<Eigen/Core>)
#include <ccomp/low_rank/power_sgd.hpp>
#endif

#include <cstdint>

namespace network {
namespace {

template <typename Compressor>
void time_with(Compressor&& compressor, compressed_result& found, world const& all, tensor& data,
               repetition_limits const& limits, ccomp::mpi_communicator& comm) {
  ccomp::host_exec const ex;
  ccomp::workspace ws{ex};
  ccomp::collective_report report;
  std::uint64_t step = 0;  // error feedback refuses one that it has seen
  found.time = time_calls(
      all, limits, [&] { data.refill(); },
      [&] {
        report = ccomp::allreduce(ex, comm, compressor, data.values(), ws,
                                  {.op = ccomp::reduction::mean, .at = ccomp::step(step++)});
      },
      [&] {
        found.relative_error = data.error_of_mean();
        found.ranks_agree = data.ranks_agree();
      });
  found.strategy = report.strategy;
  found.bytes_sent = report.bytes_sent;
}

}

compressed_result time_compressed(world const& all, tensor& data, repetition_limits const& limits,
                                  ccomp::mpi_communicator& comm, contestant const& one) {
  compressed_result found{.compressor = one.compressor, .feedback = one.feedback};
  ccomp::any_compressor const compressor(one.compressor);
  if (one.feedback) {
    ccomp::error_feedback feedback{compressor, data.values().size(), ccomp::host_exec{}};
    time_with(feedback, found, all, data, limits, comm);
  } else {
    time_with(compressor, found, all, data, limits, comm);
  }
  return found;
}

}
