#pragma once
/// Compressors chosen at run time, on a GPU. Kernels are made by the compiler, so a list of stages says which ones.

#include <ccomp/any_compressor.hpp>
#include <ccomp/engine/cuda/program.cuh>

CCOMP_BEGIN

/// An any_compressor that runs with a cuda_exec, too, if all its stages are among these: any chain of them, the same
/// bytes as on the host, one kernel a pass where the typed chain has one.
///
/// Compile time: about 2 seconds for each of a stage's sets of scalar pieces, for each pass that is called and each team
///               size; uniform_quantize has four sets, transforms and sparsifiers none of their own
/// Throws:       invalid_argument from calls with a cuda_exec if the chain has another stage
template <stage... Stages> class any_compressor_of : public any_compressor {
 public:
  using any_compressor::any_compressor;
};

namespace detail {

struct device_stage_entry {
  stage_ops const* stage;
  device_ops const* ops;
};

template <class... S> struct device_stage_list {
  static constexpr bool has_vector = (vector_stage<S> || ...), has_transform = (has_steps<S> || ...);

  template <device_pass Pass> static void add_pass(device_program& p) {
    static constexpr std::array<device_stage_entry, sizeof...(S)> known{
        {{&ops_of<S>, &device_ops_of<Pass, has_transform, S>}...}};
    constexpr auto pass = static_cast<std::size_t>(Pass);
    for (std::size_t i = 0; i < p.stages.size(); ++i) {
      auto const found =
          std::ranges::find_if(known, [&](device_stage_entry const& e) { return e.stage == p.stages[i].ops; });
      expects(found != known.end(), [&] {
        return "CUDA: " + p.stages[i].ops->text(p.stages[i].stage) +
               " is not among the stages that this run-time compressor was compiled with; name it in "
               "any_compressor_of<...>";
      });
      p.ops[pass][i] = found->ops;
    }
    p.raw[pass] = &run_raw<Pass, has_transform>;
    if constexpr ((runs_on_device<S> || ...)) p.vector = &device_vector_runs_of<kernels_of<S...>>;
  }
};
/// What any_compressor itself is compiled with: the usual choices.
using usual_device_stages =
    device_stage_list<cast<bfloat16>, cast<float16>, uniform_quantize<8>, uniform_quantize<4>, sign_quantize,
                      hadamard_rotate, sign_flip, scale, top_k, threshold, random_k, random_block>;

/// Whether a chain has a vector stage, whose passes are made of others, shows only when it runs.
template <device_pass Pass, class List> device_program make_run_time_program(program stages) {
  expects(stages.size() <= most_stages, [&] {
    return "CUDA: a chain has at most " + std::to_string(most_stages) + " stages, this one " +
           std::to_string(stages.size());
  });
  device_program p{stages};
  List::template add_pass<Pass>(p);
  if constexpr (List::has_vector && (Pass == device_pass::encode_feedback || Pass == device_pass::reduce)) {
    List::template add_pass<device_pass::encode>(p);
    List::template add_pass<device_pass::decode>(p);
  }
  return p;
}
template <device_pass Pass> device_program device_program_of(any_compressor const&, program stages) {
  return make_run_time_program<Pass, usual_device_stages>(stages);
}
template <device_pass Pass, class... S>
device_program device_program_of(any_compressor_of<S...> const&, program stages) {
  return make_run_time_program<Pass, device_stage_list<S...>>(stages);
}

}  // namespace detail
CCOMP_END
