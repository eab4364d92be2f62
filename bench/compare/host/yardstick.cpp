#include "yardstick.hpp"

#include "team.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

namespace compare {
namespace {

// Sixteen lanes, whatever the machine's registers hold: the compiler splits them. The maximum is taken of the integer
// bits, as the library's own is.
typedef std::int32_t lanes __attribute__((vector_size(64)));
constexpr std::size_t lane_count = 16;

[[gnu::always_inline]] inline float largest_magnitude(float const* values, std::size_t n) {
  lanes best[4] = {};
  std::size_t i = 0;
  for (; i + 4 * lane_count <= n; i += 4 * lane_count) {
    for (std::size_t k = 0; k < 4; ++k) {
      lanes x;
      std::memcpy(&x, values + i + k * lane_count, sizeof x);
      x &= 0x7fffffff;
      best[k] = x > best[k] ? x : best[k];
    }
  }
  std::int32_t largest = 0;
  for (auto const& part : best) {
    for (std::size_t lane = 0; lane < lane_count; ++lane) largest = std::max(largest, part[lane]);
  }
  for (; i < n; ++i) largest = std::max(largest, std::bit_cast<std::int32_t>(values[i]) & 0x7fffffff);
  return std::bit_cast<float>(largest);
}

float largest_plain(float const* values, std::size_t n) { return largest_magnitude(values, n); }

#if defined(__x86_64__)
[[gnu::target("avx2")]] float largest_avx2(float const* values, std::size_t n) { return largest_magnitude(values, n); }
[[gnu::target("avx512f")]] float largest_avx512(float const* values, std::size_t n) {
  return largest_magnitude(values, n);
}
#endif

using largest_function = float (*)(float const*, std::size_t);

largest_function widest() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return largest_avx512;
  if (__builtin_cpu_supports("avx2")) return largest_avx2;
#endif
  return largest_plain;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}

double yardstick::read_seconds(std::span<float const> values) {
  auto const largest = widest();
  std::vector<float> found(static_cast<std::size_t>(threads_));
  auto const start = std::chrono::steady_clock::now();
  run_team(threads_, values.size(), [&](std::size_t member, std::size_t first, std::size_t count) {
    found[member] = largest(values.data() + first, count);
  });
  auto const seconds = seconds_since(start);
  sink_ = *std::max_element(found.begin(), found.end());
  return seconds;
}

double yardstick::copy_seconds(std::span<float const> from, std::span<float> to) {
  auto const start = std::chrono::steady_clock::now();
  run_team(threads_, from.size(), [&](std::size_t, std::size_t first, std::size_t count) {
    std::memcpy(to.data() + first, from.data() + first, count * sizeof(float));
  });
  auto const seconds = seconds_since(start);
  sink_ = to.back();
  return seconds;
}

}
