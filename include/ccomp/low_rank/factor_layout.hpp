#pragma once
/// How a tensor is seen as a matrix, and where a carrier holds the two factors of it: what all stages share that send a
/// matrix as a product.

#include <ccomp/low_rank/balance.hpp>
#include <ccomp/low_rank/factors.hpp>

#include <cmath>
#include <cstring>
#include <span>
#include <string_view>

CCOMP_BEGIN
namespace detail {

/// Whether all of n values lie below the float of these bits; NaN lies above every float.
inline bool all_below(instruction_set isa, float const* x, std::size_t n, std::uint32_t bits) {
  std::uint32_t worst = 0;
  run_narrow(isa, [&] { worst = scan<max_abs>(x, n).key; });
  return worst < bits;
}
/// Factors from 2^112 on count as not finite: the sum of up to 1024 products with |p| <= 1 stays below 2^122.
inline constexpr std::uint32_t factor_limit_bits = (127u + 112u) << 23;
inline constexpr std::uint32_t most_factor_rank = 1024;

/// Carrier: P [rows][rank], then Q [rank][cols]; or the values themselves, if that is no more and nothing forbids it.
struct factor_layout {
  std::size_t rank, rows;    // rows = 0: a nearly square matrix
  bool keeps_shape = false;  // given rows are never sent as plain values, and must be enough for the rank

  [[nodiscard]] matrix_shape shape_of(std::size_t n) const {
    if (n == 0) return {};
    std::size_t cols = 0;
    if (rows == 0) {
      cols = static_cast<std::size_t>(std::sqrt(static_cast<double>(n)));
      while (cols * cols < n) ++cols;
      cols = round_up(cols, lane_count);
    } else {
      cols = (n - 1) / rows + 1;
    }
    return {n, ceil_div(n, cols), cols};
  }
  [[nodiscard]] std::size_t factors(matrix_shape const& m) const { return rank * (m.rows + m.cols); }
  [[nodiscard]] bool is_dense(std::size_t n) const {
    return n == 0 || (!(keeps_shape && rows > 0) && factors(shape_of(n)) >= n);
  }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const { return is_dense(n) ? n : factors(shape_of(n)); }

  /// Refuses a rank above that of every matrix of this shape.
  void expect_rank(std::string_view stage, std::size_t n) const {
    if (!keeps_shape || rows == 0 || n == 0) return;
    auto const m = shape_of(n);
    expects(rank <= std::min(m.rows, m.cols), [&] {
      return sentence(stage, ": rank is ", rank, ", and ", n, " values with rows=", rows, " are a matrix of ", m.rows,
                      " x ", m.cols, "; take a smaller rank or other rows");
    });
  }
  static void expect_rank_setting(std::string_view stage, std::uint32_t rank) {
    expects(rank >= 1 && rank <= most_factor_rank,
            [&] { return sentence(stage, ": rank must lie in 1..", most_factor_rank, ", got ", rank); });
  }

  [[nodiscard]] low_rank_passes passes_of(host_exec const& ex, std::size_t n) const { return {ex, shape_of(n), rank}; }

  /// Copies a tensor of n values that is sent as it is, into its carrier or out of it. False: it is not.
  bool copy_dense(std::size_t n, float const* from, float* to) const {
    if (!is_dense(n)) return false;
    if (n > 0) std::memcpy(to, from, n * sizeof(float));
    return true;
  }
  /// Ends the encoding of a matrix that is not dense.
  void balance_factors(instruction_set isa, matrix_shape const& m, float* carrier) const {
    factor_part const parts[] = {{carrier, rank * m.rows}, {carrier + rank * m.rows, rank * m.cols}};
    balance(isa, parts);
  }
  void decode(host_exec const& ex, std::span<float const> carrier, std::span<float> out) const {
    if (copy_dense(out.size(), carrier.data(), out.data())) return;
    auto const passes = passes_of(ex, out.size());
    float const *const p = carrier.data(), *const q = p + passes.p_size();
    bool const good = is_usable(passes, p, q);
    for_tiles(passes, [&](std::size_t first, std::size_t n) {
      if (good)
        passes.expand(p, q, first, n, out.data() + first);
      else
        fill_nan(out.data() + first, n);
    });
  }
  /// out += sign * decoded; factors that are not finite make `out` NaN, and take nothing away.
  void accumulate(host_exec const& ex, std::span<float const> carrier, std::span<float> out, float sign) const {
    if (is_dense(out.size())) {
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = canonical(add_signed(out[i], sign, carrier[i]));
      return;
    }
    auto const passes = passes_of(ex, out.size());
    float const *const p = carrier.data(), *const q = p + passes.p_size();
    bool const good = is_usable(passes, p, q);
    if (!good && sign < 0) return;
    for_tiles(passes, [&](std::size_t first, std::size_t n) {
      if (good)
        passes.expand_onto(p, q, first, n, sign, out.data() + first);
      else
        fill_nan(out.data() + first, n);
    });
  }

 private:
  /// No sum of products can overflow: two of them would make a NaN.
  [[nodiscard]] bool is_usable(low_rank_passes const& passes, float const* p, float const* q) const {
    return product_is_finite(largest_key(passes.isa, p, passes.p_size()), largest_key(passes.isa, q, passes.q_size()),
                             rank);
  }
  template <class F> static void for_tiles(low_rank_passes const& passes, F const& f) {
    std::size_t const n = passes.shape.n;
    parallel_ranges(passes.ex, ceil_div(n, tile_values), tile_values, [&](std::size_t begin, std::size_t end) {
      std::size_t const first = begin * tile_values;
      f(first, std::min(n, end * tile_values) - first);
    });
  }
};

}  // namespace detail
CCOMP_END
