#pragma once
/// reduce_to: one rank receives the sum over ranks, compressed on the way.

#include <ccomp/collective/allreduce.hpp>
#include <ccomp/collective/rooted.hpp>

CCOMP_BEGIN
namespace detail {

template <class Engine> collective_report reduce_to(Engine& e, values const& sum, int root) {
  auto const& job = e.jobs()[0];
  bool const mine = is_root(e, "reduce_to", root);
  if (mine) {
    expects(sum.n == job.data.n, [&] {
      return sentence("reduce_to: the sum of tensors of ", job.data.n,
                      " values needs an output of as many on the root, got ", sum.n);
    });
    e.expect_output(sum);
  }
  return bring_to(e, root, mine, e.sum_scratch(job, job.data.n, e.ranks()),
                  [&](slot_row const& payloads, std::size_t room, std::span<std::byte> spare) {
                    e.sum(job, sum, 0, payloads, room, spare);
                  });
}

}  // namespace detail

/// sum = the sum (or mean) over ranks of the inputs, each as its payload decodes, on the rank `root`. The other ranks' `sum`
/// is not touched, and may be empty; on the root it may be the input. `c`: a compressor or an error_feedback. Sums are
/// accumulated in float32, in rank order. Every rank but the root sends one payload; the root receives all of them.
template <class Exec, class Comm, class C, class In, class Out>
collective_report reduce_to(Exec const& ex, Comm& comm, C&& c, In const& input, Out&& sum, int root,
                            workspace<Exec>& ws, allreduce_options options = {}) {
  static_assert(
      can_transfer<Comm, Exec>,
      "ccomp::reduce_to: the communicator has no transfer(exec, span<outgoing_message const>, span<incoming_message "
      "const>) for this execution");
  if constexpr (detail::collective_arguments<Exec, C>() && can_transfer<Comm, Exec>) {
    auto const in = detail::input_span(input);
    auto const out = detail::output_span(sum);
    static_assert(detail::same_values<decltype(in), decltype(out)>,
                  "ccomp::reduce_to: input and output differ in type");
    auto whole = detail::only_read(in);
    return detail::run_collective</*MaySum=*/false>(
        "reduce_to", ex, comm, c, whole, ws, {options.at, options.tensor},
        {options.op, options.weight, /*keeps_input=*/true},
        [&](auto& engine) { return detail::reduce_to(engine, detail::view(out), root); });
  } else {
    return {};
  }
}

CCOMP_END
