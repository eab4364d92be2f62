#include "dense.hpp"

#include "bfloat16_sum.hpp"

#include <ccomp/ccomp.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

namespace network {

dense_result time_mpi_float32(world const& all, tensor& data, repetition_limits const& limits) {
  dense_result found{.library = "Open MPI", .type = "float32"};
  auto const values = data.values();
  found.time = time_calls(
      all, limits, [&] { data.refill(); },
      [&] {
        MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
      },
      [&] { found.relative_error = data.error_of_sum(); });
  return found;
}

dense_result time_mpi_bfloat16(world const& all, tensor& data, repetition_limits const& limits) {
  dense_result found{.library = "Open MPI", .type = "bf16"};
  bfloat16_sum const sum;
  ccomp::host_exec const ex;
  ccomp::workspace ws{ex};
  ccomp::cast<ccomp::bfloat16> const cast;
  auto const values = data.values();
  std::vector<std::byte> halves(ccomp::payload_bytes<float>(cast, values.size()));
  std::vector<double> alone;
  auto const reduce = [&] {
    auto const start = std::chrono::steady_clock::now();
    MPI_Allreduce(MPI_IN_PLACE, halves.data(), static_cast<int>(values.size()), sum.type(), sum.op(), MPI_COMM_WORLD);
    alone.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  };
  found.time = time_calls(
      all, limits, [&] { data.refill(); },
      [&] {
        ccomp::encode(ex, cast, std::span<float const>(values), std::span(halves), ws, {.at = 0});
        reduce();
        ccomp::decode(ex, cast, std::span<std::byte const>(halves), values, ws, {.at = 0});
      },
      [&] { found.relative_error = data.error_of_sum(); });
  if (alone.size() > found.time.seconds.size()) alone.erase(alone.begin());  // the warm-up
  found.without_casts_ms = all.largest(compare::median(alone)) * 1e3;
  return found;
}

dense_result time_own_float32(world const& all, tensor& data, repetition_limits const& limits,
                              ccomp::mpi_communicator& comm) {
  dense_result found{.library = "ccomp", .type = "float32"};
  auto const values = data.values();
  found.time = time_calls(
      all, limits, [&] { data.refill(); },
      [&] {
        comm.all_reduce(ccomp::host_exec{}, values.data(), values.size(), ccomp::wire_type::float32,
                        ccomp::wire_op::sum);
      },
      [&] { found.relative_error = data.error_of_sum(); });
  return found;
}

double link_mbit(world const& all, tensor& data) {
  if (all.size() < 2) return 0;
  constexpr std::size_t most_bytes = std::size_t{8} << 20;
  auto const bytes = std::min(most_bytes, data.values().size_bytes());
  std::vector<std::byte> received(bytes);
  auto const next = (all.rank() + 1) % all.size();
  auto const last = (all.rank() + all.size() - 1) % all.size();
  auto const time = time_calls(
      all, {.seconds = 1, .least = 3, .most = 5}, [] {},
      [&] {
        MPI_Sendrecv(data.gradient().data(), static_cast<int>(bytes), MPI_BYTE, next, 0, received.data(),
                     static_cast<int>(bytes), MPI_BYTE, last, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      },
      [] {});
  return static_cast<double>(bytes) * 8 / (time.median_ms() * 1e3);
}

}
