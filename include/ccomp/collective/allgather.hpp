#pragma once
/// Every rank brings a shard; every rank receives all of them, compressed on the way.

#include <ccomp/collective/allreduce.hpp>

CCOMP_BEGIN

struct collective_options {
  step at{};
  std::uint64_t tensor = 0;  // stable id; a wrapper's own id counts instead
};

namespace detail {

template <class Engine>
collective_report allgather(Engine& e, collective_call const& call, values const& full,
                            workspace<typename Engine::exec>& ws) {
  auto const& shard = call.jobs[0];
  std::size_t const ranks = e.ranks(), n = shard.data.n;
  expects(full.n == ranks * n, [&] {
    return "allgather: " + std::to_string(ranks) + " shards of " + std::to_string(n) + " values need an output of " +
           std::to_string(ranks * n) + ", got " + std::to_string(full.n);
  });
  e.expect_output(full);
  pieces const shards{full.n, n, ranks, 0};
  std::size_t const room = capacity(call.stages, n, shard.data.type), slot = sizeof(slot_header) + room;
  auto const memory = ws.reserve(
      slot * (ranks + 1) + std::max(e.encode_scratch(shard, whole(n)), e.decode_scratch(shard, call.stages, shards)),
      "allgather");
  e.begin({"allgather", gather::name, &call, static_cast<int>(ranks)});
  auto const mine = memory.first(slot), all = memory.subspan(slot, slot * ranks);
  scratch const spare(memory.subspan(slot * (ranks + 1)));
  slot_row const sent{mine.data(), slot, 1}, received{all.data(), slot, ranks};
  e.write_headers(sent);
  std::size_t const used = e.encode(shard, whole(n), sent.part(sizeof(slot_header)), spare);
  e.all_gather(mine, all);
  e.check_headers(received);
  e.decode(shard, call.stages, full, shards, received.part(sizeof(slot_header)), room, spare);
  return {gather::name, (ranks - 1) * slot, used, ws.size()};
}

}  // namespace detail

/// full[r n .. (r+1) n) = what rank r's shard of n values decodes to, on every rank alike, its owner included.
/// `c`: a compressor or an error_feedback over the shard. Shards have one size on all ranks.
template <class Exec, class Comm, class C, class Shard, class Full>
collective_report allgather(Exec const& ex, Comm& comm, C&& c, Shard const& shard, Full&& full, workspace<Exec>& ws,
                            collective_options options = {}) {
  constexpr bool compressor_ok = compressor<typename detail::feedback_traits<std::remove_cvref_t<C>>::compressor_type>;
  constexpr bool residual_ok = detail::keeps_residual<C>();
  constexpr bool exec_ok = detail::has_collectives<Exec>;
  constexpr bool comm_ok = can_all_gather<Comm, Exec>;
  static_assert(exec_ok,
                "ccomp::allgather: no engine for this execution; a cuda_exec needs <ccomp/ccomp.hpp> compiled by nvcc");
  static_assert(
      compressor_ok,
      "ccomp::allgather: the third argument is not a compressor; ccomp::check_stage<Stage>() names what a stage lacks");
  static_assert(
      comm_ok,
      "ccomp::allgather: the communicator has no all_gather(exec, span<byte const>, span<byte>) for this execution");
  static_assert(
      residual_ok,
      "ccomp::allgather: the error_feedback is const or a temporary, so that its residual would be lost; pass a "
      "variable that is not const");
  if constexpr (residual_ok && exec_ok && compressor_ok && comm_ok) {
    auto const in = detail::input_span(shard);
    auto const out = detail::output_span(full);
    using T = typename decltype(out)::element_type;
    static_assert(std::same_as<std::remove_cv_t<typename decltype(in)::element_type>, T>,
                  "ccomp::allgather: shard and output differ in type");
    std::span<T> input(const_cast<T*>(in.data()), in.size());  // only read
    return detail::run_collective(
        "allgather", ex, comm, c, input, ws, {reduction::sum, options.at, options.tensor},
        [&](auto& engine, auto const& call) { return detail::allgather(engine, call, detail::view(out), ws); });
  } else {
    return {};
  }
}

CCOMP_END
