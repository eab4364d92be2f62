#pragma once
/// Wrappers on a group of one, step by step, with exchanges that fail on demand.

#include <support/feedback.hpp>

#include <ccomp/comm/self.hpp>
#include <ccomp/error_feedback.hpp>

namespace support {

inline constexpr std::size_t stepped_size = 1500;

inline std::vector<erased> wrapped_compressors() {
  using namespace ccomp;
  return {erase(uniform_quantize<3>{}), erase(uniform_quantize<4>{.round = rounding::stochastic}),
          erase(hadamard_rotate{.seed = 5} | uniform_quantize<4>{}),
          erase(top_k{.ratio = 0.1} | uniform_quantize<4>{.round = rounding::stochastic})};
}

/// A group of one whose exchanges fail on demand, or hand back other bytes than they were given.
class faulty_communicator {
 public:
  bool fail_gather = false, fail_swap = false, alien = false;
  [[nodiscard]] int rank() const { return 0; }
  [[nodiscard]] int size() const { return 1; }
  void all_gather(ccomp::host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    if (fail_gather) throw ccomp::communicator_error("the cable is out");
    ccomp::self_communicator().all_gather(ex, send, receive);
    if (alien) receive[0] ^= std::byte{1};
  }
  void all_to_all(ccomp::host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    if (fail_swap) throw ccomp::communicator_error("the cable is out");
    ccomp::self_communicator().all_to_all(ex, send, receive);
  }
};

/// One step on one rank.
template <class Comm>
std::vector<float> step_on(Comm& comm, ccomp::error_feedback<erased>& ef, int t, how h = how::gather) {
  auto x = gradients(1, ef.size(), static_cast<std::uint64_t>(t) + 1)[0];
  ccomp::workspace<ccomp::host_exec> ws;
  if (h == how::two_shot)
    ccomp::allreduce({1}, comm, ef, x, ws, {.at = ccomp::step(t)}, ccomp::two_shot{});
  else
    ccomp::allreduce({1}, comm, ef, x, ws, {.at = ccomp::step(t)}, ccomp::gather{});
  return x;
}
inline std::vector<float> step(ccomp::error_feedback<erased>& ef, int t, how h = how::gather) {
  ccomp::self_communicator comm;
  return step_on(comm, ef, t, h);
}

}  // namespace support
