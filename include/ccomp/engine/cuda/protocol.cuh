#pragma once
/// Stages that bring their own rounds of communication, on a GPU: what a stage gets of each tensor, and what it offers.

#include <ccomp/core/communicator.hpp>
#include <ccomp/engine/cuda/block_launch.cuh>
#include <ccomp/exec/cuda_workspace.hpp>

CCOMP_BEGIN
namespace detail {

/// One tensor of a call, the device's twin of reduce_call: in + decay * residual is summed over the ranks into `out`,
/// which may be `in`. Everything lies in device memory.
struct device_reduce_call {
  device_values in;
  device_values out;
  std::uint64_t n = 0;
  device_transforms transforms{};  // that stand before the stage
  device_values residual{};        // none, or n values, float or bfloat16
  float decay = 1;
  std::span<float> state{};  // as large as the host's make_state; empty: none is kept
  bool mean = true;
  device_random at{};
};

/// What a multi-round stage S offers on a GPU, specialised in its own .cuh header:
///   static std::size_t scratch_bytes(S const&, reduce_shape const&);
///   static void prepare(S const&, std::span<device_reduce_call const>, workspace<cuda_exec>&);
///   template <class Comm> static std::size_t reduce(S const&, cuda_exec const&, Comm&, workspace<cuda_exec>&,
///                                                   std::span<device_reduce_call const>, std::span<std::byte> memory);
/// They are given all tensors of a call. `prepare` refuses what cannot be done, before the other ranks are involved.
/// `reduce` queues everything on the stream and returns the bytes this rank sends. `memory`: `scratch_bytes` of device
/// memory, on 16 bytes at least. What `reduce` keeps longer than a call (handles of libraries) stays with the workspace.
template <class S> struct device_protocol;

/// The call as tile kernels take it; `block`: values that a tile must hold together, beside those of the transforms.
inline block_call tile_call(device_reduce_call const& call, int ranks, std::uint32_t block = 1) {
  block_call tiles;
  tiles.whole.n = call.n;
  tiles.whole.layout.block = block;
  tiles.whole.in = call.in;
  tiles.whole.residual = call.residual;
  tiles.whole.out = call.out;
  tiles.how.random = call.at;
  tiles.how.transforms = call.transforms;
  tiles.how.decay = call.decay;
  tiles.sum.divisor = call.mean ? static_cast<float>(ranks) : 1.0f;
  return tiles;
}

/// x, or x + decay * residual, behind the transforms.
template <class Team>
__device__ void load_transformed(block_part const& p, block_coding const& how, tile_place const& at,
                                 warp_tile<Team>& x) {
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    load_input<false>(p, how, at, r, x.v[r]);
    if (p.residual.data) add_residual(p, how, at, r, x.v[r]);
  }
  transform_forward(how.transforms, how.random, p.first, at, x);
}

}  // namespace detail
CCOMP_END
