#pragma once
/// Every rank brings a shard; every rank receives all of them, compressed on the way.

#include <ccomp/collective/allreduce.hpp>

CCOMP_BEGIN

struct collective_options {
  step at{};
  std::uint64_t tensor = 0;  // stable id; a wrapper's own id counts instead
};

namespace detail {

inline collective_report allgather(collective_call const& call, values full, communicator_ref& comm,
                                   workspace<host_exec>& ws) {
  validate(call.stages);
  auto const& shard = call.jobs[0];
  auto const ranks = static_cast<std::size_t>(comm.size());
  expects(full.n == ranks * shard.data.n, [&] {
    return "allgather: " + std::to_string(ranks) + " shards of " + std::to_string(shard.data.n) +
           " values need an output of " + std::to_string(ranks * shard.data.n) + ", got " + std::to_string(full.n);
  });
  call_identity const identity{"allgather", gather::name, &call, comm.size()};
  collective_frame const f(call, comm, identity);
  comm.agree(f.header.fingerprint, &identity, &call_identity::describe);
  mark_in_use(call);

  std::size_t const room = capacity(call.stages, shard.data.n, shard.data.type), slot = sizeof(slot_header) + room;
  auto const memory = ws.reserve(slot * (ranks + 1) + scratch_bytes(call.stages, shard.data.n));
  auto const mine = memory.first(slot), all = memory.subspan(slot, slot * ranks);
  scratch const spare(memory.subspan(slot * (ranks + 1)));
  write_header(mine.data(), f.header);
  std::size_t const used = encode(call.stages, call.context(shard, f.rank()), shard.data, shard.data.type,
                                  shard.residual, mine.subspan(sizeof(slot_header)), spare);
  comm.all_gather(call.ex, mine, all);
  for (std::size_t r = 0; r < ranks; ++r) check_header(all.data() + r * slot, f.header, static_cast<int>(r), f.name);
  for (std::size_t r = 0; r < ranks; ++r) {
    std::byte const* const one[] = {all.data() + r * slot + sizeof(slot_header)};
    sum_decoded(call.stages, call.context(shard, static_cast<std::uint32_t>(r)), one, room, shard.data.type,
                part(full, r * shard.data.n, shard.data.n), 1.0f, spare);
  }
  return {gather::name, (ranks - 1) * slot, used, ws.size()};
}

}  // namespace detail

/// full[r n .. (r+1) n) = what rank r's shard of n values decodes to, on every rank alike, its owner included.
/// `c`: a compressor or an error_feedback over the shard. Shards have one size on all ranks.
template <class Comm, class C, class Shard, class Full>
collective_report allgather(host_exec const& ex, Comm& comm, C&& c, Shard const& shard, Full&& full,
                            workspace<host_exec>& ws, collective_options options = {}) {
  using X = std::remove_cvref_t<C>;
  constexpr bool compressor_ok = compressor<typename detail::feedback_traits<X>::compressor_type>;
  constexpr bool comm_ok = can_all_gather<Comm, host_exec>;
  static_assert(
      compressor_ok,
      "ccomp::allgather: the third argument is not a compressor; ccomp::check_stage<Stage>() names what a stage lacks");
  static_assert(
      comm_ok,
      "ccomp::allgather: the communicator has no all_gather(exec, span<byte const>, span<byte>) for this execution");
  if constexpr (compressor_ok && comm_ok) {
    std::span const in(shard);
    std::span const out(full);
    using T = typename decltype(out)::element_type;
    static_assert(std::same_as<std::remove_cv_t<typename decltype(in)::element_type>, T>,
                  "ccomp::allgather: shard and output differ in type");
    auto const stages = detail::stages_of(detail::compressor_of(c));
    detail::validate(stages);
    std::span<T> input(const_cast<T*>(in.data()), in.size());  // only read
    detail::job_list<std::remove_reference_t<C>> jobs(c, input, options.tensor);
    communicator_ref erased(comm);
    auto const report = detail::allgather({ex, stages, jobs.jobs(), false, options.at}, detail::view(out), erased, ws);
    jobs.finish();
    return report;
  } else {
    return {};
  }
}

CCOMP_END
