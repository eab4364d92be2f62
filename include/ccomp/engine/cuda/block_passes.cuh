#pragma once
/// Launches the block kernels: a table of functions for each stage, and calls made from chains.

#include <array>
#include <ccomp/engine/cuda/block_kernels.cuh>
#include <ccomp/engine/host/block_passes.hpp>
#include <cmath>
#include <span>
#include <string>

CCOMP_BEGIN
namespace detail {

/// Which kernel a call wants; what is never called is never compiled.
enum class device_pass { encode, encode_feedback, decode, reduce };

/// What the CUDA engine has for a stage in one pass; null: nothing.
struct device_ops {
  void (*run)(void const* stage, cuda_exec const&, block_call const&) = nullptr;  // of quantizers
  void (*add_steps)(void const* stage, device_transforms&) = nullptr;             // of transforms
};

/// Calls `f` with a team whose tile holds whole blocks, of transforms too. Few sizes: each is a kernel.
template <class F> void with_team(block_call const& k, F const& f) {
  std::uint32_t largest = k.layout.block;
  for (int i = 0; i < k.transforms.count; ++i) largest = std::max(largest, k.transforms.steps[i].block);
  if (largest <= 512) return f(team_shape<4, 1>{});
  return f(team_shape<8, warps_per_block>{});
}
/// Of a tensor or of its longest chunk.
template <class Team> unsigned grid_of(block_call const& k) {
  std::uint64_t const values = Team::warp_values * warps_per_block, n = k.chunks > 1 ? k.chunk : k.n,
                      blocks = (n + values - 1) / values;
  expects(blocks <= 0x7fffffffu, [&] { return "CUDA: a tensor of " + std::to_string(k.n) + " values is too large"; });
  return static_cast<unsigned>(blocks);
}

/// `coder_of`: called with a team, gives the coder of its tiles.
template <device_pass Pass, class CoderOf>
void launch_pass(cuda_exec const& ex, block_call const& k, CoderOf const& coder_of) {
  with_team(k, [&](auto team) {
    using team_type = decltype(team);
    auto const coder = coder_of(team);
    using coder_type = std::remove_cv_t<decltype(coder)>;
    dim3 const grid(grid_of<team_type>(k), k.chunks);
    constexpr unsigned threads = 32 * warps_per_block;
    if constexpr (Pass == device_pass::encode)
      launch(ex, "encode", encode_kernel<coder_type, team_type, false>, grid, threads, coder, k);
    else if constexpr (Pass == device_pass::encode_feedback)
      launch(ex, "encode_feedback", encode_kernel<coder_type, team_type, true>, grid, threads, coder, k);
    else if constexpr (Pass == device_pass::decode)
      launch(ex, "decode", decode_kernel<coder_type, team_type>, grid, threads, coder, k);
    else
      launch(ex, "reduce", reduce_kernel<coder_type, team_type>, grid, threads, coder, k);
  });
}

template <class S> auto coder_of_pieces(S const& pieces) {
  return [pieces](auto team) { return quantizer_coder<S, decltype(team)>{pieces}; };
}
inline constexpr auto coder_of_raw = [](auto team) { return raw_coder<decltype(team)>{}; };

template <device_pass Pass, class S> constexpr device_ops make_device_ops() {
  device_ops ops;
  if constexpr (quantizer_stage<S>)
    ops.run = [](void const* s, cuda_exec const& ex, block_call const& k) {
      with_pieces(as<S>(s), [&](auto const& pieces) { launch_pass<Pass>(ex, k, coder_of_pieces(pieces)); });
    };
  if constexpr (requires(S const& s) { s.steps(); })
    ops.add_steps = [](void const* s, device_transforms& t) {
      for (auto const& step : as<S>(s).steps()) {
        expects(t.count < most_transform_steps, "CUDA: a chain holds at most 8 transform steps");
        t.steps[t.count++] = step;
      }
    };
  return ops;
}
template <device_pass Pass, class S> inline constexpr device_ops device_ops_of = make_device_ops<Pass, S>();

/// A chain as both engines see it, for one pass.
template <device_pass Pass> struct device_program {
  static constexpr std::size_t most_stages = 16;
  program stages;
  std::array<device_ops const*, most_stages> ops{};
};

/// A call of block kernels for a segment; its ends (values, payloads) are the caller's to fill in.
template <device_pass Pass>
block_call block_call_of(device_program<Pass> const& p, std::uint64_t n, element_type type, pass_options const& at) {
  segment const s = first_segment(p.stages);
  block_call k;
  k.n = n;
  k.random = {at.at, at.tensor, at.rank};
  for (std::size_t i = 0; i < s.transforms.size(); ++i) {
    expects(p.ops[i]->add_steps, [&] {
      return "CUDA: " + s.transforms[i].ops->text(s.transforms[i].stage) +
             " lists no transform steps, so it runs on the host only";
    });
    p.ops[i]->add_steps(s.transforms[i].stage, k.transforms);
  }
  if (auto const* q = s.quantizer()) {
    k.layout = {.block = static_cast<std::uint32_t>(q->block(s.end.stage)),
                .bits = q->bits,
                .parameter_bytes = static_cast<std::uint32_t>(q->parameter_bytes(s.end.stage)),
                .seed = q->seed(s.end.stage)};
  } else {
    expects(!s.vector(), [&] { return "CUDA: " + s.end.ops->text(s.end.stage) + " runs on the host only"; });
    k.layout.raw = s.cast() ? *s.cast() : after_transforms(s, type);
  }
  return k;
}

template <device_pass Pass> void run_pass(cuda_exec const& ex, device_program<Pass> const& p, block_call const& k) {
  segment const s = first_segment(p.stages);
  if (s.quantizer()) return p.ops[s.transforms.size()]->run(s.end.stage, ex, k);
  launch_pass<Pass>(ex, k, coder_of_raw);
}

}  // namespace detail
CCOMP_END
