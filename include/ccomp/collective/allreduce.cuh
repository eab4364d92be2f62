#pragma once
/// allreduce on GPUs: the strategies of allreduce.hpp with a cuda_exec, over a communicator for device memory such as
/// nccl_communicator. Same chunks, same random bits, same sums: gather and two_shot give the host's bits.

#include <ccomp/collective/allreduce.hpp>
#include <ccomp/passes.cuh>
#include <cmath>

CCOMP_BEGIN
namespace detail {

/// One tensor of a call; what `collective_call` is on the host.
template <class C, class T> struct device_reduction {
  cuda_exec const& ex;
  C const& compressor;
  std::span<T> data;
  bool mean;
  pass_options at;  // of this rank
  int rank, ranks;

  [[nodiscard]] std::size_t n() const { return data.size(); }
  [[nodiscard]] float divisor() const { return mean ? static_cast<float>(ranks) : 1.0f; }
  [[nodiscard]] std::size_t capacity_of(std::size_t values) const { return payload_bytes<T>(compressor, values); }
  [[nodiscard]] device_values values(std::size_t first = 0) const { return {data.data() + first, element_type_of<T>}; }
  /// `fill` gets the call of n values and completes it.
  template <device_pass Pass, class Fill> void run(std::size_t n, Fill const& fill) const {
    block_call k = device_call(n, element_type_of<T>, at);
    fill(k);
    auto const stages = stages_of(compressor);
    run_pass(Pass, ex, device_program_of<Pass>(compressor, stages), k, {});
  }
};

/// Every rank gets every payload.
template <class Comm, class C, class T>
collective_report allreduce_gather(device_reduction<C, T> const& r, Comm& comm, workspace<cuda_exec>& ws) {
  auto const ranks = static_cast<std::size_t>(r.ranks);
  std::size_t const slot = r.capacity_of(r.n());
  auto const memory = ws.reserve(slot * (ranks + 1));
  auto const mine = memory.first(slot), all = memory.subspan(slot, slot * ranks);
  r.template run<device_pass::encode>(r.n(), [&](block_call& k) {
    k.in = r.values();
    k.payload = mine.data();
  });
  comm.all_gather(r.ex, mine, all);
  r.template run<device_pass::decode>(r.n(), [&](block_call& k) {
    k.sources = all.data();
    k.source_stride = slot;
    k.source_count = r.ranks;
    k.out = r.values();
    k.divisor = r.divisor();
  });
  return {gather::name, (ranks - 1) * slot, slot, ws.size()};
}

/// Each rank sums one chunk of all ranks, and codes the sum again.
template <class Comm, class C, class T>
collective_report allreduce_two_shot(device_reduction<C, T> const& r, Comm& comm, workspace<cuda_exec>& ws) {
  auto const ranks = static_cast<std::size_t>(r.ranks);
  auto const stages = stages_of(r.compressor);
  chunking const cut(stages, r.n(), r.ranks);
  std::size_t const slot = r.capacity_of(cut.chunk), mine = cut.first(r.rank);
  auto const memory = ws.reserve((2 * ranks + 1) * slot);
  auto const send = memory.first(ranks * slot), receive = memory.subspan(ranks * slot, ranks * slot),
             result = memory.subspan(2 * ranks * slot, slot);
  auto const by_chunk = [&](block_call& k) {
    k.chunks = static_cast<unsigned>(r.ranks);
    k.chunk = cut.chunk;
    k.payload_stride = k.chunk_source_stride = slot;
    k.first_stride = cut.chunk;
  };
  r.template run<device_pass::encode>(r.n(), [&](block_call& k) {
    by_chunk(k);
    k.in = r.values();
    k.payload = send.data();
  });
  comm.all_to_all(r.ex, send, receive);
  r.template run<device_pass::reduce>(cut.size(r.rank), [&](block_call& k) {
    k.first = mine;
    k.phase = 1;
    k.sources = receive.data();
    k.source_stride = slot;
    k.source_count = r.ranks;
    k.payload = result.data();
  });
  comm.all_gather(r.ex, result, send);
  r.template run<device_pass::decode>(r.n(), [&](block_call& k) {
    by_chunk(k);
    k.sources = send.data();
    k.source_count = 1;
    k.out = r.values();
    k.divisor = r.divisor();
  });
  return {two_shot::name, 2 * (ranks - 1) * slot, ranks * slot, ws.size()};
}

/// The communicator adds the carriers; float16 is sent divided by a power of two of at least the rank count.
template <class Comm, class C, class T>
collective_report allreduce_in_flight(device_reduction<C, T> const& r, Comm& comm, workspace<cuda_exec>& ws) {
  auto const stages = stages_of(r.compressor);
  auto const carrier = carrier_of(stages, r.n(), element_type_of<T>);
  std::size_t const bytes = r.capacity_of(r.n());
  auto const payload = ws.reserve(bytes);
  int log2_ranks = 0;
  while ((1 << log2_ranks) < r.ranks) ++log2_ranks;
  auto const scaled = [&](block_call& k) { k.prescale = std::ldexp(1.0f, -log2_ranks); };
  r.template run<device_pass::encode>(r.n(), [&](block_call& k) {
    scaled(k);
    k.in = r.values();
    k.payload = payload.data();
  });
  comm.all_reduce(r.ex, payload.data(), carrier.n, wire_type_of(carrier.type), wire_op::sum);
  r.template run<device_pass::decode>(r.n(), [&](block_call& k) {
    scaled(k);
    k.sources = payload.data();
    k.source_count = 1;
    k.out = r.values();
    k.divisor = r.divisor();
  });
  return {in_flight::name, all_reduce_bytes(bytes, r.ranks), bytes, ws.size()};
}

}  // namespace detail

/// Replaces the tensor (a span of float, float16 or bfloat16 in device memory) on every rank by the sum or mean over
/// ranks of what compression lets through. Asynchronous on the stream; at most two kernels around each exchange.
///
/// Compressors: block chains (quantizers, casts, transforms)
/// Strategy:    a trailing value, as on the host: automatic{} (default), gather{}, two_shot{}, in_flight{}
/// Rounding:    fp32 accumulation in rank order, one division by the number of ranks at the end
/// Determinism: gather, two_shot: the host's bits on every rank; in_flight: the communicator's own sum
/// Memory:      the workspace grows at the first call of a size, and is refused that while the stream records a graph
/// Throws:      invalid_argument for unusable arguments; what the communicator throws, rank_mismatch if it can tell
template <class Comm, class C, class Data, class Strategy = automatic>
collective_report allreduce(cuda_exec const& ex, Comm& comm, C const& c, Data&& data, workspace<cuda_exec>& ws,
                            allreduce_options options = {}, Strategy = {}) {
  std::span const x(data);
  using T = typename decltype(x)::element_type;
  static_assert(detail::allreduce_strategy<Strategy>,
                "ccomp::allreduce: the last argument is not a strategy; use automatic, gather, two_shot or in_flight");
  static_assert(!std::same_as<Strategy, in_flight> || linear<C>,
                "ccomp::allreduce: this compressor cannot be summed in flight, because a stage of its chain is not "
                "linear; use gather or automatic");
  static_assert(can_all_gather<Comm, cuda_exec> && can_all_to_all<Comm, cuda_exec> && can_all_reduce<Comm, cuda_exec>,
                "ccomp::allreduce: the communicator lacks all_gather, all_to_all or all_reduce for a cuda_exec");
  auto const stages = detail::stages_of(c);
  detail::validate(stages);
  detail::expect_device(ex, "allreduce");
  detail::expect_device_memory(ex, x.data(), "allreduce", "the tensor");

  // As on the host, where job and call carry the same facts; the step is left out: it is asked about once, not always.
  bool const mean = options.op == reduction::mean;
  detail::tensor_job const job{{x.data(), element_type_of<T>, x.size()}, options.tensor};
  detail::collective_call const call{{}, stages, {&job, 1}, mean, {}};
  auto const strategy = detail::resolve_strategy(detail::kind_of_strategy<Strategy>(), call, comm.size());
  detail::call_identity const identity{"allreduce", detail::strategy_name(strategy), &call, comm.size()};
  if constexpr (requires { comm.agree(ex, std::uint64_t{}, &identity, &detail::call_identity::describe); })
    comm.agree(ex, identity.number(), &identity, &detail::call_identity::describe);

  detail::device_reduction<C, T> const r{
      ex, c, x, mean, {options.at, options.tensor, static_cast<std::uint32_t>(comm.rank())}, comm.rank(), comm.size()};
  if constexpr (linear<C>)
    if (strategy == detail::strategy_kind::in_flight) return detail::allreduce_in_flight(r, comm, ws);
  return strategy == detail::strategy_kind::gather ? detail::allreduce_gather(r, comm, ws)
                                                   : detail::allreduce_two_shot(r, comm, ws);
}

CCOMP_END
