#pragma once
/// The exact k-th largest magnitude of an array, by histograms of ever narrower ranges of keys. No input is slow: at
/// most four trips through the array, whatever it holds.

#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/isa.hpp>
#include <ccomp/engine/host/parallel.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>

CCOMP_BEGIN
namespace detail {

inline std::size_t count_equal(float const* x, std::size_t n, std::uint32_t key) {
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < n; ++i) count += magnitude_key(x[i]) == key;
  return count;
}
inline std::size_t count_above(float const* x, std::size_t n, std::uint32_t key) {
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < n; ++i) count += magnitude_key(x[i]) > key;
  return count;
}

inline constexpr std::uint32_t key_end = 0x80000000u;  // one past the largest key
inline constexpr int histogram_bits = 11;
inline constexpr std::uint32_t histogram_bins = 1u << histogram_bits;

/// How many keys fall into each of `histogram_bins` ranges of 2^shift keys from `low` on, and how many lie above all.
struct key_histogram {
  std::uint32_t count[histogram_bins + 2];  // the last two: above, below

  void clear() { std::memset(count, 0, sizeof count); }

  void add(instruction_set isa, float const* x, std::size_t n, std::uint32_t low, int shift) {
    // Two tables take turns: equal neighbours would otherwise wait for each other's stores.
    std::uint32_t second[histogram_bins + 2] = {};
    run_narrow(isa, [&] {
      constexpr std::size_t group = 512;
      std::uint16_t bin[group];
      for (std::size_t i = 0; i < n; i += group) {
        std::size_t const m = n - i < group ? n - i : group;
        for (std::size_t j = 0; j < m; ++j) {
          std::uint32_t const d = magnitude_key(x[i + j]) - low, at = d >> shift;
          std::uint32_t const inside = at < histogram_bins ? at : histogram_bins;
          bin[j] = static_cast<std::uint16_t>(static_cast<std::int32_t>(d) < 0 ? histogram_bins + 1 : inside);
        }
        std::size_t j = 0;
        for (; j + 2 <= m; j += 2) {
          ++count[bin[j]];
          ++second[bin[j + 1]];
        }
        if (j < m) ++count[bin[j]];
      }
      for (std::size_t b = 0; b < histogram_bins + 2; ++b) count[b] += second[b];
    });
  }
  void merge(key_histogram const& o) {
    for (std::size_t b = 0; b < histogram_bins + 2; ++b) count[b] += o.count[b];
  }
};

inline void fill_histogram(host_exec const& ex, instruction_set isa, float const* x, std::size_t n, std::uint32_t low,
                           int shift, key_histogram& total) {
  total.clear();
  if (team_size(ex, n) == 1) return total.add(isa, x, n, low, shift);
  std::mutex lock;  // sums of integers: the order of the parts does not matter
  parallel_ranges(ex, n, 1, [&](std::size_t begin, std::size_t end) {
    key_histogram mine;
    mine.clear();
    mine.add(isa, x + begin, end - begin, low, shift);
    std::lock_guard const hold(lock);
    total.merge(mine);
  });
}

/// The range of keys that holds the k-th largest, and what is known about it.
struct key_range {
  std::uint32_t low = 0, end = key_end;  // keys low <= key < end
  std::size_t above = 0;                 // values with key >= end
  std::size_t inside = 0;                // values in the range

  [[nodiscard]] bool exact() const { return end - low == 1; }
};

/// One step: the part of [r.low, r.end) that the k-th largest key lies in. If it lies outside, the part of the keys
/// beyond.
inline key_range narrow_range(host_exec const& ex, instruction_set isa, float const* x, std::size_t n, std::size_t k,
                              key_range r) {
  int shift = 0;
  while (((r.end - r.low - 1) >> shift) >= histogram_bins) ++shift;
  key_histogram h;
  fill_histogram(ex, isa, x, n, r.low, shift, h);
  // `above` counts keys beyond the last bin; bins that reach over r.end are bins like any other.
  std::size_t above = h.count[histogram_bins];
  std::uint64_t const covered = r.low + (std::uint64_t{histogram_bins} << shift);
  if (above >= k) return {static_cast<std::uint32_t>(covered), key_end, 0, above};
  for (std::uint32_t b = histogram_bins; b-- > 0; above += h.count[b])
    if (above + h.count[b] >= k) {
      std::uint32_t const low = r.low + (b << shift);
      std::uint64_t const end = std::uint64_t{low} + (std::uint64_t{1} << shift);
      return {low, static_cast<std::uint32_t>(end < key_end ? end : key_end), above, h.count[b]};
    }
  return {0, r.low, above, h.count[histogram_bins + 1]};
}

/// The k-th largest key of x, 1 <= k <= n, as a range of one key. `guess`: a range that should contain it; a wrong one
/// costs a trip.
inline key_range kth_key(host_exec const& ex, instruction_set isa, float const* x, std::size_t n, std::size_t k,
                         key_range guess = {}) {
  constexpr std::size_t few = 2048;  // bit by bit, in the first-level cache, no tables to clear
  if (n <= few) {
    key_range r{0, 1, 0, 0};
    run_narrow(isa, [&] {
      for (std::uint32_t bit = key_end >> 1; bit > 0; bit >>= 1)
        r.low = count_above(x, n, (r.low | bit) - 1) >= k ? r.low | bit : r.low;
      r.above = count_above(x, n, r.low);
      r.inside = count_equal(x, n, r.low);
    });
    r.end = r.low + 1;
    return r;
  }
  do guess = narrow_range(ex, isa, x, n, k, guess);
  while (!guess.exact());
  return guess;
}

}  // namespace detail
CCOMP_END
