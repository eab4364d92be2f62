#pragma once
/// Sums over ranks with one scale for all of them, on a GPU: the maxima of magnitudes, the codes with the residual, and
/// what the sums of codes stand for. One kernel each; the host's bits.

#include <ccomp/core/scratch.hpp>
#include <ccomp/core/stage_facts.hpp>
#include <ccomp/engine/cuda/protocol.cuh>
#include <ccomp/quantize/shared_pieces.hpp>

#include <vector>

CCOMP_BEGIN
namespace detail {

/// Only the largest magnitude of a block is needed.
struct magnitude_pieces {
  using statistic = max_abs;
  struct parameters {
    float top;
  };
  CCOMP_HD parameters fit(max_abs m, std::size_t) const { return {m.value()}; }
};

/// What all ranks add. Codes of 16 bits travel as halves of uint32, raised by `levels` so that none is negative and no
/// sum carries into its neighbour: NCCL adds no 16-bit integers.
struct shared_integers {
  std::uint32_t* keys = nullptr;  // of each block: the bits of its largest magnitude; not finite: at least inf_bits
  void* codes = nullptr;          // room for whole groups of four
  int bytes = 4;
  std::int32_t levels = 0;

  __device__ void store(std::uint64_t i, std::int32_t const (&v)[4]) const {
    if (bytes == 4) {
      struct alignas(16) quad {
        std::int32_t v[4];
      };
      reinterpret_cast<quad*>(codes)[i / 4] = {{v[0], v[1], v[2], v[3]}};
      return;
    }
    std::uint64_t word = 0;
    int const bits = 8 * bytes, above = bytes == 2 ? levels : 0;
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c)
      word |= (static_cast<std::uint64_t>(static_cast<std::uint32_t>(v[c] + above)) & ((1u << bits) - 1u))
              << (c * bits);
    if (bytes == 2)
      reinterpret_cast<std::uint64_t*>(codes)[i / 4] = word;
    else
      reinterpret_cast<std::uint32_t*>(codes)[i / 4] = static_cast<std::uint32_t>(word);
  }
  /// Sums over so many ranks.
  __device__ void load(std::uint64_t i, std::int32_t ranks, std::int32_t (&v)[4]) const {
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c)
      v[c] = bytes == 4   ? static_cast<std::int32_t const*>(codes)[i + c]
             : bytes == 2 ? static_cast<std::uint16_t const*>(codes)[i + c] - levels * ranks
                          : static_cast<std::int8_t const*>(codes)[i + c];
  }
};

/// Codes on the scales that the ranks agreed on.
template <class Team> struct shared_coder : quantizer_coder<shared_pieces, Team> {
  using base = quantizer_coder<shared_pieces, Team>;
  using coded = typename base::coded;
  shared_integers integers;

  __device__ void encode(block_layout const& l, device_random const& random, tile_place const& at,
                         warp_tile<Team> const& x, coded& c) const {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) {
      std::uint64_t const i = at.index(r);
      std::uint32_t const key = i < at.n ? integers.keys[i / l.block] : inf_bits;
      c.p[r] = key < inf_bits ? this->pieces.fit(max_abs{key}, l.block) : bad_parameters<shared_pieces::parameters>();
    }
    this->code_rows(l, random, 0, 0, at, x, c);
  }
  __device__ void store(block_layout const& l, tile_place const& at, coded const& c) const {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) {
      if (at.index(r) >= at.n) return;
      bool const good = good_parameters(c.p[r]);
      std::int32_t v[4];
      CCOMP_UNROLL
      for (int j = 0; j < 4; ++j)
        v[j] = good && static_cast<unsigned>(j) < at.count(r)
                   ? static_cast<std::int32_t>(split_code(c.codes[r], j, l.bits)) - this->pieces.bias
                   : 0;
      integers.store(at.index(r), v);
    }
  }
};

/// What a kernel makes of a tensor; both begin with the same sum and the same transforms.
enum class shared_output { maxima, encode };

// The sum with the residual is formed in both steps rather than stored: reading twice costs less than a tensor of
// memory, and a transport that fails in the first round leaves the residual as it was.
template <class Team>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks)
    shared_kernel(shared_coder<Team> coder, shared_output what, block_part p, block_coding how) {
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  warp_tile<Team> x;
  load_transformed(p, how, at, x);
  if (what == shared_output::maxima) {
    quantizer_coder<magnitude_pieces, Team> const magnitudes{};
    typename quantizer_coder<magnitude_pieces, Team>::coded c;
    magnitudes.fit_blocks(p.layout, at, x, c);
    magnitudes.store_parameters(p.layout, at, c, p.payload);
    return;
  }
  typename shared_coder<Team>::coded c;
  coder.encode(p.layout, how.random, at, x, c);
  coder.store(p.layout, at, c);
  if (p.residual.data) update_from_codes<true>(coder, p, how, at, x, c);
}

template <class Team>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks)
    shared_decode_kernel(shared_integers integers, std::int32_t ranks, block_part p, block_coding how, float divisor) {
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  symmetric_pieces<rounding::nearest> const pieces{{integers.levels, integers.levels + 1}};
  warp_tile<Team> x;
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    std::uint64_t const i = at.index(r);
    std::uint32_t const key = i < at.n ? integers.keys[i / p.layout.block] : 0;
    std::int32_t sum[4] = {};
    if (i < at.n) integers.load(i, ranks, sum);
    float const scale = key < inf_bits ? pieces.fit(max_abs{key}, p.layout.block).scale : canonical_nan();
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) x.v[r][c] = mul(static_cast<float>(sum[c]), scale);
  }
  transform_inverse(how.transforms, how.random, p.first, at, x);
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    finish_sum(x.v[r], divisor);
    store_quad(p.out, at.index(r), at.n, x.v[r]);
  }
}

/// Where the next tensor's codes begin: kernels write whole groups of four, the last of them with codes of zero.
inline std::uint64_t shared_codes(std::uint64_t n) { return round_up(n, std::uint64_t{4}); }

inline std::size_t shared_device_bytes(std::uint32_t block, std::int32_t levels, reduce_shape const& shape) {
  std::size_t blocks = 0, codes = 0;
  for (std::size_t const n : shape.sizes) blocks += ceil_div(n, block), codes += shared_codes(n);
  return scratch::bytes_for<std::uint32_t>(blocks) +
         scratch::bytes_for<std::byte>(codes * wire_bytes(sum_type(levels, shape.ranks)));
}

/// The rounds of a symmetric quantizer whose blocks share their scales over the ranks: one message of all maxima, one of
/// all codes. Returns the bytes sent.
template <class Comm>
std::size_t shared_sum_on_device(shared_pieces const& pieces, std::uint32_t block, std::uint64_t seed,
                                 cuda_exec const& ex, Comm& comm, std::span<device_reduce_call const> calls,
                                 std::span<std::byte> room) {
  struct tensor {
    block_call tiles;
    shared_integers integers;
  };
  int const ranks = comm.size();
  wire_type const narrow = sum_type(pieces.levels, ranks);
  std::size_t blocks = 0, codes = 0, end = 0;
  for (auto const& call : calls) {
    blocks += ceil_div(call.n, block);
    if (call.n > 0) end = codes + call.n;
    codes += shared_codes(call.n);
  }
  bool const halves = narrow == wire_type::int16;
  wire_type const wire = halves ? wire_type::uint32 : narrow;
  std::size_t const words = halves ? ceil_div(end, 2) : end;

  scratch memory(room);
  auto* const all_keys = memory.take<std::uint32_t>(blocks);
  auto* const all_codes = memory.take<std::byte>(codes * wire_bytes(narrow));
  std::vector<tensor> tensors;
  auto* keys = all_keys;
  auto* next = all_codes;
  for (auto const& call : calls) {
    tensor t{tile_call(call, ranks, block), {}};
    t.integers.keys = keys;
    t.integers.codes = next;
    t.integers.bytes = static_cast<int>(wire_bytes(narrow));
    t.integers.levels = pieces.levels;
    block_part& whole = t.tiles.whole;
    whole.layout.bits = 8;  // of a code in a register
    whole.layout.parameter_bytes = sizeof(std::uint32_t);
    whole.layout.seed = seed;
    whole.layout.measure(call.n);
    whole.layout.side = 0;  // no padding behind the keys: those of the next tensor follow
    whole.payload = reinterpret_cast<std::byte*>(keys);
    keys += ceil_div(call.n, block);
    next += shared_codes(call.n) * wire_bytes(narrow);
    tensors.push_back(t);
  }
  constexpr unsigned threads = 32 * warps_per_block;
  auto const run = [&](char const* name, shared_output what) {
    for (auto const& t : tensors)
      with_team(t.tiles, [&](auto team) {
        using team_type = decltype(team);
        shared_coder<team_type> const coder{{pieces}, t.integers};
        launch(ex, name, shared_kernel<team_type>, grid_of<team_type>(t.tiles.whole.n), threads, coder, what,
               t.tiles.whole, t.tiles.how);
      });
  };
  run("shared_maxima", shared_output::maxima);
  comm.all_reduce(ex, all_keys, blocks, wire_type::uint32, wire_op::max);
  run("shared_encode", shared_output::encode);
  comm.all_reduce(ex, all_codes, words, wire, wire_op::sum);
  for (auto const& t : tensors)
    with_team(t.tiles, [&](auto team) {
      using team_type = decltype(team);
      launch(ex, "shared_decode", shared_decode_kernel<team_type>, grid_of<team_type>(t.tiles.whole.n), threads,
             t.integers, ranks, t.tiles.whole, t.tiles.how, t.tiles.sum.divisor);
    });
  return all_reduce_bytes(blocks * sizeof(std::uint32_t), ranks) + all_reduce_bytes(words * wire_bytes(wire), ranks);
}

}  // namespace detail
CCOMP_END
