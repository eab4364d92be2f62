#pragma once
/// A chain as the CUDA engine sees it: the host's program, and for each pass that a call needs a table of functions for
/// each stage. What is never called is never compiled.

#include <ccomp/core/chain.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/cuda/block_launch.cuh>
#include <ccomp/exec/cuda_workspace.hpp>

#include <array>
#include <type_traits>

CCOMP_BEGIN

/// What a vector stage brings of its own for GPUs; without it the stage runs on the host only (device_stage.cuh).
template <class S> struct device_stage;
class device_queue;

namespace detail {

template <class S>
concept has_device_stage = requires { sizeof(device_stage<S>); };
struct device_stage_ops;                       // the same without the type,
template <class S> struct device_stage_table;  //   `ops`

struct device_program;
// Passes of a chain with a vector stage, in vector_run.cuh. Templates, so that other chains bring none of its kernels.
template <class Queue>
std::size_t vector_scratch_bytes(device_pass pass, device_program const& p, block_call const& call,
                                 workspace<cuda_exec>& ws);
template <class Queue>
void run_vector(device_pass pass, cuda_exec const& ex, device_program const& p, block_call const& call, scratch memory,
                workspace<cuda_exec>& ws);

struct device_vector_runs {
  std::size_t (*scratch_bytes)(device_pass, device_program const&, block_call const&, workspace<cuda_exec>&);
  void (*run)(device_pass, cuda_exec const&, device_program const&, block_call const&, scratch, workspace<cuda_exec>&);
};
template <class Queue>
inline constexpr device_vector_runs device_vector_runs_of = {&vector_scratch_bytes<Queue>, &run_vector<Queue>};
/// Known only once the stages are: nvcc compiles what does not depend on them even where it is discarded.
template <class... S> using queue_for = std::conditional_t<sizeof...(S) != 0, device_queue, void>;

/// What the CUDA engine has for a stage in one pass; null: nothing.
struct device_ops {
  void (*run)(void const* stage, cuda_exec const&, block_call const&) = nullptr;  // of quantizers
  void (*add_primitives)(void const* stage, device_transforms&) = nullptr;        // of transforms
  device_stage_ops const* vector = nullptr;                                       // of vector stages
};
using device_raw_run = void (*)(cuda_exec const&, block_call const&);

template <class S>
concept has_primitives = requires(S const& s) { s.primitives(); };
template <has_primitives S> void append_primitives(S const& stage, device_transforms& t) {
  for (auto const& each : stage.primitives()) {
    expects(t.count < most_transform_primitives, "CUDA: a chain holds at most 8 transform primitives");
    t.primitives[t.count++] = each;
  }
}

template <device_pass Pass, bool Transformed, class S> constexpr device_ops make_device_ops() {
  device_ops ops;
  if constexpr (quantizer_stage<S>)
    ops.run = [](void const* s, cuda_exec const& ex, block_call const& call) {
      auto const run = [&](auto const& pieces) {
        launch_pass<Pass, Transformed, true>(ex, call, coder_of_pieces(pieces));
      };
      if constexpr (Pass == device_pass::decode)
        with_decoder(as<S>(s), run);
      else
        with_pieces(as<S>(s), run);
    };
  if constexpr (has_primitives<S>)
    ops.add_primitives = [](void const* s, device_transforms& t) { append_primitives(as<S>(s), t); };
  if constexpr (has_device_stage<S>) ops.vector = &device_stage_table<S>::ops;
  return ops;
}
/// `Transformed`: transforms may stand before the stage.
template <device_pass Pass, bool Transformed, class S>
inline constexpr device_ops device_ops_of = make_device_ops<Pass, Transformed, S>();

/// Values as they are: casts, and chains that end in a transform or a vector stage.
template <device_pass Pass, bool Transformed> void run_raw(cuda_exec const& ex, block_call const& call) {
  launch_pass<Pass, Transformed, Transformed>(ex, call, coder_of_raw);
}

struct device_program {
  using stage_table = std::array<device_ops const*, most_stages>;

  program stages;
  std::array<stage_table, device_passes> ops{};
  std::array<device_raw_run, device_passes> raw{};
  device_vector_runs const* vector = nullptr;
  program sums{};  // of a reduce pass: the chain, of the same types, that encodes the sum; none: this one

  [[nodiscard]] device_ops const* of(device_pass pass, std::size_t stage) const {
    return ops[static_cast<std::size_t>(pass)][stage];
  }
  [[nodiscard]] device_raw_run raw_of(device_pass pass) const { return raw[static_cast<std::size_t>(pass)]; }
  /// Without its first `skip` stages.
  [[nodiscard]] device_program tail(std::size_t skip) const {
    device_program p{stages.subspan(skip), {}, raw, vector, {}};
    for (std::size_t pass = 0; pass < device_passes; ++pass)
      for (std::size_t i = skip; i < most_stages; ++i) p.ops[pass][i - skip] = ops[pass][i];
    return p;
  }
};

template <device_pass Pass, class... S> void add_pass(device_program& p) {
  using last = std::tuple_element_t<sizeof...(S) - 1, std::tuple<S...>>;
  constexpr auto pass = static_cast<std::size_t>(Pass);
  constexpr bool transformed = (has_primitives<S> || ...);
  p.ops[pass] = {&device_ops_of<Pass, transformed, S>...};
  // A vector stage may stand behind transforms, which then work on raw values.
  if constexpr (!quantizer_stage<last> || (vector_stage<S> || ...)) p.raw[pass] = &run_raw<Pass, transformed>;
}
/// A vector stage makes its passes of others: its carrier is encoded, and what was sent is decoded again.
template <device_pass Pass, class... S> device_program make_device_program(program stages) {
  static_assert(sizeof...(S) <= most_stages, "ccomp: a chain on a GPU has at most 16 stages");
  device_program p{stages};
  if constexpr ((has_device_stage<S> || ...)) p.vector = &device_vector_runs_of<queue_for<S...>>;
  if constexpr ((vector_stage<S> || ...)) {
    if constexpr (Pass != device_pass::decode) add_pass<device_pass::encode, S...>(p);
    if constexpr (Pass != device_pass::encode) add_pass<device_pass::decode, S...>(p);
  } else {
    add_pass<Pass, S...>(p);
  }
  return p;
}
template <device_pass Pass, stage S> device_program device_program_of(S const&, program stages) {
  return make_device_program<Pass, S>(stages);
}
template <device_pass Pass, class... S> device_program device_program_of(chain<S...> const&, program stages) {
  return make_device_program<Pass, S...>(stages);
}

/// Completes a call by what follows from the chain's first segment.
inline void describe_segment(device_pass pass, device_program const& p, block_call& call) {
  segment const s = first_segment(p.stages);
  for (std::size_t i = 0; i < s.transforms.size(); ++i) {
    auto const* const ops = p.of(pass, i);
    expects(ops && ops->add_primitives, [&] {
      return sentence("CUDA: ", s.transforms[i].text(), " lists no transform primitives, so it runs on the host only");
    });
    ops->add_primitives(s.transforms[i].stage, call.how.transforms);
  }
  if (auto const* q = s.quantizer()) {
    call.whole.layout = {.block = static_cast<std::uint32_t>(q->block(s.end.stage)),
                         .bits = q->bits,
                         .parameter_bytes = static_cast<std::uint32_t>(q->parameter_bytes(s.end.stage)),
                         .seed = q->seed(s.end.stage)};
    return;
  }
  call.whole.layout.raw = s.cast() ? *s.cast() : carried_type(s, call.type);
  if (call.whole.layout.raw == element_type::float16) call.whole.layout.prescale = call.prescale;
}

/// Queues one pass of a block chain: one kernel.
inline void run_blocks(device_pass pass, cuda_exec const& ex, device_program const& p, block_call call) {
  describe_segment(pass, p, call);
  segment const s = first_segment(p.stages);
  if (s.quantizer())
    p.of(pass, s.transforms.size())->run(s.end.stage, ex, call);
  else
    p.raw_of(pass)(ex, call);
}

// ---- the four passes of any program; one without a vector stage is one kernel

/// Kernels of the program's vector stage; null for a block chain.
inline device_vector_runs const* vector_runs(device_program const& p) {
  segment const s = first_segment(p.stages);
  if (!s.vector()) return nullptr;
  expects(p.vector, [&] {
    return sentence("CUDA: ", s.end.text(),
                    " runs on the host only: no included header has its kernels (device_stage)");
  });
  return p.vector;
}
/// Scratch that the pass takes; sizes of the call are set, pointers need not be. Refuses what cannot run, and makes what
/// libraries need, so that nothing is left to go wrong once something is queued.
inline std::size_t device_scratch_bytes(device_pass pass, device_program const& p, block_call const& call,
                                        workspace<cuda_exec>& ws) {
  auto const* const vector = vector_runs(p);
  return vector ? vector->scratch_bytes(pass, p, call, ws) : 0;
}
inline void run_pass(device_pass pass, cuda_exec const& ex, device_program const& p, block_call const& call,
                     scratch memory, workspace<cuda_exec>& ws) {
  if (auto const* const vector = vector_runs(p)) return vector->run(pass, ex, p, call, memory, ws);
  run_blocks(pass, ex, p, call);
}

/// A call over n values with nothing but its place in the run.
inline block_call device_call(std::uint64_t n, element_type type, pass_options const& at) {
  block_call call;
  call.whole.n = n;
  call.type = type;
  call.how.random = {at.at, at.tensor, at.rank};
  return call;
}
/// One pass of a compressor, with scratch from the workspace.
template <device_pass Pass, class C>
void run_on_device(cuda_exec const& ex, C const& c, block_call const& call, workspace<cuda_exec>& ws,
                   char const* name = "workspace") {
  auto const stages = stages_of(c);
  auto const p = device_program_of<Pass>(c, stages);
  run_pass(Pass, ex, p, call, scratch(ws.reserve(device_scratch_bytes(Pass, p, call, ws), name)), ws);
}

}  // namespace detail
CCOMP_END
