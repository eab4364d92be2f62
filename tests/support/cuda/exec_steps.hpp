#pragma once
/// The same steps of an allreduce on the host and on a (simulated) GPU; ranks are threads.

#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/ranks.hpp>

#include <ccomp/collectives.cuh>
#include <ccomp/comm/thread.cuh>
#include <ccomp/error_feedback.hpp>

#include <functional>

namespace support {

/// How the steps are made; they are numbered from `first`.
struct step_options {
  ccomp::reduction op = ccomp::reduction::mean;
  std::uint64_t first = 3;
  bool feedback = true;  // one wrapper a rank for all steps; without, each step stands alone
  ccomp::feedback_options wrapper{};
};
/// What each rank has after the last step; `saved`: its wrapper.
template <class T> struct step_result {
  per_rank<T> out;
  per_rank<float> residual;
  per_rank<std::byte> saved;
  std::vector<std::size_t> sent;
};
/// What rank r brings in the t-th step.
template <class T> using inputs_of = std::function<std::vector<T>(int r, int t)>;
template <class T> inputs_of<T> constantly(per_rank<T> const& in) {
  return [&in](int r, int) { return in[static_cast<std::size_t>(r)]; };
}

/// Where a rank runs, and its tensors.
template <class Exec> struct place {
  Exec ex{1};
  template <class T> using tensor = std::vector<T>;
  template <class T> static std::vector<T> values(tensor<T> const& x) { return x; }
};
template <> struct place<ccomp::cuda_exec> {
  own_stream stream{};
  ccomp::cuda_exec ex{stream.get()};
  template <class T> using tensor = device_array<T>;
  template <class T> std::vector<T> values(tensor<T> const& x) const {
    ex.synchronize();
    return x.values();
  }
};

/// `after(t, output)` is called by rank 0 after every step.
template <class Exec, class T, class C, class Strategy>
step_result<T> steps_on(C const& c, std::size_t n, int ranks, int steps, inputs_of<T> const& in, step_options const& o,
                        Strategy strategy, std::function<void(int, std::vector<T> const&)> const& after = {}) {
  auto const w = static_cast<std::size_t>(ranks);
  step_result<T> all{per_rank<T>(w), per_rank<float>(w), per_rank<std::byte>(w), std::vector<std::size_t>(w)};
  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    place<Exec> const site;
    ccomp::workspace<Exec> ws{site.ex};
    ccomp::error_feedback<C, Exec> wrapper(c, n, site.ex, o.wrapper);
    for (int t = 0; t < steps; ++t) {
      typename place<Exec>::template tensor<T> x(in(comm.rank(), t));
      ccomp::allreduce_options const options{.op = o.op, .at = o.first + static_cast<std::uint64_t>(t)};
      std::span const data(x.data(), x.size());
      all.sent[r] = (o.feedback ? ccomp::allreduce(site.ex, comm, wrapper, data, ws, options, strategy)
                                : ccomp::allreduce(site.ex, comm, c, data, ws, options, strategy))
                        .bytes_sent;
      all.out[r] = site.template values<T>(x);
      if (r == 0 && after) after(t, all.out[r]);
    }
    all.residual[r] = wrapper.residual_copy();
    all.saved[r] = wrapper.save();
  });
  return all;
}
template <class T, class C>
step_result<T> on_gpu_ranks(C const& c, std::size_t n, int ranks, int steps, inputs_of<T> const& in,
                            step_options const& o = {},
                            std::function<void(int, std::vector<T> const&)> const& after = {}) {
  return steps_on<ccomp::cuda_exec, T>(c, n, ranks, steps, in, o, ccomp::automatic{}, after);
}
template <class T, class C>
step_result<T> on_host_ranks(C const& c, std::size_t n, int ranks, int steps, inputs_of<T> const& in,
                             step_options const& o = {}) {
  return steps_on<ccomp::host_exec, T>(c, n, ranks, steps, in, o, ccomp::automatic{});
}

}  // namespace support
