#pragma once

#include <ccomp/sparsify/random_k.hpp>

CCOMP_BEGIN

/// Selects blocks of neighbouring values at random places that are the same on every rank. Reads and writes are
/// contiguous.
///
/// Shapes:      in [n] -> carrier [k], k as for random_k. The tensor is cut into B = min(blocks, k) stretches of
///              floor(n / B) or ceil(n / B) values, and k likewise into B lengths
/// Places:      each stretch keeps as many neighbouring values as its length b, from a place drawn uniformly in it,
///              continuing at the start of the stretch after its end. So every value of a stretch of m values is
///              selected with probability b / m. The carrier holds the blocks in order, each from its place on
/// Payload:     the carrier's payload; no side bytes
/// Guarantee:   unbiased = true: decoding multiplies by m / b, rounded to float; the expectation is x (to 2^-23), and
///              the error may exceed x. unbiased = false: contraction b / m (the smallest) in expectation
/// Linear:      yes
/// Determinism: places are a function of (seed, step, tensor id, n, k, blocks), the same on every rank and engine;
///              draw i takes words 2 i and 2 i + 1 of the shared stream, phase 4
/// NaN, Inf:    are sent unchanged if their place is drawn; otherwise they have no effect. Products saturate
/// Throws:      invalid_argument: ratio outside (0, 1], blocks = 0, n >= 2^32
/// Source:      Xie et al., "CSER: communication-efficient SGD with error reset", NeurIPS 2020 (shared random blocks)
struct random_block {
  static constexpr std::string_view name = "random_block";
  static constexpr bool is_linear = true;
  static constexpr bool stochastic = true;

  double ratio = 0.01;
  std::uint64_t count = 0;
  std::uint32_t blocks = 1;
  std::uint64_t seed = 0;
  bool unbiased = false;

  static constexpr auto fields() {
    return std::tuple{field{"ratio", &random_block::ratio}, field{"count", &random_block::count},
                      field{"blocks", &random_block::blocks}, field{"seed", &random_block::seed},
                      field{"unbiased", &random_block::unbiased}};
  }
  void validate() const {
    detail::expect_ratio(ratio, name, "ratio");
    detail::expects(blocks > 0, "random_block: blocks must be at least 1");
  }

  [[nodiscard]] std::size_t carrier_size(std::size_t n) const { return detail::selected_count(ratio, count, n, name); }
  [[nodiscard]] std::size_t side_bytes(std::size_t) const { return 0; }
  [[nodiscard]] std::size_t block_count(std::size_t n) const { return std::min<std::size_t>(blocks, carrier_size(n)); }
  [[nodiscard]] bool is_unbiased() const { return unbiased; }
  /// The expected squared error is at most (1 - contraction) times the squared norm. Negative if scaling makes the
  /// error larger than the norm.
  [[nodiscard]] double contraction(std::size_t n) const {
    if (n == 0) return 1;
    std::size_t const b = block_count(n);
    std::size_t const drawn = carrier_size(n) / b;  // of each stretch, at least
    double const least = static_cast<double>(drawn) / static_cast<double>(detail::ceil_div(n, b));
    return unbiased ? 2 - 1 / least : least;
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte>, std::span<float> carrier,
                     std::span<std::byte>, pass_options const& at) const {
    visit(ex, in.size(), at, [&](std::size_t entry, std::size_t first, std::size_t m, float) {
      std::memcpy(carrier.data() + entry, in.data() + first, m * sizeof(float));
    });
    return carrier_size(in.size());
  }
  void decode(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const& at) const {
    expect_carrier(carrier.size(), out.size());
    detail::parallel_ranges(ex, out.size(), 1, [&](std::size_t begin, std::size_t end) {
      std::memset(out.data() + begin, 0, (end - begin) * sizeof(float));
    });
    instruction_set const isa = detail::resolve_isa(ex);
    visit(ex, out.size(), at, [&](std::size_t entry, std::size_t first, std::size_t m, float factor) {
      float const* const from = carrier.data() + entry;
      float* const to = out.data() + first;
      detail::run_narrow(isa, [=] {
        for (std::size_t i = 0; i < m; ++i) to[i] = detail::canonical(detail::saturating_mul(from[i], factor));
      });
    });
  }
  void accumulate(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
                  float sign, pass_options const& at) const {
    expect_carrier(carrier.size(), out.size());
    instruction_set const isa = detail::resolve_isa(ex);
    visit(ex, out.size(), at, [&](std::size_t entry, std::size_t first, std::size_t m, float factor) {
      float const* const from = carrier.data() + entry;
      float* const to = out.data() + first;
      detail::run_narrow(isa, [=] {
        for (std::size_t i = 0; i < m; ++i)
          to[i] = detail::add_signed(to[i], sign, detail::saturating_mul(from[i], factor));
      });
    });
  }

 private:
  void expect_carrier(std::size_t have, std::size_t n) const {
    detail::expects<payload_error>(have == carrier_size(n), [&] {
      return detail::sentence("random_block: the carrier holds ", have, " values instead of ", carrier_size(n));
    });
  }
  /// Calls `f(entry, first, m, factor)` for runs of neighbours that cover all k entries, concurrently.
  template <class F> void visit(host_exec const& ex, std::size_t n, pass_options const& at, F const& f) const {
    if (n == 0) return;
    std::size_t const k = carrier_size(n), b = block_count(n);
    random_stream const stream = detail::shared_places(seed, at.at, at.tensor);
    detail::parallel_ranges(ex, b, detail::ceil_div(k, b), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        auto const entry = static_cast<std::size_t>(detail::stretch_begin(k, b, i));
        std::size_t const length = static_cast<std::size_t>(detail::stretch_begin(k, b, i + 1)) - entry;
        auto const start = static_cast<std::size_t>(detail::stretch_begin(n, b, i));
        std::size_t const size = static_cast<std::size_t>(detail::stretch_begin(n, b, i + 1)) - start;
        auto const place = static_cast<std::size_t>(detail::drawn_below(stream, i, size));
        float const factor = unbiased ? detail::div(static_cast<float>(size), static_cast<float>(length)) : 1.0f;
        std::size_t const before_end = std::min(length, size - place);
        f(entry, start + place, before_end, factor);
        if (before_end < length) f(entry + before_end, start, length - before_end, factor);
      }
    });
  }
};

template <> inline constexpr bool detail::standard_stage<random_block> = true;

CCOMP_END

#if CCOMP_DEVICE_CODE
#include <ccomp/sparsify/random_block.cuh>
#endif
