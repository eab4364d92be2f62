#pragma once
/// Compressors chosen at run time, on a GPU. The compiler makes the kernels, so a list of stages states which ones it
/// makes: about 2 seconds of nvcc for each of a stage's sets of scalar pieces, for each pass that is called and each team
/// size. uniform_quantize has four sets; transforms and sparsifiers have none.

#include <ccomp/any_compressor.hpp>
#include <ccomp/engine/cuda/program.cuh>

CCOMP_BEGIN

namespace detail {

struct device_stage_entry {
  stage_facts const* stage;
  device_ops const* ops;
};

template <class... S> struct device_stage_list {
  static constexpr bool has_vector = (vector_stage<S> || ...), has_transform = (has_primitives<S> || ...);

  template <device_pass Pass> static void add_pass(device_program& p) {
    static std::array<device_stage_entry, sizeof...(S)> const known{
        {{&facts_of<S>(), &device_ops_of<Pass, has_transform, S>}...}};
    constexpr auto pass = static_cast<std::size_t>(Pass);
    for (std::size_t i = 0; i < p.stages.size(); ++i) {
      auto const found =
          std::ranges::find_if(known, [&](device_stage_entry const& e) { return e.stage == p.stages[i].facts; });
      expects(found != known.end(), [&] {
        return sentence("CUDA: ", p.stages[i].text(),
                        " is not among the stages that this run-time compressor was compiled with; name it in ",
                        "any_compressor_of<...>");
      });
      p.ops[pass][i] = found->ops;
    }
    p.raw[pass] = &run_raw<Pass, has_transform>;
    if constexpr ((has_device_stage<S> || ...)) p.vector = &device_vector_runs_of<queue_for<S...>>;
  }
};
template <class... Chosen, class... S>
auto with_those_that_cost_nothing(stage_types<S...>)
    -> decltype((stage_types<Chosen...>{} + ... + taken<transform_stage<S> || vector_stage<S>, S>{}));
template <class... S> device_stage_list<S...> device_list_of(stage_types<S...>);
/// The stages that any_compressor itself is compiled with: some casts and quantizers, and every transform and sparsifier.
using usual_device_stages =
    decltype(device_list_of(with_those_that_cost_nothing<cast<bfloat16>, cast<float16>, uniform_quantize<8>,
                                                         uniform_quantize<4>, sign_quantize>(usual_stages{})));

/// Whether a chain has a vector stage, whose passes are made of others, shows only when it runs.
template <device_pass Pass, class List> device_program make_run_time_program(program stages) {
  expects(stages.size() <= most_stages,
          [&] { return sentence("CUDA: a chain has at most ", most_stages, " stages, this one ", stages.size()); });
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
