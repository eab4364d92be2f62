#pragma once
/// One pass over the blocks of a tensor, in four parts: what is coded, how, which payloads are summed, and how the tensor
/// is cut into chunks. A kernel takes the parts that it uses.

#include <ccomp/engine/cuda/block_coder.cuh>
#include <ccomp/engine/cuda/status.cuh>

CCOMP_BEGIN
namespace detail {

/// What is coded: a tensor, or one of its chunks.
struct block_part {
  std::uint64_t n = 0;
  std::uint64_t first = 0;  // of a chunk: its first value's number in the tensor, a multiple of random_group
  block_layout layout{};    // of the payload; follows from the chain
  device_values in{};
  device_values residual{};
  device_values out{};
  std::byte* payload = nullptr;  // written
};
/// How: where random bits come from, and what is done to the values around the coder.
struct block_coding {
  device_random random{};
  std::uint8_t phase = 0;          // 0: a rank's own values, 1: the owner's re-encoding
  device_transforms transforms{};  // follow from the chain
  float decay = 1;                 // of the residual
};
/// Payloads, `stride` bytes apart, that are read and summed in their order; one payload is decoded.
struct payload_sum {
  std::byte const* sources = nullptr;
  int count = 0;
  std::uint64_t stride = 0;
  float divisor = 1;
  bool add_to_out = false;
};
/// Chunks of `size` values each; the grid's y tells which one a thread block works on.
struct chunk_grid {
  unsigned count = 1;
  std::uint64_t size = 0;                               // values from one chunk's first to the next chunk's
  std::uint64_t length = 0;                             // values of a chunk that are coded, at most
  std::uint64_t first_stride = 0;                       // values from one chunk's random bits to the next chunk's
  std::uint64_t payload_stride = 0, source_stride = 0;  // bytes from one chunk's payload to the next, written and read
  // Set: only so many values of each chunk are there, as the device has counted, `counted_stride` bytes apart.
  std::uint32_t const* counted = nullptr;
  std::uint64_t counted_stride = 0;
};

// What kernels are given is one struct, of the parts that they use: given the parts one by one, nvcc takes up to a third
// more registers (measured for sm_90).

/// Of kernels that encode.
struct block_encode_call {
  block_part whole{};
  block_coding how{};
  chunk_grid chunks{};
};
/// Of kernels that read payloads.
struct block_sum_call : block_encode_call {
  payload_sum sum{};
};

/// All that the host knows of a pass.
struct block_call : block_sum_call {
  element_type type = element_type::float32;  // of the tensor
  float prescale = 1;                         // of float16 carriers of sums over ranks; not of what a reduce pass reads
  device_status* status = nullptr;
};

/// The thread block's chunk.
__device__ inline block_part part_of(block_encode_call const& call) {
  block_part const& whole = call.whole;
  chunk_grid const& chunks = call.chunks;
  block_part p = whole;
  std::uint64_t const y = blockIdx.y;
  if (chunks.count > 1) {
    std::uint64_t const skip = y * chunks.size < whole.n ? y * chunks.size : whole.n;
    p.n = whole.n - skip < chunks.length ? whole.n - skip : chunks.length;
    p.first = whole.first + y * chunks.first_stride;
    p.in = advanced(whole.in, skip);
    p.residual = advanced(whole.residual, skip);
    p.out = advanced(whole.out, skip);
    p.payload = whole.payload + y * chunks.payload_stride;
  }
  if (chunks.counted) {
    auto const* const at = reinterpret_cast<std::byte const*>(chunks.counted) + y * chunks.counted_stride;
    std::uint64_t const count = *reinterpret_cast<std::uint32_t const*>(at);
    p.n = count < p.n ? count : p.n;
  }
  p.layout.measure(p.n);
  return p;
}
/// The payloads of the thread block's chunk.
__device__ inline std::byte const* sources_of(block_sum_call const& call) {
  return call.sum.sources + blockIdx.y * call.chunks.source_stride;
}

}  // namespace detail
CCOMP_END
