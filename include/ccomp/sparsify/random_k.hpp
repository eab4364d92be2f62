#pragma once

#include <ccomp/core/places.hpp>
#include <ccomp/engine/host/block_codec.hpp>
#include <ccomp/engine/host/scatter.hpp>
#include <ccomp/sparsify/selected_count.hpp>

CCOMP_BEGIN
/// Selects k values at random places that are the same on every rank, so that no indices are sent and payloads can be
/// summed.
///
/// Shapes:      in [n] -> carrier [k] in ascending order of index; k = count if that is not 0, else floor(ratio n); k
///              is at least 1 and at most n, and 0 for n = 0
/// Places:      stratified: the tensor is cut into k stretches of floor(n / k) or ceil(n / k) values, and one place is
///              drawn uniformly from each. So every value is selected with probability 1 / (length of its stretch)
/// Payload:     the carrier's payload; no side bytes
/// Guarantee:   unbiased = true: decoding multiplies by the length of the stretch; the expectation is x (to 2^-32), and
///              the error may exceed x. unbiased = false: contraction 1 / ceil(n / k) in expectation
/// Linear:      yes
/// Determinism: places are a function of (seed, step, tensor id, n, k), the same on every rank and engine; draw i takes
///              words 2 i and 2 i + 1 of the shared stream, phase 4
/// NaN, Inf:    are sent unchanged if their place is drawn; otherwise they have no effect. Products saturate
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

  [[nodiscard]] std::size_t carrier_size(std::size_t n) const { return detail::selected_count(ratio, count, n, name); }
  [[nodiscard]] std::size_t side_bytes(std::size_t) const { return 0; }
  [[nodiscard]] bool is_unbiased() const { return unbiased; }
  /// The expected squared error is at most (1 - contraction) times the squared norm. Negative if scaling makes the
  /// error larger than the norm.
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
    visit(ex, n, at, [&](std::size_t entry, std::size_t m, std::uint32_t const* index, float const* factor) {
      auto const from = static_cast<std::size_t>(detail::stretch_begin(n, k, entry));
      auto const to = static_cast<std::size_t>(detail::stretch_begin(n, k, entry + m));
      std::memset(out.data() + from, 0, (to - from) * sizeof(float));
      for (std::size_t i = 0; i < m; ++i)
        out[index[i]] = detail::canonical(detail::saturating_mul(carrier[entry + i], factor[i]));
    });
  }
  void accumulate(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
                  float sign, pass_options const& at) const {
    expect_carrier(carrier.size(), carrier_size(out.size()));
    visit(ex, out.size(), at, [&](std::size_t entry, std::size_t m, std::uint32_t const* index, float const* factor) {
      for (std::size_t i = 0; i < m; ++i) {
        float& to = out[index[i]];
        to = detail::add_signed(to, sign, detail::saturating_mul(carrier[entry + i], factor[i]));
      }
    });
  }

 private:
  static constexpr std::size_t batch = 512;

  static void expect_carrier(std::size_t have, std::size_t k) {
    detail::expects<payload_error>(
        have == k, [&] { return detail::sentence("random_k: the carrier holds ", have, " values instead of ", k); });
  }
  /// Calls `f(entry, m, indices, factors)` for batches that cover all k entries, concurrently.
  template <class F> void visit(host_exec const& ex, std::size_t n, pass_options const& at, F const& f) const {
    if (n == 0) return;
    std::size_t const k = carrier_size(n);
    instruction_set const isa = detail::resolve_isa(ex);
    random_stream const stream = detail::shared_places(seed, at.at, at.tensor);
    std::size_t const batches = detail::ceil_div(k, batch);
    detail::parallel_ranges(ex, batches, batch * detail::scatter_weight, [&](std::size_t begin, std::size_t end) {
      std::uint32_t words[2 * batch], index[batch];
      float factor[batch];
      for (std::size_t p = begin; p < end; ++p) {
        std::size_t const entry = p * batch, m = std::min(batch, k - entry);
        detail::fill_random_words(isa, stream, entry / 2, words, detail::ceil_div(m, 2));
        for (std::size_t i = 0; i < m; ++i) {
          std::uint64_t const first = detail::stretch_begin(n, k, entry + i);
          std::uint64_t const size = detail::stretch_begin(n, k, entry + i + 1) - first;
          index[i] = static_cast<std::uint32_t>(first + detail::below(words[2 * i], words[2 * i + 1], size));
          factor[i] = unbiased ? static_cast<float>(size) : 1.0f;
        }
        f(entry, m, index, factor);
      }
    });
  }
};

template <> inline constexpr bool detail::standard_stage<random_k> = true;

CCOMP_END

#if CCOMP_DEVICE_CODE
#include <ccomp/sparsify/random_k.cuh>
#endif
