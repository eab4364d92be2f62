#pragma once
/// Randomness without state: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
/// SC 2011). Every bit is a pure function of (seed, step, tensor, rank, phase, index): the same on host and device, in
/// any order, for any number of threads.
///
/// The rule for 16 bits per value (every stochastic quantizer), for value i of a tensor or chunk:
///
///     group g = i / 256, j = i % 256     half h = j / 128     counter t = (j % 128) / 4     word w = j % 4
///     c = 32 g + t                       bits = (philox(counter(c), key)[w] >> 16 h) & 0xffff
///
///     counter(c) = { c low half, tensor id low half, rank (0xffffffff: shared), (c high half) << 8 | phase }
///     key        = hash64(hash64(seed, step), tensor id high half), low word first
///
/// One counter so serves four neighbouring values twice, 128 apart: a 64-bit lane of AVX-512, or a float4 of a GPU
/// thread. The rule for 32 bits per draw: draw i is word i % 4 of counter(i / 4). Two uses within one tensor and step
/// (rounding, signs, indices, ...) take different phases, so that they never share bits.

#include <ccomp/core/config.hpp>
#include <ccomp/core/layout.hpp>
#include <ccomp/core/types.hpp>

#include <cstdint>

CCOMP_BEGIN

struct philox_words {
  std::uint32_t w[4];
  friend bool operator==(philox_words const&, philox_words const&) = default;
};

namespace detail {
/// Philox 4x32: its rounds, by what the counter's words are multiplied, and what each round adds to the key.
inline constexpr int philox_rounds = 10;
inline constexpr std::uint32_t philox_factor0 = 0xD2511F53u, philox_factor1 = 0xCD9E8D57u;
inline constexpr std::uint32_t philox_weyl0 = 0x9E3779B9u, philox_weyl1 = 0xBB67AE85u;
}  // namespace detail

/// Ten rounds of Philox 4x32.
CCOMP_HD constexpr philox_words philox4x32(philox_words counter, std::uint32_t key0, std::uint32_t key1) {
  std::uint32_t c0 = counter.w[0], c1 = counter.w[1], c2 = counter.w[2], c3 = counter.w[3];
  CCOMP_HOST_UNROLL(10)
  for (int round = 0; round < detail::philox_rounds; ++round) {
    std::uint64_t const p0 = std::uint64_t{detail::philox_factor0} * c0,
                        p1 = std::uint64_t{detail::philox_factor1} * c2;
    std::uint32_t const n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ key0;
    std::uint32_t const n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ key1;
    c0 = n0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = n2;
    c3 = static_cast<std::uint32_t>(p0);
    key0 += detail::philox_weyl0;
    key1 += detail::philox_weyl1;
  }
  return {{c0, c1, c2, c3}};
}

CCOMP_HD constexpr philox_words philox4x32(std::uint32_t const (&counter)[4], std::uint32_t const (&key)[2]) {
  return philox4x32(philox_words{{counter[0], counter[1], counter[2], counter[3]}}, key[0], key[1]);
}

namespace detail {
/// The finalizer of splitmix64 (Stafford's variant 13): a bijection in which every input bit moves every output bit.
CCOMP_HD constexpr std::uint64_t mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
}  // namespace detail

/// Two numbers mixed into one; for either one fixed, a bijection in the other. The step is hashed, never added to the
/// seed: a sum would make (seed, step + 1) and (seed + 1, step) the same stream.
CCOMP_HD constexpr std::uint64_t hash64(std::uint64_t seed, std::uint64_t value) {
  return detail::mix64(detail::mix64(detail::mix64(seed + 0x9E3779B97F4A7C15u) ^ value) + 0xD1B54A32D192ED03u);
}
CCOMP_HD constexpr std::uint64_t hash64(std::uint64_t seed, step at) { return hash64(seed, at.number); }

/// What the two key words of Philox are made from.
struct random_key {
  std::uint64_t seed = 0;
  step at = {};
};

/// In place of a rank: all ranks draw the same bits.
inline constexpr std::uint32_t shared_rank = 0xffffffffu;

namespace detail {
/// Uses of random bits within one tensor and step; each has two phases: a rank's own values, and the owner's
/// re-encoding of a sum.
enum random_use : std::uint8_t { use_rounding = 0, use_signs = 1, use_indices = 2, use_residual = 3, use_start = 4 };
CCOMP_HD constexpr std::uint8_t random_phase(random_use use, std::uint8_t own_or_sum = 0) {
  return static_cast<std::uint8_t>(use * 2 + own_or_sum);
}
}  // namespace detail

/// All that fixes the bits but the index.
struct random_stream {
  std::uint32_t key[2];
  std::uint32_t tensor;  // low half of the id; the high half is in the key
  std::uint32_t rank;
  std::uint32_t phase;  // below 256

  CCOMP_HD constexpr random_stream(random_key k, std::uint64_t tensor_id = 0, std::uint32_t for_rank = shared_rank,
                                   std::uint8_t for_phase = 0)
      : key{}, tensor(static_cast<std::uint32_t>(tensor_id)), rank(for_rank), phase(for_phase) {
    std::uint64_t const h = hash64(hash64(k.seed, k.at), tensor_id >> 32);
    key[0] = static_cast<std::uint32_t>(h);
    key[1] = static_cast<std::uint32_t>(h >> 32);
  }
  friend bool operator==(random_stream const&, random_stream const&) = default;
};

/// Philox's counter words for counter number c (below 2^56).
CCOMP_HD constexpr philox_words random_counter(random_stream const& s, std::uint64_t c) {
  return {{static_cast<std::uint32_t>(c), s.tensor, s.rank, (static_cast<std::uint32_t>(c >> 32) << 8) | s.phase}};
}
/// The 128 bits of counter number c.
CCOMP_HD constexpr philox_words random_words(random_stream const& s, std::uint64_t c) {
  return philox4x32(random_counter(s, c), s.key[0], s.key[1]);
}

namespace detail {
/// Word i of the four. (Not `w.w[i]`: a GPU cannot index registers.)
CCOMP_HD constexpr std::uint32_t random_word(philox_words const& w, std::uint64_t i) {
  return i & 2 ? (i & 1 ? w.w[3] : w.w[2]) : (i & 1 ? w.w[1] : w.w[0]);
}
}  // namespace detail

/// The 16 bits of value i.
CCOMP_HD constexpr std::uint32_t random_bits16(random_stream const& s, std::uint64_t i) {
  std::uint64_t const c = i / detail::random_group * detail::random_group_counters + i % (detail::random_group / 2) / 4;
  return (detail::random_word(random_words(s, c), i) >> (i % detail::random_group / (detail::random_group / 2) * 16)) &
         0xffffu;
}

/// The 32 bits of draw i.
CCOMP_HD constexpr std::uint32_t random_bits32(random_stream const& s, std::uint64_t i) {
  return detail::random_word(random_words(s, i / 4), i);
}

CCOMP_END
