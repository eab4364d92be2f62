#pragma once
/// Launches the block kernels.

#include <ccomp/engine/cuda/block_kernels.cuh>

#include <string>

CCOMP_BEGIN
namespace detail {

/// Which kernel a call wants; what is never called is never compiled.
enum class device_pass { encode, encode_feedback, decode, reduce };
inline constexpr std::size_t device_passes = 4;

/// Calls `f` with a team whose tile holds whole blocks, of transforms too. Few sizes: each is a kernel.
/// `Wide`: false where no block and no transform is longer than the smaller one.
template <bool Wide = true, class F> void with_team(block_call const& call, F const& f) {
  std::uint32_t largest = call.whole.layout.block;
  auto const& transforms = call.how.transforms;
  for (int i = 0; i < transforms.count; ++i) largest = std::max(largest, transforms.primitives[i].block);
  using small = team_shape<4, 1>;
  using large = team_shape<8, warps_per_block>;
  static_assert(large::team_values == tile_values);
  if constexpr (Wide)
    if (largest > small::team_values) return f(large{});
  f(small{});
}
/// Thread blocks for n values: a tensor, or its longest chunk.
template <class Team> unsigned grid_of(std::uint64_t n) {
  std::uint64_t const blocks = ceil_div(n, Team::warp_values * warps_per_block);
  expects(blocks <= 0x7fffffffu, [&] { return sentence("CUDA: a tensor of ", n, " values is too large"); });
  return static_cast<unsigned>(blocks);
}

/// `coder_of`: called with a team, gives the coder of its tiles.
template <device_pass Pass, bool Transformed, bool Wide, class CoderOf>
void launch_pass(cuda_exec const& ex, block_call const& call, CoderOf const& coder_of) {
  with_team<Wide>(call, [&](auto team) {
    using team_type = decltype(team);
    auto const coder = coder_of(team);
    using coder_type = std::remove_cv_t<decltype(coder)>;
    std::uint64_t const longest = call.chunks.count > 1 ? call.chunks.length : call.whole.n;
    dim3 const grid(grid_of<team_type>(longest), call.chunks.count);
    constexpr unsigned threads = 32 * warps_per_block;
    if constexpr (Pass == device_pass::encode)
      launch(ex, "encode", encode_kernel<coder_type, team_type, Transformed, false>, grid, threads, coder, call);
    else if constexpr (Pass == device_pass::encode_feedback)
      launch(ex, "encode_feedback", encode_kernel<coder_type, team_type, Transformed, true>, grid, threads, coder,
             call);
    else if constexpr (Pass == device_pass::decode)
      launch(ex, "decode", decode_kernel<coder_type, team_type, Transformed>, grid, threads, coder, call);
    else
      launch(ex, "reduce", reduce_kernel<coder_type, team_type, Transformed>, grid, threads, coder, call);
  });
}

template <class S> auto coder_of_pieces(S const& pieces) {
  return [pieces](auto team) { return quantizer_coder<S, decltype(team)>{pieces}; };
}
inline constexpr auto coder_of_raw = [](auto team) { return raw_coder<decltype(team)>{}; };

}  // namespace detail
CCOMP_END
