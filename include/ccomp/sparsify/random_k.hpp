#pragma once

#include <ccomp/concepts.hpp>
#include <ccomp/engine/host/block_passes.hpp>
#include <ccomp/engine/host/scatter.hpp>
#include <ccomp/sparsify/kept.hpp>
#include <ccomp/sparsify/selection.hpp>

CCOMP_BEGIN
namespace detail {

/// The stream that all ranks draw places from.
constexpr random_stream shared_places(std::uint64_t seed, pass_options const& at) {
  return {{seed, at.at}, at.tensor, shared_rank, static_cast<std::uint8_t>(2 * use_indices)};
}
/// A number below `size` (at most 2^32) from 64 random bits; each equally likely to 2^-32 of its probability.
CCOMP_HD constexpr std::uint64_t below(std::uint32_t high, std::uint32_t low, std::uint64_t size) {
  return (high * size + ((low * size) >> 32)) >> 32;
}

/// `total` cut into `parts` equal stretches, sizes differing by one at most: where stretch i begins.
CCOMP_HD constexpr std::uint64_t stretch_begin(std::uint64_t total, std::uint64_t parts, std::uint64_t i) {
  return total / parts * i + total % parts * i / parts;
}

}  // namespace detail

/// Keeps k values at random places that all ranks draw alike, so that no indices travel and payloads can be summed.
///
/// Shapes:      in [n] -> carrier [k] in ascending order of index; k = count if that is not 0, else floor(ratio n); at
///              least 1, at most n; 0 for n = 0
/// Places:      stratified: the tensor is cut into k stretches of floor(n / k) or ceil(n / k) values, one place is
///              drawn uniformly from each, so that every value is kept with probability 1 / (length of its stretch)
/// Payload:     the carrier's payload; no side bytes
/// Guarantee:   unbiased = true: decoding multiplies by the stretch's length; the expectation is x (to 2^-32), and the
///              error is not bounded by x. unbiased = false: contraction 1 / ceil(n / k) in expectation
/// Linear:      yes
/// Determinism: places are a function of (seed, step, tensor id, n, k), the same on every rank and engine; draw i takes
///              words 2 i and 2 i + 1 of the shared stream, phase 4
/// NaN, Inf:    stay where they are if drawn; where they are not, nobody sees them. Products saturate
/// Throws:      invalid_argument: ratio outside (0, 1], n >= 2^32
/// Source:      Stich, Cordonnier, Jaggi, "Sparsified SGD with memory", NeurIPS 2018 (random-k)
struct random_k {
  static constexpr std::string_view name = "random_k";
  static constexpr bool is_linear = true;
  static constexpr bool stochastic = true;

  double ratio = 0.01;
  std::uint64_t count = 0;
  std::uint64_t seed = 0;
  bool unbiased = false;

  static constexpr auto fields() {
    return std::tuple{field{"ratio", &random_k::ratio}, field{"count", &random_k::count},
                      field{"seed", &random_k::seed}, field{"unbiased", &random_k::unbiased}};
  }
  void validate() const { detail::expect_ratio(ratio, name, "ratio"); }

  [[nodiscard]] std::size_t carrier_size(std::size_t n) const { return detail::kept_values(ratio, count, n, name); }
  [[nodiscard]] std::size_t side_bytes(std::size_t) const { return 0; }
  [[nodiscard]] selection selects(std::size_t n) const {
    return {.kind = selection_kind::drawn, .n = n, .kept = carrier_size(n), .seed = seed, .unbiased = unbiased};
  }
  [[nodiscard]] bool is_unbiased() const { return unbiased; }
  /// The expected squared error is at most 1 - contraction times the squared norm: below 0 where scaling makes it grow.
  [[nodiscard]] double contraction(std::size_t n) const {
    if (n == 0) return 1;
    auto const longest = static_cast<double>(detail::ceil_div(n, carrier_size(n)));
    return unbiased ? 2 - longest : 1 / longest;
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte>, std::span<float> carrier,
                     std::span<std::byte>, pass_options const& at) const {
    std::size_t const k = carrier_size(in.size());
    visit(ex, in.size(), at, [&](std::size_t entry, std::size_t m, std::uint32_t const* index, float const*) {
      for (std::size_t i = 0; i < m; ++i) carrier[entry + i] = in[index[i]];
    });
    return k;
  }
  void decode(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const& at) const {
    std::size_t const n = out.size(), k = carrier_size(n);
    expect_carrier(carrier.size(), k);
    visit(ex, n, at, [&](std::size_t entry, std::size_t m, std::uint32_t const* index, float const* scale) {
      auto const from = static_cast<std::size_t>(detail::stretch_begin(n, k, entry));
      auto const to = static_cast<std::size_t>(detail::stretch_begin(n, k, entry + m));
      std::memset(out.data() + from, 0, (to - from) * sizeof(float));
      for (std::size_t i = 0; i < m; ++i)
        out[index[i]] = detail::canonical(detail::saturating_mul(carrier[entry + i], scale[i]));
    });
  }
  void accumulate(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
                  float sign, pass_options const& at) const {
    expect_carrier(carrier.size(), carrier_size(out.size()));
    visit(ex, out.size(), at, [&](std::size_t entry, std::size_t m, std::uint32_t const* index, float const* scale) {
      for (std::size_t i = 0; i < m; ++i) {
        float& to = out[index[i]];
        to = detail::add_signed(to, sign, detail::saturating_mul(carrier[entry + i], scale[i]));
      }
    });
  }

 private:
  static constexpr std::size_t piece = 512;

  static void expect_carrier(std::size_t have, std::size_t k) {
    detail::expects<payload_error>(have == k, [&] {
      return "random_k: the carrier holds " + std::to_string(have) + " values instead of " + std::to_string(k);
    });
  }
  /// Calls `f(entry, m, indices, scales)` for pieces that cover all k entries, concurrently.
  template <class F> void visit(host_exec const& ex, std::size_t n, pass_options const& at, F const& f) const {
    if (n == 0) return;
    std::size_t const k = carrier_size(n);
    instruction_set const isa = detail::resolve_isa(ex);
    random_stream const stream = detail::shared_places(seed, at);
    std::size_t const pieces = detail::ceil_div(k, piece);
    detail::parallel_ranges(ex, pieces, piece * detail::scatter_weight, [&](std::size_t begin, std::size_t end) {
      std::uint32_t words[2 * piece], index[piece];
      float scale[piece];
      for (std::size_t p = begin; p < end; ++p) {
        std::size_t const entry = p * piece, m = std::min(piece, k - entry);
        detail::fill_random_words(isa, stream, entry / 2, words, detail::ceil_div(m, 2));
        for (std::size_t i = 0; i < m; ++i) {
          std::uint64_t const first = detail::stretch_begin(n, k, entry + i);
          std::uint64_t const size = detail::stretch_begin(n, k, entry + i + 1) - first;
          index[i] = static_cast<std::uint32_t>(first + detail::below(words[2 * i], words[2 * i + 1], size));
          scale[i] = unbiased ? static_cast<float>(size) : 1.0f;
        }
        f(entry, m, index, scale);
      }
    });
  }
};

CCOMP_END
