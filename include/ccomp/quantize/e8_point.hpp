#pragma once
/// Points of the lattice E8, for one vector: eight floats, and points in quarters, as eight integers.
///
/// E8 is D8 (integers of even sum) with D8 + (1/2)^8. The words that stand for 16 bits are the points of E8 + c in the
/// cell around 0 of 4 E8, one for each of the 4^8 cosets. Where c = (1/4, ..., 1/4, 5/4), a deep hole, no word is 0, and
/// the words come in pairs of opposite sign. Of points on the border of the cell, which differ by vectors of 4 E8, a shift
/// by less than the points are apart decides; its signs follow from the coset, and are opposite for opposite points.
///
/// No branches, and masks in place of conditions: on the host, loops over vectors become vector instructions; a GPU has a
/// thread for each vector.

#include <ccomp/core/numeric.hpp>

#include <cstddef>
#include <cstdint>

#if defined(__CUDA_ARCH__)
#define CCOMP_UNROLL_VECTOR _Pragma("unroll")
#else
#define CCOMP_UNROLL_VECTOR CCOMP_HOST_UNROLL(8)
#endif

CCOMP_BEGIN
namespace detail {

inline constexpr int e8_size = 8;
using e8_vector = float[e8_size];
using e8_quarters = std::int32_t[e8_size];

/// All bits or none.
CCOMP_HD inline std::int32_t mask_of(bool condition) { return -static_cast<std::int32_t>(condition); }
CCOMP_HD inline std::int32_t select(std::int32_t mask, std::int32_t a, std::int32_t b) {
  return (a & mask) | (b & ~mask);
}
CCOMP_HD inline std::int32_t least(std::int32_t a, std::int32_t b) { return a < b ? a : b; }
CCOMP_HD inline std::int32_t most(std::int32_t a, std::int32_t b) { return a > b ? a : b; }
/// Orders floats that are not negative, and puts those that are below them.
CCOMP_HD inline std::int32_t bits_of(float x) { return static_cast<std::int32_t>(float_bits(x)); }
/// x, or -x for a mask.
CCOMP_HD inline std::int32_t negated(std::int32_t x, std::int32_t mask) { return (x ^ mask) - mask; }

/// Quarters of c.
CCOMP_HD constexpr std::int32_t e8_offset(int i) { return i == e8_size - 1 ? 5 : 1; }

/// The point of D8 next to y, and its squared distance. |y| < 2^21.
struct d8_point {
  std::int32_t at[e8_size];
  float distance;
};
CCOMP_HD inline d8_point nearest_d8(e8_vector const& y) {
  d8_point p;
  float error[e8_size];
  std::int32_t parity = 0, largest = -1, worst = 0;
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) {
    float const rounded = sub(add(y[i], 12582912.0f), 12582912.0f);
    p.at[i] = static_cast<std::int32_t>(rounded);
    error[i] = sub(y[i], rounded);
    parity ^= p.at[i];
    auto const size = static_cast<std::int32_t>(magnitude_key(error[i]));
    std::int32_t const larger = mask_of(size > largest);
    largest = select(larger, size, largest);
    worst = select(larger, i, worst);
  }
  // An odd sum: the number with the largest error, of equals the first, is rounded the other way.
  std::int32_t const odd = -(parity & 1);
  p.distance = 0;
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) {
    std::int32_t const sign = bits_of(error[i]) >> 31;
    std::int32_t const move = negated(1, sign) & odd & mask_of(worst == i);
    p.at[i] += move;
    float const left = sub(error[i], static_cast<float>(move));
    p.distance = add(p.distance, mul(left, left));
  }
  return p;
}

/// The point of E8 + c next to z; of two as near, the one in D8 + c.
CCOMP_HD inline void nearest_e8(e8_vector const& z, e8_quarters& q) {
  e8_vector y, shifted;
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) {
    y[i] = sub(z[i], 0.25f * static_cast<float>(e8_offset(i)));
    shifted[i] = sub(y[i], 0.5f);
  }
  d8_point const a = nearest_d8(y), b = nearest_d8(shifted);
  std::int32_t const first = mask_of(a.distance <= b.distance);
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) q[i] = select(first, 4 * a.at[i], 4 * b.at[i] + 2) + e8_offset(i);
}

/// A quarter, in the unit that has room for the shifts of points: 2^i for number i.
inline constexpr std::int32_t e8_quarter = 1024;
CCOMP_HD inline std::int32_t shifted_quarters(std::int32_t q, int i) {
  return q * e8_quarter + negated(1 << i, ~-(q >> 2 & 1));
}

/// Whether q, a point of E8 + c, is a word, as a mask. The faces of the cell belong to the 240 shortest vectors of E8; the
/// largest product with those of the kind (+-1, +-1, 0, ...) is the sum of the two largest numbers, and with those of the
/// kind (+-1/2, ...) half the sum of all, less the smallest if an odd number of them is negative.
CCOMP_HD inline std::int32_t is_e8_word(e8_quarters const& q) {
  std::int32_t sum = 0, smallest = 0x7fffffff, largest = 0, second = 0, negative = 0;
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) {
    std::int32_t const v = shifted_quarters(q[i], i), sign = v >> 31, size = negated(v, sign);
    negative ^= sign;
    sum += size;
    smallest = least(size, smallest);
    second = most(least(size, largest), second);
    largest = most(size, largest);
  }
  std::int32_t const half = sum - ((2 * smallest) & negative), pair = 2 * (largest + second);
  return mask_of(most(half, pair) < 2 * 4 * 4 * e8_quarter);
}

/// The 16 bits of a word: its coordinates in a basis of E8, modulo 4.
CCOMP_HD inline std::uint32_t e8_code(e8_quarters const& q) {
  std::int32_t const last = q[e8_size - 1] - e8_offset(e8_size - 1);
  std::int32_t sum = 0;
  std::uint32_t code = static_cast<std::uint32_t>(last / 2) << 14;
  CCOMP_UNROLL_VECTOR
  for (int i = e8_size - 2; i >= 0; --i) {
    sum += (q[i] - e8_offset(i) - last) / 4;  // exact
    std::int32_t const m = i > 0 ? sum : sum / 2;
    code |= (static_cast<std::uint32_t>(m) & 3u) << 2 * i;
  }
  return code & 0xffffu;
}

/// The point of E8 next to x / 4, in sixteenths of x's unit, for x that is as near to no other.
struct e8_fixed_point {
  std::int32_t at[e8_size], distance;
};
CCOMP_HD inline e8_fixed_point nearest_fixed_d8(std::int32_t const (&x)[e8_size]) {
  constexpr std::int32_t one = 16 * e8_quarter;
  e8_fixed_point p;
  std::int32_t error[e8_size], parity = 0, largest = -1, worst = 0;
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) {
    p.at[i] = (x[i] + one / 2) >> 14;
    error[i] = x[i] - p.at[i] * one;
    parity ^= p.at[i];
    std::int32_t const size = negated(error[i], error[i] >> 31), larger = mask_of(size > largest);
    largest = select(larger, size, largest);
    worst = select(larger, i, worst);
  }
  std::int32_t const odd = -(parity & 1);
  p.distance = 0;
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) {
    std::int32_t const move = negated(1, error[i] >> 31) & odd & mask_of(worst == i);
    p.at[i] += move;
    std::int32_t const left = error[i] - move * one;
    p.distance += left * left;
  }
  return p;
}
static_assert(16 * e8_quarter == 1 << 14 && 7 * (1 << 26) + (1 << 28) < 0x7fffffff, "squared distances fit");

/// The word that 16 bits stand for.
CCOMP_HD inline void e8_word(std::uint32_t code, e8_quarters& q) {
  constexpr std::int32_t half = 8 * e8_quarter;
  std::int32_t const last = static_cast<std::int32_t>(code >> 14 & 3u);
  std::int32_t above = 0, x[e8_size], moved[e8_size];
  q[e8_size - 1] = 2 * last + e8_offset(e8_size - 1);
  CCOMP_UNROLL_VECTOR
  for (int i = e8_size - 2; i >= 0; --i) {
    auto const m = static_cast<std::int32_t>(code >> 2 * i & 3u);
    q[i] = 4 * ((i > 0 ? m : 2 * m) - above) + 2 * last + e8_offset(i);
    above = m;
  }
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) {
    x[i] = shifted_quarters(q[i], i);
    moved[i] = x[i] - half;
  }
  e8_fixed_point const a = nearest_fixed_d8(x), b = nearest_fixed_d8(moved);
  std::int32_t const first = mask_of(a.distance <= b.distance);
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) q[i] -= select(first, 16 * a.at[i], 16 * b.at[i] + 8);
}

/// Descending order.
CCOMP_HD inline void sort_pair(std::int32_t& a, std::int32_t& b) {
  std::int32_t const larger = most(a, b);
  b = least(a, b);
  a = larger;
}
CCOMP_HD inline void sort_eight(std::int32_t (&k)[e8_size]) {
  sort_pair(k[0], k[1]), sort_pair(k[2], k[3]), sort_pair(k[4], k[5]), sort_pair(k[6], k[7]);
  sort_pair(k[0], k[2]), sort_pair(k[1], k[3]), sort_pair(k[4], k[6]), sort_pair(k[5], k[7]);
  sort_pair(k[1], k[2]), sort_pair(k[5], k[6]), sort_pair(k[0], k[4]), sort_pair(k[3], k[7]);
  sort_pair(k[1], k[5]), sort_pair(k[2], k[6]);
  sort_pair(k[1], k[4]), sort_pair(k[3], k[6]);
  sort_pair(k[2], k[4]), sort_pair(k[3], k[5]);
  sort_pair(k[3], k[4]);
}

/// Numbers of a vector by magnitude: a key of each, and the keys in descending order. A key is a magnitude whose last three
/// bits tell the number, so that no two are equal.
struct e8_order {
  std::int32_t key[e8_size], sorted[e8_size], sign[e8_size], negative = 0;

  CCOMP_HD explicit e8_order(e8_vector const& w) {
    CCOMP_UNROLL_VECTOR
    for (int i = 0; i < e8_size; ++i) {
      sign[i] = bits_of(w[i]) >> 31;
      negative ^= sign[i];
      key[i] = static_cast<std::int32_t>((magnitude_key(w[i]) & ~7u) | static_cast<unsigned>(e8_size - 1 - i));
      sorted[i] = key[i];
    }
    sort_eight(sorted);
  }
  [[nodiscard]] CCOMP_HD float size(int rank) const {
    return bits_float(static_cast<std::uint32_t>(sorted[rank]) & ~7u);
  }
  [[nodiscard]] CCOMP_HD float sum() const {
    float all = 0;
    CCOMP_UNROLL_VECTOR
    for (int i = 0; i < e8_size; ++i) all = add(all, size(i));
    return all;
  }
};

/// Moves a word towards z by the best of seven of the 240 shortest vectors: of those with the largest product with the
/// difference, four have two numbers, and three have eight. A move that would leave the words, or would not come nearer, is
/// not made.
CCOMP_HD inline void move_word(e8_vector const& z, e8_quarters& q) {
  e8_vector difference;
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) difference[i] = sub(z[i], 0.25f * static_cast<float>(q[i]));
  e8_order const order(difference);
  e8_quarters moved, best;
  std::int32_t gain = bits_of(1.0f);  // half the squared length of the move: a larger product comes nearer
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) best[i] = q[i];
  auto const judge = [&](float product) {
    std::int32_t const better = mask_of(bits_of(product) > gain) & is_e8_word(moved);
    gain = select(better, bits_of(product), gain);
    CCOMP_UNROLL_VECTOR
    for (int i = 0; i < e8_size; ++i) best[i] = select(better, moved[i], best[i]);
  };
  auto const try_pair = [&](int a, int b) {
    CCOMP_UNROLL_VECTOR
    for (int i = 0; i < e8_size; ++i) {
      std::int32_t const taken = mask_of(order.key[i] == order.sorted[a]) | mask_of(order.key[i] == order.sorted[b]);
      moved[i] = q[i] + (negated(4, order.sign[i]) & taken);
    }
    judge(add(order.size(a), order.size(b)));
  };
  float const all = order.sum();
  std::int32_t const odd = order.negative;
  // The number of signs that differ from the difference's must make the number of negative ones even.
  auto const try_halves = [&](std::int32_t flips_last, int flipped) {
    std::int32_t const last = order.sorted[e8_size - 1];
    CCOMP_UNROLL_VECTOR
    for (int i = 0; i < e8_size; ++i) {
      std::int32_t flips = mask_of(order.key[i] == last) & flips_last;
      if (flipped < e8_size - 1) flips |= mask_of(order.key[i] == order.sorted[flipped]);
      moved[i] = q[i] + negated(2, order.sign[i] ^ flips);
    }
    std::uint32_t const less = float_bits(order.size(e8_size - 1)) & static_cast<std::uint32_t>(flips_last);
    float lost = bits_float(less);
    if (flipped < e8_size - 1) lost = add(lost, order.size(flipped));
    judge(mul(0.5f, sub(all, mul(2.0f, lost))));
  };
  try_pair(0, 1);
  try_pair(0, 2);
  try_pair(1, 2);
  try_pair(0, 3);
  try_halves(odd, 7);
  try_halves(~odd, 6);
  try_halves(~odd, 5);
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) q[i] = best[i];
}

/// A word near z, which lies outside the cell or at its border: z is shrunk until the point next to it is a word (at 5/8
/// of the way to the face, since no point of space is further than 1 from the lattice), and the word moves towards z twice.
CCOMP_HD inline void word_inside(e8_vector const& z, e8_quarters& q) {
  e8_order const order(z);
  float const pair = add(order.size(0), order.size(1));
  float const last = bits_float(float_bits(order.size(e8_size - 1)) & static_cast<std::uint32_t>(order.negative));
  float const half = mul(0.5f, sub(order.sum(), mul(2.0f, last)));
  std::int32_t const reach = most(most(bits_of(pair), bits_of(half)), bits_of(2.5f));
  float const factor = div(2.5f, bits_float(static_cast<std::uint32_t>(reach)));
  e8_vector shrunk;
  CCOMP_UNROLL_VECTOR
  for (int i = 0; i < e8_size; ++i) shrunk[i] = mul(z[i], factor);
  nearest_e8(shrunk, q);
  move_word(z, q);
  move_word(z, q);
}

}  // namespace detail
CCOMP_END

#undef CCOMP_UNROLL_VECTOR
