#pragma once
/// Steps of a stage with rounds of its own on a (simulated) GPU, and the same steps on the host.

#include <ccomp/comm/thread.cuh>
#include <ccomp/engine/cuda/protocol.cuh>
#include <ccomp/error_feedback.hpp>
#include <functional>
#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/ranks.hpp>
#include <support/trained.hpp>

namespace support {

/// How the steps are made; the t-th has number first + t * step_stride.
struct protocol_options {
  ccomp::reduction op = ccomp::reduction::mean;
  std::uint64_t first = 3, step_stride = 1;
  bool feedback = true;  // residual and state are kept; without, each step stands alone
  ccomp::element_type residual = ccomp::element_type::float32;
  float decay = 1;
};
/// What each rank has after the last step.
template <class T> struct protocol_result {
  per_rank<T> out;
  per_rank<float> residual, state;
  std::vector<std::size_t> sent;
};
/// What rank r brings in the t-th step.
template <class T> using inputs_of = std::function<std::vector<T>(int r, int t)>;

/// One rank's tensor on its device, and calls of the last stage of `c` on it.
template <class C, class T, class Comm> class device_reducer {
 public:
  using stage = typename ccomp::detail::last_stage<C>::type;
  using protocol = ccomp::detail::device_protocol<stage>;

  device_reducer(C const& c, std::size_t n, protocol_options const& o, Comm& comm, ccomp::cuda_exec const& ex)
      : options_(o),
        stages_(ccomp::detail::as_tuple(c)),
        comm_(comm),
        ex_(ex),
        ws_(ex),
        x_(n),
        wide_(std::vector<float>(o.residual == ccomp::element_type::float32 ? n : 0)),
        narrow_(
            std::vector<ccomp::bfloat16>(o.residual == ccomp::element_type::float32 ? 0 : n, ccomp::bfloat16(0.0f))),
        state_(first_state(n)),
        memory_(protocol::scratch_bytes(last(), shape())) {}

  void fill(std::vector<T> const& x) const {
    if (!x.empty())
      ccomp::detail::check_cuda(cudaMemcpy(x_.data(), x.data(), x.size() * sizeof(T), cudaMemcpyHostToDevice),
                                "cudaMemcpy");
  }
  std::size_t queue(std::uint64_t number) {
    namespace d = ccomp::detail;
    d::device_reduce_call call;
    call.in = call.out = {x_.data(), ccomp::element_type_of<T>};
    call.n = x_.size();
    std::apply(
        [&](auto const&... s) {
          auto const add = [&](auto const& one) {
            if constexpr (requires { one.steps(); })
              for (auto const& step : one.steps()) call.transforms.steps[call.transforms.count++] = step;
          };
          (add(s), ...);
        },
        stages_);
    if (options_.feedback) {
      call.residual = wide_.size() > 0 ? d::device_values{wide_.data(), ccomp::element_type::float32}
                                       : d::device_values{narrow_.data(), ccomp::element_type::bfloat16};
      call.state = {state_.data(), state_.size()};
    }
    call.decay = options_.decay;
    call.mean = options_.op == ccomp::reduction::mean;
    call.memory = {memory_.data(), memory_.size()};
    call.at = {number, 0, static_cast<std::uint32_t>(comm_.rank())};
    return protocol::reduce(last(), ex_, comm_, ws_, call);
  }

  [[nodiscard]] std::vector<float> residual() const {
    if (wide_.size() > 0) return wide_.values();
    std::vector<float> r;
    for (auto const v : narrow_.values()) r.push_back(static_cast<float>(v));
    return r;
  }
  [[nodiscard]] std::vector<float> state() const { return state_.values(); }
  [[nodiscard]] std::vector<T> out() const { return x_.values(); }

 private:
  [[nodiscard]] stage const& last() const { return std::get<std::tuple_size_v<decltype(stages_)> - 1>(stages_); }
  [[nodiscard]] ccomp::detail::reduce_shape shape() const {
    return {x_.size(), comm_.size(), std::tuple_size_v<decltype(stages_)> > 1};
  }
  [[nodiscard]] std::vector<float> first_state(std::size_t n) const {
    if constexpr (ccomp::detail::has_state<stage>)
      return last().make_state(n);
    else
      return {};
  }

  protocol_options options_;
  decltype(ccomp::detail::as_tuple(std::declval<C>())) stages_;
  Comm& comm_;
  ccomp::cuda_exec ex_;
  ccomp::workspace<ccomp::cuda_exec> ws_;
  device_array<T> x_;
  device_array<float> wide_;
  device_array<ccomp::bfloat16> narrow_;
  device_array<float> state_;
  device_array<std::byte> memory_;
};

/// Ranks as threads on one device. `after(t, output)` is called by rank 0 after every step.
template <class T, class C>
protocol_result<T> on_gpus(C const& c, int ranks, std::size_t n, int steps, inputs_of<T> const& in,
                           protocol_options const& o = {},
                           std::function<void(int, std::vector<T> const&)> const& after = {}) {
  auto const w = static_cast<std::size_t>(ranks);
  protocol_result<T> all{per_rank<T>(w), per_rank<float>(w), per_rank<float>(w), std::vector<std::size_t>(w)};
  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    own_stream const stream;
    ccomp::cuda_exec const ex(stream.get());
    device_reducer<C, T, ccomp::thread_communicator> reducer(c, n, o, comm, ex);
    for (int t = 0; t < steps; ++t) {
      reducer.fill(in(comm.rank(), t));
      all.sent[r] = reducer.queue(o.first + static_cast<std::uint64_t>(t) * o.step_stride);
      ex.synchronize();
      if (r == 0 && after) after(t, reducer.out());
    }
    all.out[r] = reducer.out();
    all.residual[r] = reducer.residual();
    all.state[r] = reducer.state();
  });
  return all;
}

/// The steps by the host's allreduce; states stay inside of its wrappers.
template <class T, class C>
protocol_result<T> on_host(C const& c, int ranks, std::size_t n, int steps, inputs_of<T> const& in,
                           protocol_options const& o = {}) {
  auto const w = static_cast<std::size_t>(ranks);
  protocol_result<T> all{per_rank<T>(w), per_rank<float>(w), {}, std::vector<std::size_t>(w)};
  ccomp::feedback_options const f{.residual = o.residual, .decay = o.decay};
  std::vector<ccomp::error_feedback<C>> wrappers(w, ccomp::error_feedback<C>(c, n, {1}, f));
  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    ccomp::workspace<ccomp::host_exec> ws{{1}};
    for (int t = 0; t < steps; ++t) {
      all.out[r] = in(comm.rank(), t);
      ccomp::allreduce_options const options{.op = o.op, .at = o.first + static_cast<std::uint64_t>(t) * o.step_stride};
      if (o.feedback)
        all.sent[r] = ccomp::allreduce(ccomp::host_exec{1}, comm, wrappers[r], all.out[r], ws, options).bytes_sent;
      else
        all.sent[r] = ccomp::allreduce(ccomp::host_exec{1}, comm, c, all.out[r], ws, options).bytes_sent;
    }
  });
  for (std::size_t r = 0; r < w; ++r) all.residual[r] = wrappers[r].residual_copy();
  return all;
}

/// The same values in every step.
template <class T> inputs_of<T> constantly(per_rank<T> const& in) {
  return [&in](int r, int) { return in[static_cast<std::size_t>(r)]; };
}

template <class T> bool same_bits(per_rank<T> const& a, per_rank<T> const& b) {
  return std::ranges::equal(a, b, [](auto const& x, auto const& y) { return same_bits(x, y); });
}

}  // namespace support
