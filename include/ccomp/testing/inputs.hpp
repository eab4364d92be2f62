#pragma once
/// Inputs that compressors get wrong more often than others, of any element type. They are the same on every machine.

#include <ccomp/core/types.hpp>
#include <ccomp/engine/host/isa.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <numbers>
#include <set>
#include <string>
#include <utility>
#include <vector>

CCOMP_BEGIN
namespace testing {

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// The instruction sets that this CPU and build have.
inline std::vector<instruction_set> instruction_sets() {
  std::vector<instruction_set> known;
  for (auto const isa : {instruction_set::baseline, instruction_set::avx2, instruction_set::avx512})
    if (ccomp::detail::cpu_has(isa)) known.push_back(isa);
  return known;
}

/// splitmix64: enough for test inputs, and nothing of the library's own.
class generator {
 public:
  explicit generator(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x1234567u) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// In (0, 1).
  double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
  double gaussian() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform()); }

 private:
  std::uint64_t state_;
};

inline std::vector<float> gaussian_values(std::size_t n, std::uint64_t seed = 1, double deviation = 1) {
  generator g(seed);
  std::vector<float> x(n);
  for (auto& v : x) v = static_cast<float>(deviation * g.gaussian());
  return x;
}
/// Few large, many small, as gradients are: a Gaussian times a log-normal.
inline std::vector<float> heavy_tailed_values(std::size_t n, std::uint64_t seed = 1) {
  generator g(seed);
  std::vector<float> x(n);
  for (auto& v : x) v = static_cast<float>(1e-3 * g.gaussian() * std::exp(1.5 * g.gaussian()));
  return x;
}

template <class T> inline constexpr float largest_value = 0x1.fffffep127f;
template <> inline constexpr float largest_value<float16> = 65504;
template <> inline constexpr float largest_value<bfloat16> = 0x1.fep127f;

template <class T> T from_pattern(std::uint32_t bits) {
  if constexpr (sizeof(T) == 4)
    return std::bit_cast<T>(bits);
  else
    return T::from_bits(static_cast<std::uint16_t>(bits));
}

template <class T> std::vector<T> narrowed(std::vector<float> const& x) {
  std::vector<T> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = T(x[i]);
  return y;
}

/// gaussian_values, made once: the suites ask for the same few thousands of times.
inline std::vector<float> const& same_gaussian_values(std::size_t n, std::uint64_t seed) {
  static std::map<std::pair<std::size_t, std::uint64_t>, std::vector<float>> made;
  static std::mutex mutex;
  std::lock_guard const lock(mutex);
  auto& x = made[{n, seed}];
  if (x.size() != n) x = gaussian_values(n, seed);
  return x;
}

template <class T> struct typed_case {
  std::string name;
  std::vector<T> values;
  float largest = 0;  // magnitude
};

template <class T> typed_case<T> make_case(std::string name, std::vector<T> values) {
  typed_case<T> c{std::move(name), std::move(values), 0};
  for (T const v : c.values) c.largest = std::max(c.largest, std::abs(static_cast<float>(v)));
  return c;
}

template <class T> std::vector<typed_case<T>> const& finite_typed_cases(std::size_t n) {
  static std::map<std::size_t, std::vector<typed_case<T>>> made;
  static std::mutex mutex;
  std::lock_guard const lock(mutex);
  auto& cases = made[n];
  if (!cases.empty()) return cases;
  constexpr float top = largest_value<T>;
  auto fill = [n](float v) { return std::vector<T>(n, T(v)); };
  auto alternating = fill(top), huge = fill(0), spike = fill(0), noisy = narrowed<T>(gaussian_values(n, 14, 1e-3)),
       subnormal = fill(0), zeros = fill(0), any = fill(0);
  generator g(15);
  for (std::size_t i = 0; i < n; ++i) {
    if (i % 2 == 1) alternating[i] = T(-top);
    if (i % 3 == 1) zeros[i] = T(-0.0f);
    huge[i] = T(static_cast<float>((2 * g.uniform() - 1) * static_cast<double>(top)));
    constexpr std::uint32_t sign = sizeof(T) == 4 ? 0x80000000u : 0x8000u;
    subnormal[i] = from_pattern<T>(static_cast<std::uint32_t>(g.next() % 100) | (g.next() % 2 ? sign : 0u));
    do any[i] = from_pattern<T>(static_cast<std::uint32_t>(g.next()));
    while (!std::isfinite(static_cast<float>(any[i])));
  }
  if (n > 0) {
    spike[n / 2] = T(3.0f);
    noisy[n / 3] = T(-1e3f);
  }
  cases.push_back(make_case("Gaussian", narrowed<T>(gaussian_values(n, 11))));
  cases.push_back(make_case("heavy tail", narrowed<T>(heavy_tailed_values(n, 12))));
  cases.push_back(make_case("all equal", fill(-0.7f)));
  cases.push_back(make_case("zeros of both signs", zeros));
  cases.push_back(make_case("subnormal", subnormal));
  cases.push_back(make_case("huge", huge));
  cases.push_back(make_case("largest", fill(top)));
  cases.push_back(make_case("largest and its negative", alternating));
  cases.push_back(make_case("one spike", spike));
  cases.push_back(make_case("spike over noise", noisy));
  cases.push_back(make_case("any finite bits", any));
  return cases;
}

/// Finite values stay finite.
template <class T> T written_as(float x) {
  if constexpr (std::same_as<T, float>)
    return x;
  else
    return T::saturated(x);
}
/// Lengths of tensors: around what kernels and loops take at once, and around a block.
inline std::vector<std::size_t> usual_sizes(std::size_t longest_block) {
  std::set<std::size_t> all{0, 1, 2, 31, 32, 33, 255, 257, 511, 513, 1023, 1025, 4095, 4097, 8193};
  std::size_t const block = std::clamp<std::size_t>(longest_block, 16, 4096);
  for (std::size_t const s : {block - 1, block, block + 1, 3 * block + 5}) all.insert(s);
  return {all.begin(), all.end()};
}

/// Gaussian values, some of which are not finite; `bad` tells which.
template <class T> struct spoilt_case {
  std::string name;
  std::vector<T> values;
  std::vector<std::size_t> bad;
};
template <class T> std::vector<spoilt_case<T>> spoilt_cases(std::size_t n, std::size_t block) {
  if (n == 0) return {};
  auto const clean = narrowed<T>(same_gaussian_values(n, 21));
  auto with = [&](std::string name, std::vector<std::size_t> places, float value) {
    spoilt_case<T> c{std::move(name), clean, std::move(places)};
    for (std::size_t const i : c.bad) c.values[i] = T(value);
    return c;
  };
  std::vector<std::size_t> every(n);
  for (std::size_t i = 0; i < n; ++i) every[i] = i;
  auto const edge = std::min(block, n) - 1;
  return {with("one Inf", {n / 2}, infinity), with("one -Inf", {0}, -infinity), with("one NaN", {n - 1}, not_a_number),
          with("a NaN at the end of a block", {edge}, not_a_number), with("all NaN", every, not_a_number)};
}

}  // namespace testing
CCOMP_END
