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

// From text. Its passes are compiled in files of their own, pass_*.cu, side by side (device_passes.cuh).
class device_compressor : public ccomp::any_compressor {
 public:
  using any_compressor::any_compressor;
};

struct device_stages {
  template <ccomp::detail::device_pass Pass> static void add_pass(ccomp::detail::device_program& p);
};

// Found by the library, as those of its own compressors are.
template <ccomp::detail::device_pass Pass>
ccomp::detail::device_program device_program_of(device_compressor const&, ccomp::detail::program stages) {
  return ccomp::detail::make_run_time_program<Pass, device_stages>(stages);
}

}
