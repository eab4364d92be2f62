#pragma once
/// Whole steps on the ranks of a thread_group, with error feedback that is kept from step to step or without.

#include <support/ranks.hpp>

#include <ccomp/error_feedback.hpp>

namespace support {

/// One allreduce on as many ranks as there are rows.
template <class C, class T>
reduced<T> reduce(C const& c, per_rank<T> const& in, ccomp::allreduce_options options = {.op = ccomp::reduction::sum},
                  how strategy = how::automatic, ccomp::host_exec ex = {1}) {
  ccomp::thread_group group(static_cast<int>(in.size()));
  return allreduce_all(group, strategy, erase(c), in, options, ex);
}

/// One wrapper a rank, used for several steps.
template <class C> struct trained {
  std::vector<ccomp::error_feedback<C>> wrappers;
  trained(C const& c, int ranks, std::size_t n, ccomp::feedback_options options = {})
      : wrappers(static_cast<std::size_t>(ranks), ccomp::error_feedback<C>(c, n, {1}, options)) {}

  template <class T>
  per_rank<T> step(per_rank<T> const& in, std::uint64_t number, ccomp::reduction op = ccomp::reduction::mean,
                   ccomp::host_exec ex = {1}) {
    auto out = in;
    ccomp::thread_group group(static_cast<int>(in.size()));
    group.run([&](ccomp::thread_communicator& comm) {
      auto const r = static_cast<std::size_t>(comm.rank());
      ccomp::workspace<ccomp::host_exec> ws{ex};
      ccomp::allreduce(ex, comm, wrappers[r], out[r], ws, {.op = op, .at = number});
    });
    return out;
  }
};

}  // namespace support
