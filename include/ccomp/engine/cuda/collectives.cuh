#pragma once
/// The CUDA engine in collectives: everything is queued on the stream, nothing waits. Headers are written and judged by
/// kernels; a slot of another call is reported through the workspace.

#include <ccomp/collective/bodies.hpp>
#include <ccomp/engine/cuda/passes.cuh>
#include <ccomp/engine/cuda/protocol.cuh>
#include <ccomp/engine/host/collectives.hpp>
#include <cmath>
#include <optional>

CCOMP_BEGIN
namespace detail {

/// A row of slots and the header that each begins with. (Kernels are templates: nvcc knows no inline kernels.)
struct header_call {
  std::byte* slots = nullptr;
  std::uint64_t stride = 0;
  unsigned count = 0, first_rank = 0;
  std::uint64_t fingerprint = 0;
  device_random at{};
  device_status* status = nullptr;

  __device__ slot_header header() const { return {fingerprint, at.now().number}; }
  __device__ slot_header* of(unsigned i) const { return reinterpret_cast<slot_header*>(slots + i * stride); }
};
template <class Call> __global__ void write_headers_kernel(Call k) {
  unsigned const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < k.count) *k.of(i) = k.header();
}
/// One warp, of which one lane reports: the first slot that is wrong.
template <class Call> __global__ void check_headers_kernel(Call k) {
  slot_header const want = k.header();
  for (unsigned first = 0; first < k.count; first += 32) {
    unsigned const i = first + threadIdx.x;
    slot_header const found = i < k.count ? *k.of(i) : want;
    bool const wrong = found.fingerprint != want.fingerprint || found.sequence != want.sequence;
    unsigned const all = __ballot_sync(full_warp, wrong);
    if (all == 0) continue;
    if (threadIdx.x == static_cast<unsigned>(__ffs(static_cast<int>(all)) - 1))
      report_other_call(k.status,
                        {k.first_rank + i, found.fingerprint, found.sequence, want.fingerprint, want.sequence});
    return;
  }
}

/// `Feedback`: residuals join, so that encode_feedback is compiled instead of encode.
template <class C, class Comm, bool Feedback> class device_engine {
  static constexpr bool run_time = requires(C const& c) { c.stages(); };
  static constexpr bool agrees_once = requires { Comm::agrees_once; };

 public:
  using exec = cuda_exec;
  static constexpr bool may_fly = linear<C> || run_time, must_fly = linear<C> && !Feedback;
  static constexpr bool may_have_rounds = has_rounds<C>, must_have_rounds = may_have_rounds;

  device_engine(cuda_exec const& ex, Comm& comm, C const& c, collective_call const& call, char const* name,
                workspace<cuda_exec>& ws)
      : ex_(ex), comm_(comm), compressor_(c), call_(call), name_(name), ws_(ws) {
    expect_device(ex, name);
    ws.expect_stream(ex, name);
    queued_.emplace(ex, ws);
    if constexpr (requires { comm.device(); })
      expects(comm.device() == ex.device(), [&] {
        return std::string(name) + ": the communicator belongs to device " + std::to_string(comm.device()) +
               ", the stream to device " + std::to_string(ex.device());
      });
    ws.raise(name);
    for (auto const& j : call.jobs) {
      expect_device_memory(ex, j.data.data, name, "the tensor");
      expect_device_memory(ex, j.residual.data, name, "the residual");
    }
    expect_device_memory(ex, call.at.on_device, name, "the step");
    headers_.status = ws.status(name);
    for (auto const& j : call.jobs) {
      ws.note_use(j.residual.data);
      ws.note_use(j.state.data());
    }
  }

  [[nodiscard]] std::size_t rank() const { return static_cast<std::size_t>(comm_.rank()); }
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(comm_.size()); }

  /// The step is left out of what ranks compare if only the device knows it, or if they are asked about a kind of call
  /// once: then the headers tell of it.
  void begin(call_identity identity) {
    identity.with_step = !leaves_step_out();
    headers_.fingerprint = identity.number();
    headers_.at.at = call_.at;
    if constexpr (requires { comm_.agree(ex_, std::uint64_t{}, &identity, &call_identity::describe); })
      comm_.agree(ex_, headers_.fingerprint, &identity, &call_identity::describe);
    else if constexpr (can_agree<Comm>)
      comm_.agree(headers_.fingerprint, &identity, &call_identity::describe);
    if (!loading_kernels()) mark_in_use(call_);
  }
  /// For calls that exchange no headers otherwise.
  [[nodiscard]] std::size_t step_bytes() const {
    if constexpr (can_all_gather<Comm, cuda_exec>)
      return leaves_step_out() ? (ranks() + 1) * sizeof(slot_header) : 0;
    else
      return 0;
  }
  void compare_steps(std::span<std::byte> memory) const {
    if constexpr (can_all_gather<Comm, cuda_exec>) {
      if (memory.empty()) return;
      constexpr std::size_t slot = sizeof(slot_header);
      auto const mine = memory.first(slot), all = memory.subspan(slot);
      write_headers({mine.data(), slot, 1});
      comm_.all_gather(ex_, mine, all);
      check_headers({all.data(), slot, ranks()});
    }
  }
  /// From now on float16 carriers hold x * 2^log2; those that `reduce` reads still hold x.
  void prescale(int log2) { prescale_ = std::ldexp(1.0f, log2); }

  void expect_output(values const& out) const { expect_device_memory(ex_, out.data, name_, "the output"); }
  void write_headers(slot_row const& slots) const {
    launch_headers("write_headers", write_headers_kernel<header_call>, (static_cast<unsigned>(slots.count) + 127) / 128,
                   128, slots, 0);
  }
  /// Slot i comes from rank first_rank + i.
  void check_headers(slot_row const& slots, std::size_t first_rank = 0) const {
    launch_headers("check_headers", check_headers_kernel<header_call>, slots.count > 0 ? 1 : 0, 32, slots, first_rank);
  }

  /// Piece i into slot i; returns the bytes that this may take.
  std::size_t encode(tensor_job const& j, pieces const& cut, slot_row const& to, scratch const& spare) const {
    block_call k = encode_call(j, cut);
    k.payload = to.data;
    k.payload_stride = to.stride;
    run<encode_pass>(k, spare);
    return cut.count * capacity(call_.stages, cut.size, j.data.type);
  }
  /// Slot i, a payload of `coded`, into piece i of `out`.
  void decode(tensor_job const& j, program coded, values const& out, pieces const& cut, slot_row const& from,
              std::size_t, scratch const& spare) const {
    block_call k = decode_call(j, cut);
    k.sources = from.data;
    k.chunk_source_stride = from.stride;
    k.out = {out.data, out.type};
    run<device_pass::decode>(k, spare, coded);
  }
  /// All slots, in their order, into `out`; `first`: where its random bits begin.
  void sum(tensor_job const& j, values const& out, std::uint64_t first, slot_row const& from, std::size_t,
           scratch const& spare) const {
    block_call k = sum_call(j, out.n, from.count);
    k.first = first;
    k.sources = from.data;
    k.source_stride = from.stride;
    k.out = {out.data, out.type};
    run<device_pass::decode>(k, spare);
  }
  /// The owner's half of two_shot: sums all slots, encodes the sum of its piece by `sums`; what that leaves out joins
  /// its residual.
  void reduce(tensor_job const& j, program sums, pieces const& cut, std::size_t piece, slot_row const& from,
              std::size_t, slot_row const& to, scratch const& spare) const {
    block_call k = reduce_call_of(j, cut.length(piece), from.count);
    k.first = piece * cut.first_stride;
    k.residual = advanced(k.residual, cut.first(piece));
    k.sources = from.data;
    k.source_stride = from.stride;
    k.payload = to.data;
    run<device_pass::reduce>(k, spare, call_.stages, sums);
  }

  [[nodiscard]] std::size_t encode_scratch(tensor_job const& j, pieces const& cut) const {
    return scratch_of<encode_pass>(encode_call(j, cut));
  }
  [[nodiscard]] std::size_t decode_scratch(tensor_job const& j, program coded, pieces const& cut) const {
    return scratch_of<device_pass::decode>(decode_call(j, cut), coded);
  }
  [[nodiscard]] std::size_t sum_scratch(tensor_job const& j, std::size_t n, std::size_t sources) const {
    return scratch_of<device_pass::decode>(sum_call(j, n, sources));
  }
  [[nodiscard]] std::size_t reduce_scratch(tensor_job const& j, program sums, std::size_t n,
                                           std::size_t sources) const {
    return scratch_of<device_pass::reduce>(reduce_call_of(j, n, sources), call_.stages, sums);
  }
  /// The stream knows when it has come so far: `workspace::check` tells.
  [[nodiscard]] static std::size_t overflowed() { return 0; }

  void all_gather(std::span<std::byte const> send, std::span<std::byte> receive) {
    comm_.all_gather(ex_, send, receive);
  }
  void all_to_all(std::span<std::byte const> send, std::span<std::byte> receive) {
    comm_.all_to_all(ex_, send, receive);
  }
  void all_reduce(void* data, std::size_t n, wire_type type, wire_op op) { comm_.all_reduce(ex_, data, n, type, op); }
  void broadcast(std::span<std::byte> data, int root) { comm_.broadcast(ex_, data, root); }

  /// allreduce by a stage that brings its own rounds.
  collective_report rounds(collective_call const& call, call_identity const& who, workspace<cuda_exec>& ws) {
    using last = typename last_stage<C>::type;
    constexpr bool compiled = requires { sizeof(device_protocol<last>); };
    static_assert(compiled,
                  "ccomp::allreduce: the last stage's rounds have no GPU side here; for power_sgd include "
                  "<ccomp/low_rank/power_sgd.cuh>, for shared_scale_quantize <ccomp/quantize/shared_scale.cuh>");
    if constexpr (compiled) {
      using protocol = device_protocol<last>;
      auto const& stage = *static_cast<last const*>(call.stages.back().stage);
      device_transforms transforms;
      std::apply([&](auto const&... s) { (add_transform(s, transforms), ...); }, as_tuple(compressor_));
      std::size_t most = 0, sent = 0, payload = 0;
      for (auto const& j : call.jobs) {
        most = std::max(most, protocol::scratch_bytes(stage, {j.data.n, comm_.size(), transforms.count > 0}));
        protocol::prepare(stage, {j.data.n, comm_.size(), transforms.count > 0}, j.state, ws);
      }
      std::size_t const headers = step_matters(call.stages) ? round_up(step_bytes(), 256) : 0;
      auto const memory = ws.reserve(headers + most, who.name);
      begin(who);
      compare_steps(memory.first(headers > 0 ? step_bytes() : 0));
      for (auto const& j : call.jobs) {
        device_values const tensor{j.data.data, j.data.type};
        sent += protocol::reduce(stage, ex_, comm_, ws,
                                 {.in = tensor,
                                  .out = tensor,
                                  .n = j.data.n,
                                  .transforms = transforms,
                                  .residual = {j.residual.data, j.residual.type},
                                  .decay = j.residual.decay,
                                  .state = j.state,
                                  .mean = call.mean,
                                  .memory = memory.subspan(headers),
                                  .at = {call.at, j.id, static_cast<std::uint32_t>(comm_.rank())}});
        payload += capacity(call.stages, j.data.n, j.data.type);
      }
      return {"rounds", sent, payload, ws.size()};
    } else {
      return {};
    }
  }

 private:
  template <class S> static void add_transform(S const& stage, device_transforms& t) {
    if constexpr (has_steps<S>)
      append_steps(stage, t);
    else
      expects(!transform_stage<S>,
              [&] { return "CUDA: " + stage_text(stage) + " lists no transform steps, so it runs on the host only"; });
  }

  /// Of what `begin` compares.
  [[nodiscard]] bool leaves_step_out() const { return agrees_once || call_.at.on_device; }

  static constexpr device_pass encode_pass = Feedback ? device_pass::encode_feedback : device_pass::encode;

  /// A pass of the call's chain, or of one with its types.
  template <device_pass Pass> void run(block_call const& k, scratch const& spare) const {
    run<Pass>(k, spare, call_.stages);
  }
  template <device_pass Pass>
  void run(block_call const& k, scratch const& spare, program stages, program sums = {}) const {
    run_pass(Pass, ex_, program_for<Pass>(stages, sums), k, spare, ws_);
  }
  template <device_pass Pass> std::size_t scratch_of(block_call const& k) const {
    return scratch_of<Pass>(k, call_.stages);
  }
  template <device_pass Pass> std::size_t scratch_of(block_call const& k, program stages, program sums = {}) const {
    return device_scratch_bytes(Pass, program_for<Pass>(stages, sums), k, ws_);
  }
  template <device_pass Pass> device_program program_for(program stages, program sums) const {
    device_program p = device_program_of<Pass>(compressor_, stages);
    p.sums = sums;
    return p;
  }
  void launch_headers(char const* name, void (*kernel)(header_call), unsigned blocks, unsigned threads,
                      slot_row const& slots, std::size_t first) const {
    header_call k = headers_;
    k.slots = slots.data;
    k.stride = slots.stride;
    k.count = static_cast<unsigned>(slots.count);
    k.first_rank = static_cast<unsigned>(first);
    launch(ex_, name, kernel, dim3(blocks), threads, k);
  }

  [[nodiscard]] block_call call_of(tensor_job const& j, std::size_t n) const {
    block_call k = device_call(n, j.data.type, {call_.at, j.id, static_cast<std::uint32_t>(comm_.rank())});
    k.prescale = prescale_;
    k.status = headers_.status;
    return k;
  }
  [[nodiscard]] block_call cut_call(tensor_job const& j, pieces const& cut) const {
    block_call k = call_of(j, cut.n);
    k.chunks = static_cast<unsigned>(cut.count);
    k.chunk = cut.size;
    k.first_stride = cut.first_stride;
    return k;
  }
  [[nodiscard]] block_call encode_call(tensor_job const& j, pieces const& cut) const {
    block_call k = cut_call(j, cut);
    k.in = {j.data.data, j.data.type};
    if constexpr (Feedback) {
      k.residual = {j.residual.data, j.residual.type};
      k.decay = j.residual.decay;
    }
    return k;
  }
  [[nodiscard]] block_call decode_call(tensor_job const& j, pieces const& cut) const {
    block_call k = cut_call(j, cut);
    k.source_count = 1;
    k.divisor = divisor();
    return k;
  }
  [[nodiscard]] block_call sum_call(tensor_job const& j, std::size_t n, std::size_t sources) const {
    block_call k = call_of(j, n);
    k.source_count = static_cast<int>(sources);
    k.divisor = divisor();
    return k;
  }
  [[nodiscard]] block_call reduce_call_of(tensor_job const& j, std::size_t n, std::size_t sources) const {
    block_call k = call_of(j, n);
    k.source_count = static_cast<int>(sources);
    k.phase = 1;
    if constexpr (Feedback) k.residual = {j.residual.data, j.residual.type};
    return k;
  }
  [[nodiscard]] float divisor() const { return call_.mean ? static_cast<float>(comm_.size()) : 1.0f; }

  cuda_exec const& ex_;
  Comm& comm_;
  C const& compressor_;
  collective_call const& call_;
  char const* name_;
  workspace<cuda_exec>& ws_;
  std::optional<queued_call> queued_;
  header_call headers_{};
  float prescale_ = 1;
};

template <> struct collective_engine<cuda_exec> {
  template <bool Feedback, class C, class Comm>
  static auto make(cuda_exec const& ex, Comm& comm, C const& c, collective_call const& call, char const* name,
                   workspace<cuda_exec>& ws) {
    return device_engine<C, Comm, Feedback>(ex, comm, c, call, name, ws);
  }
};

}  // namespace detail
CCOMP_END
