#pragma once
/// The CUDA engine in collectives: everything is queued on the stream, and nothing waits. Kernels write and check the
/// headers; a slot of another call is reported through the workspace.

#include <ccomp/collective/device_slots.cuh>
#include <ccomp/collective/engine.hpp>
#include <ccomp/collective/in_flight.hpp>
#include <ccomp/engine/cuda/program.cuh>
#include <ccomp/engine/cuda/protocol.cuh>
#include <ccomp/engine/cuda/weigh.cuh>

#include <cmath>
#include <optional>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// `Feedback`: residuals join, so that encode_feedback is compiled instead of encode.
template <class C, class Comm, bool Feedback> class device_engine : public communicating_engine<cuda_exec, Comm&> {
  using base = communicating_engine<cuda_exec, Comm&>;
  using base::call_, base::ws_, base::ex_, base::comm_;
  static constexpr bool run_time = requires(C const& c) { c.stages(); };
  static constexpr bool agrees_once = requires { Comm::agrees_once; };

 public:
  static constexpr bool may_fly = linear<C> || run_time, must_fly = linear<C> && !Feedback;
  static constexpr bool may_have_rounds = has_rounds<C>, must_have_rounds = may_have_rounds, knows_lengths = false;

  device_engine(cuda_exec const& ex, Comm& comm, C const& c, collective_call const& call, workspace<cuda_exec>& ws)
      : base(ex, comm, call, ws), compressor_(c) {
    char const* const name = call.name;
    expect_device(ex, name);
    ws.expect_stream(ex, name);
    queued_.emplace(ex, ws);
    if constexpr (requires { comm.device(); })
      expects(comm.device() == ex.device(), [&] {
        return sentence(name, ": the communicator belongs to device ", comm.device(), ", the stream to device ",
                        ex.device());
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

  /// The step is left out of what ranks compare if only the device knows it, or if they are asked about a kind of call
  /// once: then the headers tell of it.
  void begin(std::string_view strategy, int root = -1, std::string_view setting = {}) {
    use_checksums();
    call_identity const identity{&call_, strategy, comm_.size(), root, setting, !leaves_step_out(), headers_.checksums};
    headers_.fingerprint = identity.number();
    headers_.at.at = call_.at;
    if constexpr (requires { comm_.agree(ex_, std::uint64_t{}, &identity, &call_identity::describe); })
      comm_.agree(ex_, headers_.fingerprint, &identity, &call_identity::describe);
    else if constexpr (can_agree<Comm>)
      comm_.agree(headers_.fingerprint, &identity, &call_identity::describe);
    this->prepare_residuals();
    if (call_.weight) weigh();
  }
  void begin_between(int from, int to) {
    use_checksums();
    headers_.fingerprint = number_between(call_, comm_.size(), from, to, headers_.checksums);
    headers_.at.at = call_.at;
    this->prepare_residuals();
  }
  /// For calls that exchange no headers otherwise.
  [[nodiscard]] std::size_t step_bytes() const {
    if constexpr (can_all_gather<Comm, cuda_exec>)
      return leaves_step_out() ? (this->ranks() + 1) * sizeof(slot_header) : 0;
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
      check_headers({all.data(), slot, this->ranks()});
    }
  }
  /// From now on float16 carriers hold x * 2^log2; those that `reduce` reads still hold x.
  void prescale(int log2) { prescale_ = std::ldexp(1.0f, log2); }

  void expect_output(values const& out) const { expect_device_memory(ex_, out.data, call_.name, "the output"); }
  void write_headers(slot_row const& slots) const { device_slots(ex_, headers_, slots).write(); }
  /// Once the payloads are in the slots.
  void seal(slot_row const& slots) const { device_slots(ex_, headers_, slots).seal(); }
  /// Slot i comes from rank first_rank + i. With checksums it waits for the stream: what was changed on its way must not
  /// reach a sum.
  void check_headers(slot_row const& slots, std::size_t first_rank = 0) const {
    device_slots(ex_, headers_, slots, first_rank).check();
    if (!headers_.checksums || only_loads(ex_)) return;
    if constexpr (requires { comm_.wait(ex_); })
      comm_.wait(ex_);
    else
      ex_.synchronize();
    ws_.raise(call_.name, /*earlier=*/false);
  }

  /// Chunk i into slot i; returns the bytes that this may take.
  std::size_t encode(tensor_job const& j, tensor_cut const& cut, slot_row const& to, std::span<std::byte> spare) const {
    block_call call = encode_call(j, cut);
    call.whole.payload = to.data;
    call.chunks.payload_stride = to.stride;
    run<encode_pass>(call, spare);
    return cut.count * capacity(call_.stages, cut.most(), j.data.type);
  }
  /// Slot i, a payload of `coded`, into chunk i of `out`.
  void decode(tensor_job const& j, program coded, values const& out, tensor_cut const& cut, slot_row const& from,
              std::size_t, std::span<std::byte> spare) const {
    block_call call = decode_call(j, cut);
    call.sum.sources = from.data;
    call.chunks.source_stride = from.stride;
    call.whole.out = advanced(device_values{out.data, out.type}, cut.first(0));
    run<device_pass::decode>(call, spare, coded);
  }
  /// All slots, in their order, into `out`; `first`: where its random bits begin.
  void sum(tensor_job const& j, values const& out, std::uint64_t first, slot_row const& from, std::size_t,
           std::span<std::byte> spare) const {
    block_call call = sum_call(j, out.n, from.count);
    call.whole.first = first;
    call.sum.sources = from.data;
    call.sum.stride = from.stride;
    call.whole.out = {out.data, out.type};
    run<device_pass::decode>(call, spare);
  }
  /// The owner's half of two_shot: sums all slots and encodes the sum of its chunk by `sums`. What this leaves out is
  /// added to the owner's residual.
  void reduce(tensor_job const& j, program sums, tensor_cut const& cut, std::size_t chunk, slot_row const& from,
              std::size_t, slot_row const& to, std::span<std::byte> spare) const {
    block_call call = reduce_call_of(j, cut.length(chunk), from.count);
    call.whole.first = cut.counted_from(chunk);
    call.whole.residual = advanced(call.whole.residual, cut.first(chunk));
    call.sum.sources = from.data;
    call.sum.stride = from.stride;
    call.whole.payload = to.data;
    run<device_pass::reduce>(call, spare, call_.stages, sums);
  }

  [[nodiscard]] std::size_t encode_scratch(tensor_job const& j, tensor_cut const& cut) const {
    return scratch_of<encode_pass>(encode_call(j, cut));
  }
  [[nodiscard]] std::size_t decode_scratch(tensor_job const& j, program coded, tensor_cut const& cut) const {
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

  /// allreduce by a stage that has its own rounds.
  collective_report rounds() {
    using last = typename last_stage<C>::type;
    constexpr bool compiled = requires { sizeof(device_protocol<last>); };
    static_assert(compiled,
                  "ccomp::allreduce: the last stage's rounds have no GPU side here; for power_sgd include "
                  "<ccomp/low_rank/power_sgd.cuh>, for shared_scale_quantize <ccomp/quantize/shared_scale.cuh>");
    if constexpr (compiled) {
      using protocol = device_protocol<last>;
      auto const& stage = *static_cast<last const*>(call_.stages.back().stage);
      device_transforms transforms;
      std::apply([&](auto const&... s) { (add_transform(s, transforms), ...); }, as_tuple(compressor_));
      std::size_t const steps = step_matters(call_.stages) ? step_bytes() : 0;
      std::vector<device_reduce_call> calls;
      for (auto const& j : call_.jobs) {
        device_values const tensor{j.data.data, j.data.type};
        pass_options const at = this->at(j);
        calls.push_back({.in = tensor,
                         .out = tensor,
                         .n = j.data.n,
                         .transforms = transforms,
                         .residual = {j.residual.data, j.residual.type},
                         .decay = j.residual.decay,
                         .state = j.state,
                         .mean = this->divides(),
                         .at = {at.at, at.tensor, at.rank}});
      }
      protocol::prepare(stage, calls, ws_);
      auto const sizes = this->sizes();
      std::size_t const common = round_up(steps, 256);
      auto const memory =
          this->reserve(common + protocol::scratch_bytes(stage, {sizes, comm_.size(), transforms.count > 0}));
      begin("rounds");
      compare_steps(memory.first(steps));
      return this->rounds_report(protocol::reduce(stage, ex_, comm_, ws_, calls, memory.subspan(common)));
    } else {
      return {};
    }
  }

 private:
  template <class S> static void add_transform(S const& stage, device_transforms& t) {
    if constexpr (has_primitives<S>)
      append_primitives(stage, t);
    else
      expects(!transform_stage<S>, [&] {
        return sentence("CUDA: ", stage_text(stage), " lists no transform primitives, so it runs on the host only");
      });
  }

  /// Of what `begin` compares.
  [[nodiscard]] bool leaves_step_out() const { return agrees_once || call_.at.on_device; }

  static constexpr device_pass encode_pass = Feedback ? device_pass::encode_feedback : device_pass::encode;

  /// A pass of the call's chain, or of one with its types.
  template <device_pass Pass> void run(block_call const& call, std::span<std::byte> spare) const {
    run<Pass>(call, spare, call_.stages);
  }
  template <device_pass Pass>
  void run(block_call const& call, std::span<std::byte> spare, program stages, program sums = {}) const {
    run_pass(Pass, ex_, program_for<Pass>(stages, sums), call, scratch(spare), ws_);
  }
  template <device_pass Pass> std::size_t scratch_of(block_call const& call) const {
    return scratch_of<Pass>(call, call_.stages);
  }
  template <device_pass Pass> std::size_t scratch_of(block_call const& call, program stages, program sums = {}) const {
    return device_scratch_bytes(Pass, program_for<Pass>(stages, sums), call, ws_);
  }
  template <device_pass Pass> device_program program_for(program stages, program sums) const {
    device_program p = device_program_of<Pass>(compressor_, stages);
    p.sums = sums;
    return p;
  }
  void use_checksums() {
    headers_.checksums = this->checksums();
    expects(!headers_.checksums || !ex_.capturing(), [&] {
      return sentence(call_.name,
                      ": the stream records a graph, in which no call can wait for the checksums of what it ",
                      "received; take a communicator without checksums there");
    });
  }
  void weigh() {
    weigh_call w{.weight = call_.weight.value_or(1.0f)};
    if (call_.mean) {
      if constexpr (can_all_gather<Comm, cuda_exec>) {
        auto const all = this->weights_memory();
        auto const mine = all.last(sizeof(float));
        launch(ex_, "write_weight", write_weight_kernel<>, dim3(1), 1, w.weight, reinterpret_cast<float*>(mine.data()));
        comm_.all_gather(ex_, mine, all.first(this->ranks() * sizeof(float)));
        w.weights = reinterpret_cast<float const*>(all.data());
        w.ranks = static_cast<unsigned>(this->ranks());
        w.rank = static_cast<unsigned>(this->rank());
      } else {
        fail(sentence(call_.name, ": a mean with weights needs a communicator with all_gather"));
      }
    }
    this->each_weighted([&](tensor_job const& j, values const& to) {
      w.in = {j.data.data, j.data.type};
      w.out = {to.data, to.type};
      w.n = j.data.n;
      queue_weigh(ex_, w);
    });
  }
  [[nodiscard]] block_call call_of(tensor_job const& j, std::size_t n) const {
    block_call call = device_call(n, j.data.type, this->at(j));
    call.prescale = prescale_;
    call.status = headers_.status;
    return call;
  }
  [[nodiscard]] block_call cut_call(tensor_job const& j, tensor_cut const& cut) const {
    block_call call = call_of(j, cut.count > 1 ? cut.n - cut.first(0) : cut.length(0));
    call.whole.first = cut.start + cut.offset;
    call.chunks.count = static_cast<unsigned>(cut.count);
    call.chunks.size = cut.size;
    call.chunks.length = cut.most();
    call.chunks.first_stride = cut.first_stride;
    return call;
  }
  [[nodiscard]] block_call encode_call(tensor_job const& j, tensor_cut const& cut) const {
    block_call call = cut_call(j, cut);
    call.whole.in = advanced(device_values{j.data.data, j.data.type}, cut.first(0));
    if constexpr (Feedback) {
      call.whole.residual = advanced(device_values{j.residual.data, j.residual.type}, cut.first(0));
      call.how.decay = j.residual.decay;
    }
    return call;
  }
  [[nodiscard]] block_call decode_call(tensor_job const& j, tensor_cut const& cut) const {
    block_call call = cut_call(j, cut);
    call.sum.count = 1;
    call.sum.divisor = this->divisor();
    return call;
  }
  [[nodiscard]] block_call sum_call(tensor_job const& j, std::size_t n, std::size_t sources) const {
    block_call call = call_of(j, n);
    call.sum.count = static_cast<int>(sources);
    call.sum.divisor = this->divisor();
    return call;
  }
  [[nodiscard]] block_call reduce_call_of(tensor_job const& j, std::size_t n, std::size_t sources) const {
    block_call call = call_of(j, n);
    call.sum.count = static_cast<int>(sources);
    call.how.phase = 1;
    if constexpr (Feedback) call.whole.residual = {j.residual.data, j.residual.type};
    return call;
  }

  C const& compressor_;
  std::optional<queued_call> queued_;
  header_call headers_{};
  float prescale_ = 1;
};

template <> struct engine_for<cuda_exec> {
  template <class C> static auto stages_of(C const& c) { return detail::stages_of(c); }
  template <bool Feedback, bool MaySum, class C, class Comm>
  static auto make(cuda_exec const& ex, Comm& comm, C const& c, collective_call const& call, workspace<cuda_exec>& ws) {
    return device_engine<C, Comm, Feedback>(ex, comm, c, call, ws);
  }
};

}  // namespace detail
CCOMP_END
