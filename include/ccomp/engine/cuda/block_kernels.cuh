#pragma once
/// The five passes of a chain that ends in a quantizer, a cast or raw values: one kernel each, one trip through memory,
/// a warp for each tile. `Transformed`: the chain has transforms, or may have them; they are a third to a half of a kernel.

#include <ccomp/engine/cuda/block_coder.cuh>
#include <ccomp/engine/cuda/residual.cuh>
#include <ccomp/engine/cuda/status.cuh>

CCOMP_BEGIN
namespace detail {

inline constexpr unsigned warps_per_block = 4;

/// What a kernel works on: a tensor, or one of its chunks.
struct block_part {
  std::uint64_t n = 0;
  std::uint64_t first = 0;  // of a chunk: its first value's number in the tensor, a multiple of 256
  block_layout layout{};
  device_values in{};
  device_values residual{};
  device_values out{};
  std::byte* payload = nullptr;        // written
  std::byte const* sources = nullptr;  // read
};
/// What one call is about; the same for every chain. Its ends are the caller's, layout and transforms follow from the
/// chain.
struct block_call : block_part {
  element_type type = element_type::float32;  // of the tensor
  std::uint8_t phase = 0;                     // 0: a rank's own values, 1: the owner's re-encoding
  device_random random{};
  device_transforms transforms{};
  float decay = 1;
  float prescale = 1;    // of float16 carriers of sums over ranks; not of what a reduce pass reads
  int source_count = 0;  // payloads, `source_stride` bytes apart, are summed
  std::uint64_t source_stride = 0;
  float divisor = 1;
  bool add_to_out = false;
  // With several chunks, of `chunk` values each, the grid's y tells which; its payload is so many bytes further on, its
  // random bits begin so many values further on.
  unsigned chunks = 1;
  std::uint64_t chunk = 0, payload_stride = 0, chunk_source_stride = 0, first_stride = 0;
  // Set: a chunk has as many of its values as the device has counted, `count_stride` bytes apart.
  std::uint32_t const* counted = nullptr;
  std::uint64_t count_stride = 0;
  device_status* status = nullptr;
};

/// The thread block's chunk.
__device__ inline block_part part_of(block_call const& k) {
  block_part p = k;
  std::uint64_t const y = blockIdx.y;
  if (k.chunks > 1) {
    std::uint64_t const skip = y * k.chunk < k.n ? y * k.chunk : k.n;
    p.n = k.n - skip < k.chunk ? k.n - skip : k.chunk;
    p.first = k.first + y * k.first_stride;
    p.in = advanced(k.in, skip);
    p.residual = advanced(k.residual, skip);
    p.out = advanced(k.out, skip);
    p.payload = k.payload + y * k.payload_stride;
    p.sources = k.sources + y * k.chunk_source_stride;
  }
  if (k.counted) {
    auto const* const at = reinterpret_cast<std::byte const*>(k.counted) + y * k.count_stride;
    std::uint64_t const count = *reinterpret_cast<std::uint32_t const*>(at);
    p.n = count < p.n ? count : p.n;
  }
  p.layout.measure(p.n);
  return p;
}

template <class Team> __device__ tile_place place_of(block_part const& p) {
  unsigned const warp = threadIdx.x / 32;
  std::uint64_t const team = Team::warps == 1 ? std::uint64_t{blockIdx.x} * warps_per_block + warp : blockIdx.x;
  unsigned const member = Team::warps == 1 ? 0 : warp;
  std::uint64_t const first = team * Team::team_values;
  return {first, first + member * Team::warp_values, p.n, member, threadIdx.x % 32};
}

/// v += decay * residual, of a row.
__device__ inline void add_residual(block_call const& k, block_part const& p, tile_place const& at, int r,
                                    float (&v)[4]) {
  add_residual(p.residual, k.decay, at, r, v);
}
/// x + decay * residual, of a row.
template <bool Feedback>
__device__ inline void load_input(block_call const& k, block_part const& p, tile_place const& at, int r,
                                  float (&v)[4]) {
  load_quad(p.in, at.index(r), at.n, v);
  if constexpr (Feedback) add_residual(k, p, at, r, v);
}
__device__ inline void store_residual(block_call const& k, block_part const& p, tile_place const& at, int r,
                                      float (&rest)[4], unsigned keep) {
  store_residual(p.residual, k.random, k.phase, p.first, at, r, rest, keep);
}
/// residual = v - decoded, where that is finite.
__device__ inline void keep_rest(block_call const& k, block_part const& p, tile_place const& at, int r,
                                 float const (&v)[4], float const (&decoded)[4]) {
  float rest[4];
  unsigned keep = 0;
  CCOMP_UNROLL
  for (int c = 0; c < 4; ++c) {
    rest[c] = sub(v[c], decoded[c]);
    if (is_finite(decoded[c]) && is_finite(rest[c])) keep |= 1u << c;
  }
  store_residual(k, p, at, r, rest, keep);
}

/// The same for a tile of decoded values. The sum is formed once more, from the cache: two tiles would not fit the
/// registers.
template <class Team>
__device__ void keep_input_rests(block_call const& k, block_part const& p, tile_place const& at,
                                 warp_tile<Team> const& decoded) {
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float v[4];
    load_input<true>(k, p, at, r, v);
    keep_rest(k, p, at, r, v, decoded.v[r]);
  }
}
/// The same for a tile that was coded: x is what the coder saw, behind the transforms, and is used up.
template <bool Transformed, class Coder, class Team>
__device__ void keep_rests(Coder const& coder, block_call const& k, block_part const& p, tile_place const& at,
                           warp_tile<Team>& x, typename Coder::coded const& c) {
  if constexpr (Transformed)
    if (k.transforms.count > 0) {
      CCOMP_UNROLL
      for (int r = 0; r < Team::rows; ++r) coder.decode_row(p.layout, c, r, x.v[r]);
      transform_inverse(k.transforms, k.random, p.first, at, x);
      return keep_input_rests(k, p, at, x);
    }
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float decoded[4];
    coder.decode_row(p.layout, c, r, decoded);
    keep_rest(k, p, at, r, x.v[r], decoded);
  }
}

template <class Coder, class Team, bool Transformed, bool Feedback>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks) encode_kernel(Coder coder, block_call k) {
  block_part const p = part_of(k);
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  warp_tile<Team> x;
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) load_input<Feedback>(k, p, at, r, x.v[r]);
  if constexpr (Transformed) transform_forward(k.transforms, k.random, p.first, at, x);
  typename Coder::coded c;
  coder.encode(p.layout, k.random, p.first, k.phase, at, x, c);
  coder.store(p.layout, at, c, p.payload);
  if constexpr (Feedback) keep_rests<Transformed>(coder, k, p, at, x, c);
}

/// Sums the payloads in their order, in the domain of the codes.
template <class Coder, class Team>
__device__ void sum_sources(Coder const& coder, block_call const& k, block_part const& p, tile_place const& at,
                            bool onto, warp_tile<Team>& x) {
  typename Coder::coded c;
  for (int s = 0; s < k.source_count; ++s) {
    coder.load(p.layout, at, p.sources + static_cast<std::uint64_t>(s) * k.source_stride, c);
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r)
      if (s == 0 && !onto)
        coder.decode_row(p.layout, c, r, x.v[r]);
      else
        coder.add_row(p.layout, c, r, x.v[r]);
  }
}

template <class Coder, class Team, bool Transformed>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks) decode_kernel(Coder coder, block_call k) {
  block_part const p = part_of(k);
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  bool const mixed = Transformed && k.transforms.count > 0, onto = k.add_to_out && !mixed;
  warp_tile<Team> x;
  if (onto) {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) load_quad(p.out, at.index(r), at.n, x.v[r]);
  }
  sum_sources(coder, k, p, at, onto, x);
  if constexpr (Transformed) transform_inverse(k.transforms, k.random, p.first, at, x);
  if (k.add_to_out && mixed) {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) {
      float old[4];
      load_quad(p.out, at.index(r), at.n, old);
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) x.v[r][c] = add(x.v[r][c], old[c]);
    }
  }
  // A payload's own values have one kind of NaN; what arithmetic makes of them has another.
  bool const finish = k.source_count > 1 || k.divisor != 1.0f || k.add_to_out || mixed || p.layout.prescale != 1.0f;
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    if (finish) finish_sum(x.v[r], k.divisor);
    store_quad(p.out, at.index(r), at.n, x.v[r]);
  }
}

/// The owner's half of two_shot: sums the payloads of one chunk, encodes the sum, adds what that leaves out to the
/// residual.
template <class Coder, class Team, bool Transformed>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks) reduce_kernel(Coder coder, block_call k) {
  block_part p = part_of(k);
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  warp_tile<Team> x;
  float const prescale = p.layout.prescale;
  p.layout.prescale = 1;
  sum_sources(coder, k, p, at, false, x);
  p.layout.prescale = prescale;
  typename Coder::coded c;
  coder.encode(p.layout, k.random, p.first, k.phase, at, x, c);
  coder.store(p.layout, at, c, p.payload);
  if (!p.residual.data) return;
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float decoded[4];
    coder.decode_row(p.layout, c, r, decoded);
    CCOMP_UNROLL
    for (int j = 0; j < 4; ++j) {
      float const rest = sub(x.v[r][j], decoded[j]);
      x.v[r][j] = is_finite(decoded[j]) && is_finite(rest) ? rest : 0.0f;  // a bad block leaves no error behind
    }
  }
  if constexpr (Transformed) transform_inverse(k.transforms, k.random, p.first, at, x);
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float sum[4];
    load_quad(p.residual, at.index(r), at.n, sum);
    unsigned keep = 0;
    CCOMP_UNROLL
    for (int j = 0; j < 4; ++j) {
      sum[j] = add(sum[j], x.v[r][j]);
      if (is_finite(sum[j])) keep |= 1u << j;
    }
    store_residual(k, p, at, r, sum, keep);
  }
}

}  // namespace detail
CCOMP_END
