#pragma once
/// A chain as the CUDA engine sees it: the host's program, and for each pass that a call needs a table of functions for
/// each stage. What is never called is never compiled.

#include <array>
#include <ccomp/chain.hpp>
#include <ccomp/engine/cuda/block_launch.cuh>
#include <ccomp/engine/cuda/vector_stage.cuh>
#include <type_traits>

CCOMP_BEGIN
namespace detail {

struct device_program;
// Passes of a chain with a vector stage, in vector_passes.cuh. Templates, so that other chains bring none of its kernels.
template <class Kernels>
std::size_t vector_scratch_bytes(device_pass pass, device_program const& p, block_call const& k,
                                 workspace<cuda_exec>& ws);
template <class Kernels>
void run_vector(device_pass pass, cuda_exec const& ex, device_program const& p, block_call const& k, scratch memory,
                workspace<cuda_exec>& ws);

struct device_vector_runs {
  std::size_t (*scratch_bytes)(device_pass, device_program const&, block_call const&, workspace<cuda_exec>&);
  void (*run)(device_pass, cuda_exec const&, device_program const&, block_call const&, scratch, workspace<cuda_exec>&);
};
template <class Kernels>
inline constexpr device_vector_runs device_vector_runs_of = {&vector_scratch_bytes<Kernels>, &run_vector<Kernels>};
/// void, but known only once the stages are: nvcc compiles what does not depend on them even where it is discarded.
template <class... S> using kernels_of = std::conditional_t<sizeof...(S) != 0, void, void>;

/// What the CUDA engine has for a stage in one pass; null: nothing.
struct device_ops {
  void (*run)(void const* stage, cuda_exec const&, block_call const&) = nullptr;  // of quantizers
  void (*add_steps)(void const* stage, device_transforms&) = nullptr;             // of transforms
  device_vector_ops const* vector = nullptr;                                      // of vector stages
};
using device_raw_run = void (*)(cuda_exec const&, block_call const&);

template <class S>
concept has_steps = requires(S const& s) {
  s.steps();
};
template <has_steps S> void append_steps(S const& stage, device_transforms& t) {
  for (auto const& step : stage.steps()) {
    expects(t.count < most_transform_steps, "CUDA: a chain holds at most 8 transform steps");
    t.steps[t.count++] = step;
  }
}

/// A vector stage that has kernels.
template <class S>
concept runs_on_device = has_selects<S> || has_device_vector<S>;

template <device_pass Pass, bool Transformed, class S> constexpr device_ops make_device_ops() {
  device_ops ops;
  if constexpr (quantizer_stage<S>)
    ops.run = [](void const* s, cuda_exec const& ex, block_call const& k) {
      auto const run = [&](auto const& pieces) {
        launch_pass<Pass, Transformed, true>(ex, k, coder_of_pieces(pieces));
      };
      if constexpr (Pass == device_pass::decode)
        with_decoder(as<S>(s), run);
      else
        with_pieces(as<S>(s), run);
    };
  if constexpr (has_steps<S>) ops.add_steps = [](void const* s, device_transforms& t) { append_steps(as<S>(s), t); };
  if constexpr (runs_on_device<S>) ops.vector = &device_vector_ops_of<S>;
  return ops;
}
/// `Transformed`: transforms may stand before the stage.
template <device_pass Pass, bool Transformed, class S>
inline constexpr device_ops device_ops_of = make_device_ops<Pass, Transformed, S>();

/// Values as they are: casts, and chains that end in a transform or a vector stage.
template <device_pass Pass, bool Transformed> void run_raw(cuda_exec const& ex, block_call const& k) {
  launch_pass<Pass, Transformed, Transformed>(ex, k, coder_of_raw);
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
  constexpr bool transformed = (has_steps<S> || ...);
  p.ops[pass] = {&device_ops_of<Pass, transformed, S>...};
  // A vector stage may stand behind transforms, which then work on raw values.
  if constexpr (!quantizer_stage<last> || (vector_stage<S> || ...)) p.raw[pass] = &run_raw<Pass, transformed>;
}
/// A vector stage makes its passes of others: its carrier is encoded, and what was sent is decoded again.
template <device_pass Pass, class... S> device_program make_device_program(program stages) {
  static_assert(sizeof...(S) <= most_stages, "ccomp: a chain on a GPU has at most 16 stages");
  device_program p{stages};
  if constexpr ((runs_on_device<S> || ...)) p.vector = &device_vector_runs_of<kernels_of<S...>>;
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
inline void describe_segment(device_pass pass, device_program const& p, block_call& k) {
  segment const s = first_segment(p.stages);
  for (std::size_t i = 0; i < s.transforms.size(); ++i) {
    auto const* const ops = p.of(pass, i);
    expects(ops && ops->add_steps, [&] {
      return "CUDA: " + s.transforms[i].ops->text(s.transforms[i].stage) +
             " lists no transform steps, so it runs on the host only";
    });
    ops->add_steps(s.transforms[i].stage, k.transforms);
  }
  if (auto const* q = s.quantizer()) {
    k.layout = {.block = static_cast<std::uint32_t>(q->block(s.end.stage)),
                .bits = q->bits,
                .parameter_bytes = static_cast<std::uint32_t>(q->parameter_bytes(s.end.stage)),
                .seed = q->seed(s.end.stage)};
    return;
  }
  k.layout.raw = s.cast() ? *s.cast() : carried_type(s, k.type);
  if (k.layout.raw == element_type::float16) k.layout.prescale = k.prescale;
}

/// Queues one pass of a block chain: one kernel.
inline void run_blocks(device_pass pass, cuda_exec const& ex, device_program const& p, block_call k) {
  describe_segment(pass, p, k);
  segment const s = first_segment(p.stages);
  if (s.quantizer())
    p.of(pass, s.transforms.size())->run(s.end.stage, ex, k);
  else
    p.raw_of(pass)(ex, k);
}

}  // namespace detail
CCOMP_END
