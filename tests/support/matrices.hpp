#pragma once
/// Matrices for the tests of low rank, errors in double, and what the stages of one matrix have in common.

#include <support/codec.hpp>
#include <support/factors.hpp>
#include <support/float_bits.hpp>
#include <support/ranks.hpp>

#include <ccomp/testing/check_stage.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace support {

/// A matrix that numpy can make, too: exact in float.
///   i, j = np.meshgrid(np.arange(rows), np.arange(cols), indexing='ij')
///   ((37 * i * i + 91 * i * j + 53 * j**3 + 17 * i + 29 * j) % 257 - 128) / 64 + 3.0 * (i * j % 7 == 0)
inline std::vector<float> formula_matrix(std::size_t rows, std::size_t cols) {
  std::vector<float> m(rows * cols);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j) {
      auto const code = static_cast<int>((37 * i * i + 91 * i * j + 53 * j * j * j + 17 * i + 29 * j) % 257) - 128;
      m[i * cols + j] = static_cast<float>(code) / 64 + (i * j % 7 == 0 ? 3.0f : 0.0f);
    }
  return m;
}
/// A product of Gaussian factors: of this rank, but for the rounding of its values.
inline std::vector<float> product_matrix(std::size_t rows, std::size_t cols, std::size_t rank, double size = 1) {
  auto const left = gaussian_values(rows * rank, 3), right = gaussian_values(cols * rank, 10);
  std::vector<float> m(rows * cols);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < rank; ++k)
        sum += static_cast<double>(left[i * rank + k]) * static_cast<double>(right[j * rank + k]);
      m[i * cols + j] = static_cast<float>(size * sum);
    }
  return m;
}

/// The message that a call is refused with, without "ccomp: " and the place in the source; empty if it is not refused.
template <class F> std::string refusal(F const& f) {
  try {
    f();
  } catch (ccomp::invalid_argument const& e) {
    std::string const said = e.what();
    return said.substr(7, said.rfind(" [") - 7);
  }
  return {};
}

/// The conformance suite, for a stage whose whole tensor becomes NaN and whose factors may not reach 2^112.
template <class S> std::vector<std::string> whole_tensor_faults(S const& s, std::vector<std::size_t> sizes) {
  return ccomp::testing::check_stage(
      s, {.reach = 0x1p100f, .spread = std::size_t{1} << 20, .sizes = std::move(sizes), .damaged = 60, .steps = 6});
}

/// What is wrong with allreduce by a compressor that codes n values as a whole; empty if nothing: `automatic` gathers,
/// every rank has the sum of what the ranks' payloads decode to, and two_shot is refused with the tensors unchanged.
template <class C> std::string whole_collective_fault(C const& c, std::size_t n) {
  constexpr ccomp::host_exec ex{1};
  per_rank<float> in;
  for (std::uint64_t r = 0; r < 3; ++r) in.push_back(gaussian_values(n, r));
  std::vector<float> want(n);
  for (auto const& x : in) {
    auto const y = round_trip(c, x, {.at = 1});
    for (std::size_t i = 0; i < n; ++i) want[i] += y[i];
  }
  std::string const refused = "allreduce: two_shot cuts the tensor into chunks, and " + ccomp::text(c) +
                              " codes it as a whole; use gather or automatic";
  std::vector<std::string> faults(3);
  ccomp::thread_group group(3);
  group.run([&](ccomp::thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    ccomp::workspace<ccomp::host_exec> ws{ex};
    auto out = in[r];
    auto const said = refusal([&] { ccomp::allreduce(ex, comm, c, out, ws, {.at = 1}, ccomp::two_shot{}); });
    if (said != refused) faults[r] = "two_shot says: " + said;
    if (out != in[r]) faults[r] = "two_shot changed the tensor";
    auto const report = ccomp::allreduce(ex, comm, c, out, ws, {.op = ccomp::reduction::sum, .at = 1});
    if (report.strategy != "gather") faults[r] = "automatic takes " + std::string(report.strategy);
    if (!same_bits(out, want)) faults[r] = "the sum is not that of the payloads";
  });
  return faults[0] + faults[1] + faults[2];
}

}  // namespace support
