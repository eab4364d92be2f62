#pragma once

#include <ccomp/any_compressor.cuh>

#include <string>

namespace compare {
namespace of_library {
using namespace ccomp;
#ifdef CCOMP_COMPARE_STAGES  // a test takes few
using stages = detail::device_stage_list<CCOMP_COMPARE_STAGES>;
#else
// Those that bring their own rounds run on GPUs only where their type is known.
template <class... S>
auto without_rounds(detail::stage_types<S...>)
    -> decltype((detail::stage_types<>{} + ... + detail::taken<!detail::has_reduce<S>, S>{}));
using stages = decltype(detail::device_list_of(without_rounds(detail::usual_stages{})));
#endif
}

// From text. nvcc takes minutes for a pass of all stages, so that each pass is compiled in parts, every fourth stage a part
// and a file, pass_*.cu, side by side (device_passes.cuh).
class device_compressor : public ccomp::any_compressor {
 public:
  using any_compressor::any_compressor;
};

template <typename... Stages> ccomp::stage_registry registry_of(ccomp::detail::device_stage_list<Stages...>) {
  ccomp::stage_registry all;
  (all.add<Stages>(""), ...);
  return all;
}

inline device_compressor parse_for_device(std::string const& text) {
  static ccomp::stage_registry const known = registry_of(of_library::stages{});
  return device_compressor(text, known);
}

struct device_stages {
  static constexpr int parts = 4;
  static constexpr bool has_vector = of_library::stages::has_vector, has_transform = of_library::stages::has_transform;
  // Null: the stage is of another part.
  template <ccomp::detail::device_pass Pass, int Part>
  static ccomp::detail::device_ops const* ops_of(ccomp::detail::stage_facts const* stage);
  // What a pass takes beside its stages.
  template <ccomp::detail::device_pass Pass> static void add_raw(ccomp::detail::device_program& p);
  static void add_vector(ccomp::detail::device_program& p);

  template <ccomp::detail::device_pass Pass> static void add_pass(ccomp::detail::device_program& p) {
    for (std::size_t i = 0; i < p.stages.size(); ++i) {
      auto const* const stage = p.stages[i].facts;
      auto const* found = ops_of<Pass, 0>(stage);
      if (!found) found = ops_of<Pass, 1>(stage);
      if (!found) found = ops_of<Pass, 2>(stage);
      if (!found) found = ops_of<Pass, 3>(stage);
      ccomp::detail::expects(found != nullptr,
                             [&] { return "CUDA: this program was compiled without " + p.stages[i].text(); });
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
