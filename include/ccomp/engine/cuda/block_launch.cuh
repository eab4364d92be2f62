#pragma once
/// Launches the block kernels.

#include <ccomp/engine/cuda/block_kernels.cuh>
#include <ccomp/engine/host/block_passes.hpp>
#include <string>

CCOMP_BEGIN
namespace detail {

/// Which kernel a call wants; what is never called is never compiled.
enum class device_pass { encode, encode_feedback, decode, reduce };
inline constexpr std::size_t device_passes = 4;

/// Calls `f` with a team whose tile holds whole blocks, of transforms too. Few sizes: each is a kernel.
/// `Wide`: false where no block and no transform is longer than the smaller one.
template <bool Wide = true, class F> void with_team(block_call const& k, F const& f) {
  std::uint32_t largest = k.layout.block;
  for (int i = 0; i < k.transforms.count; ++i) largest = std::max(largest, k.transforms.steps[i].block);
  if constexpr (Wide)
    if (largest > 512) return f(team_shape<8, warps_per_block>{});
  f(team_shape<4, 1>{});
}
/// Of a tensor or of its longest chunk.
template <class Team> unsigned grid_of(block_call const& k) {
  std::uint64_t const values = Team::warp_values * warps_per_block, n = k.chunks > 1 ? k.chunk : k.n,
                      blocks = (n + values - 1) / values;
  expects(blocks <= 0x7fffffffu, [&] { return "CUDA: a tensor of " + std::to_string(k.n) + " values is too large"; });
  return static_cast<unsigned>(blocks);
}

/// `coder_of`: called with a team, gives the coder of its tiles.
template <device_pass Pass, bool Transformed, bool Wide, class CoderOf>
void launch_pass(cuda_exec const& ex, block_call const& k, CoderOf const& coder_of) {
  with_team<Wide>(k, [&](auto team) {
    using team_type = decltype(team);
    auto const coder = coder_of(team);
    using coder_type = std::remove_cv_t<decltype(coder)>;
    dim3 const grid(grid_of<team_type>(k), k.chunks);
    constexpr unsigned threads = 32 * warps_per_block;
    if constexpr (Pass == device_pass::encode)
      launch(ex, "encode", encode_kernel<coder_type, team_type, Transformed, false>, grid, threads, coder, k);
    else if constexpr (Pass == device_pass::encode_feedback)
      launch(ex, "encode_feedback", encode_kernel<coder_type, team_type, Transformed, true>, grid, threads, coder, k);
    else if constexpr (Pass == device_pass::decode)
      launch(ex, "decode", decode_kernel<coder_type, team_type, Transformed>, grid, threads, coder, k);
    else
      launch(ex, "reduce", reduce_kernel<coder_type, team_type, Transformed>, grid, threads, coder, k);
  });
}

template <class S> auto coder_of_pieces(S const& pieces) {
  return [pieces](auto team) { return quantizer_coder<S, decltype(team)>{pieces}; };
}
inline constexpr auto coder_of_raw = [](auto team) { return raw_coder<decltype(team)>{}; };

}  // namespace detail
CCOMP_END
