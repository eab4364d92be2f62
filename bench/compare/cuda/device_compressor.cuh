#pragma once

#include <ccomp/any_compressor.cuh>

// Those of ccomp-compare's default compressors that run on GPUs when chosen at run time; a test takes fewer.
#ifndef CCOMP_COMPARE_STAGES
#define CCOMP_COMPARE_STAGES                                                                                    \
  cast<bfloat16>, cast<float16>, cast<fp8_e4m3>, uniform_quantize<8>, uniform_quantize<4>, uniform_quantize<2>, \
      qsgd<4>, natural, ternary, sign_quantize, hadamard_rotate, sign_flip, scale, top_k, threshold, random_k,  \
      random_block
#endif

namespace compare {
namespace of_library {
using namespace ccomp;
using stages = detail::device_stage_list<CCOMP_COMPARE_STAGES>;
}

// From text. nvcc takes minutes for a pass of all stages, so that each pass is compiled in parts, every fourth stage a part
// and a file, pass_*.cu, side by side (device_passes.cuh).
class device_compressor : public ccomp::any_compressor {
 public:
  using any_compressor::any_compressor;
};

struct device_stages {
  static constexpr int parts = 4;
  static constexpr bool has_vector = of_library::stages::has_vector, has_transform = of_library::stages::has_transform;
  // Null: the stage is of another part.
  template <ccomp::detail::device_pass Pass, int Part>
  static ccomp::detail::device_ops const* ops_of(ccomp::detail::stage_ops const* stage);
  // What a pass takes beside its stages.
  template <ccomp::detail::device_pass Pass> static void add_raw(ccomp::detail::device_program& p);
  static void add_vector(ccomp::detail::device_program& p);

  template <ccomp::detail::device_pass Pass> static void add_pass(ccomp::detail::device_program& p) {
    for (std::size_t i = 0; i < p.stages.size(); ++i) {
      auto const* const stage = p.stages[i].ops;
      auto const* found = ops_of<Pass, 0>(stage);
      if (!found) found = ops_of<Pass, 1>(stage);
      if (!found) found = ops_of<Pass, 2>(stage);
      if (!found) found = ops_of<Pass, 3>(stage);
      ccomp::detail::expects(found != nullptr, [&] {
        return "CUDA: this program was compiled without " + stage->text(p.stages[i].stage);
      });
      p.ops[static_cast<std::size_t>(Pass)][i] = found;
    }
    add_raw<Pass>(p);
    add_vector(p);
  }
};

// Found by the library, as those of its own compressors are.
template <ccomp::detail::device_pass Pass>
ccomp::detail::device_program device_program_of(device_compressor const&, ccomp::detail::program stages) {
  return ccomp::detail::make_run_time_program<Pass, device_stages>(stages);
}

}
