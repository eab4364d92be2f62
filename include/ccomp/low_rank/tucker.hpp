#pragma once
/// Opt-in: not part of ccomp.hpp.

#include <ccomp/low_rank/balance.hpp>
#include <ccomp/low_rank/extents.hpp>
#include <ccomp/low_rank/factor_layout.hpp>
#include <ccomp/low_rank/leading_vectors.hpp>
#include <ccomp/text/stage_entry.hpp>

#include <vector>

CCOMP_BEGIN

/// Sends a tensor of several sides as a small core and one factor per side: Tucker's decomposition, by the higher-order
/// singular value decomposition.
///
/// U_i are the leading left singular vectors of the tensor unfolded along side i (that side down, all others across); the
/// core is the tensor multiplied by U_i^T along each side, and what is decoded is the core multiplied by U_i.
///
/// Shapes:      in [n] -> tensor [n_1]...[n_d], the last side innermost; d = 2 to 8, n = n_1 ... n_d
///              Carrier: core [r_1]...[r_d], then U_1 [n_1][r_1] to U_d [n_d][r_d], each with its last side innermost.
///              Core and factors are multiplied by powers of two whose product is 1, so that their largest values are
///              alike
/// Payload:     pad16(4 (r_1 ... r_d + n_1 r_1 + ... + n_d r_d)) bytes: float for every element type; the carrier may be
///              coded further
/// Ties, signs: of equal singular values any vectors of their space. The entry of largest magnitude of each column of U_i
///              is positive; of equal magnitudes the first
/// Rounding:    in double; core and factors are rounded to float once. Singular values below about 1e-8 of the largest
///              are not resolved
/// Guarantee:   what is decoded is a projection, so that the error is never larger than the tensor, but for rounding to
///              float. The squared error is at most the sum over the sides of the squares of the singular values that are
///              dropped there, and so at most d times that of the best tensor with these ranks. Of side i, at most
///              1 - r_i / min(n_i, n / n_i) of the squared norm is dropped
/// Strategies:  codes the tensor as a whole, because chunks of it have other sides: `automatic` takes gather, and two_shot
///              refuses it
/// Linear:      no
/// Determinism: the same bits for any build, thread count and instruction set
/// NaN, Inf:    make the whole tensor NaN. So does a value of the core of 2^112 or more
/// Throws:      invalid_argument: shape has other than 2 to 8 sides, ranks another number of them; a rank is above
///              min(n_i, n / n_i); the tensor has other than n_1 ... n_d values
/// Device:      none: it runs on the host only
/// Source:      De Lathauwer, De Moor, Vandewalle, "A multilinear singular value decomposition", SIAM Journal on Matrix
///              Analysis and Applications 21(4), 2000
struct tucker {
  static constexpr std::string_view name = "tucker";
  static constexpr bool carries_floats = true;  // the core may lie beyond the range of a 16-bit tensor
  static constexpr bool whole = true;

  extents shape{}, ranks{};

  static constexpr auto fields() { return std::tuple{field{"shape", &tucker::shape}, field{"ranks", &tucker::ranks}}; }
  void validate() const {
    shape.expect_order(name);
    detail::expects(ranks.size() == shape.size(), [&] {
      return detail::sentence("tucker: shape=", shape.print(), " needs as many ranks, got ranks=", ranks.print());
    });
    for (std::size_t i = 0; i < shape.size(); ++i)
      detail::expects(ranks[i] <= most_rank(i), [&] {
        return detail::sentence("tucker: rank ", ranks[i], " of side ", i + 1, " is above ", most_rank(i),
                                ", the most that shape=", shape.print(), " allows");
      });
  }

  [[nodiscard]] std::size_t side_bytes(std::size_t n) const {
    shape.expect_values(name, n);
    return 0;
  }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const {
    shape.expect_values(name, n);
    return ranks.product() + factor_values();
  }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    std::size_t most = 0;
    for (std::size_t i = 0; i < shape.size(); ++i)
      most = std::max(most, detail::leading_vectors::scratch_bytes(shape[i], n / shape[i]));
    return 3 * detail::scratch::bytes_for<double>(n) + detail::scratch::bytes_for<double>(factor_values()) + most;
  }
  [[nodiscard]] double contraction(std::size_t) const {
    double kept = 1;
    for (std::size_t i = 0; i < shape.size(); ++i)
      kept -= 1 - static_cast<double>(ranks[i]) / static_cast<double>(most_rank(i));
    return std::max(0.0, kept);
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte>, std::span<float> carrier,
                     std::span<std::byte> scratch, pass_options const&) const {
    std::size_t const n = in.size();
    shape.expect_values(name, n);
    detail::scratch memory(scratch);
    buffers b(*this, n, memory);
    instruction_set const isa = detail::resolve_isa(ex);
    bool good = detail::all_below(isa, in.data(), n, detail::inf_bits);
    if (good) {
      for (std::size_t i = 0; i < n; ++i) b.values[i] = static_cast<double>(in[i]);
      double* u = b.factors;
      float* to = carrier.data() + ranks.product();
      for (std::size_t i = 0; i < shape.size(); ++i) {
        unfold(i, b.values, {b.unfolded, shape[i], n / shape[i]});
        detail::leading_vectors{ex, isa, {b.unfolded, shape[i], n / shape[i]}}.find(ranks[i], u, memory);
        detail::fix_signs(ranks[i], u, shape[i], nullptr, 0);
        for (std::size_t j = 0; j < shape[i]; ++j)
          for (std::size_t k = 0; k < ranks[i]; ++k) *to++ = static_cast<float>(u[k * shape[i] + j]);
        u += ranks[i] * shape[i];
      }
      u = b.factors;
      for (std::size_t i = 0; i < shape.size(); ++i) {
        detail::run_narrow(isa, [&] {
          multiply(b.values, b.spare, ranks.product(0, i), shape[i], ranks[i], shape.product(i + 1, shape.size()),
                   [&](std::size_t k, std::size_t j) { return u[k * shape[i] + j]; });
        });
        std::swap(b.values, b.spare);
        u += ranks[i] * shape[i];
      }
      for (std::size_t i = 0; i < ranks.product(); ++i) carrier[i] = detail::narrowed(b.values[i]);
      good = detail::all_below(isa, carrier.data(), ranks.product(), detail::factor_limit_bits);
      if (good) balance(isa, carrier);
    }
    if (!good) std::fill(carrier.begin(), carrier.end(), detail::canonical_nan());
    return carrier.size();
  }
  void decode(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte> scratch, pass_options const&) const {
    std::size_t const n = out.size();
    shape.expect_values(name, n);
    instruction_set const isa = detail::resolve_isa(ex);
    if (!detail::all_below(isa, carrier.data(), carrier.size(), detail::inf_bits))
      return detail::fill_nan(out.data(), n);
    detail::scratch memory(scratch);
    buffers b(*this, n, memory);
    for (std::size_t i = 0; i < ranks.product(); ++i) b.values[i] = static_cast<double>(carrier[i]);
    float const* u = carrier.data() + ranks.product();
    for (std::size_t i = 0; i < shape.size(); ++i) {
      detail::run_narrow(isa, [&] {
        multiply(b.values, b.spare, shape.product(0, i), ranks[i], shape[i], ranks.product(i + 1, shape.size()),
                 [&](std::size_t j, std::size_t k) { return static_cast<double>(u[j * ranks[i] + k]); });
      });
      std::swap(b.values, b.spare);
      u += ranks[i] * shape[i];
    }
    for (std::size_t i = 0; i < n; ++i) out[i] = detail::narrowed(b.values[i]);
  }

 private:
  struct buffers {
    double *values, *spare, *unfolded, *factors;
    buffers(tucker const& s, std::size_t n, detail::scratch& memory)
        : values(memory.take<double>(n)),
          spare(memory.take<double>(n)),
          unfolded(memory.take<double>(n)),
          factors(memory.take<double>(s.factor_values())) {}
  };

  void balance(instruction_set isa, std::span<float> carrier) const {
    std::vector<detail::factor_part> parts{{carrier.data(), ranks.product()}};
    for (std::size_t i = 0; i < shape.size(); ++i)
      parts.push_back({parts.back().data + parts.back().size, shape[i] * ranks[i]});
    detail::balance(isa, parts);
  }
  [[nodiscard]] std::size_t factor_values() const {
    std::size_t values = 0;
    for (std::size_t i = 0; i < shape.size(); ++i) values += shape[i] * ranks[i];
    return values;
  }
  [[nodiscard]] std::size_t most_rank(std::size_t i) const { return std::min(shape[i], shape.product() / shape[i]); }
  void unfold(std::size_t side, double const* x, detail::slim_matrix const& to) const {
    std::size_t const inner = shape.product(side + 1, shape.size());
    for (std::size_t o = 0; o < shape.product(0, side); ++o)
      for (std::size_t j = 0; j < shape[side]; ++j)
        for (std::size_t c = 0; c < inner; ++c) to.at(j, o * inner + c) = *x++;
  }
  /// y [outer][to][inner] = the sum over j of matrix(k, j) x [outer][from][inner].
  template <class Matrix>
  [[gnu::always_inline]] static void multiply(double const* x, double* y, std::size_t outer, std::size_t from,
                                              std::size_t to, std::size_t inner, Matrix const& matrix) {
    for (std::size_t o = 0; o < outer; ++o)
      for (std::size_t k = 0; k < to; ++k) {
        double* const line = y + (o * to + k) * inner;
        std::fill(line, line + inner, 0.0);
        for (std::size_t j = 0; j < from; ++j)
          detail::add_multiple(line, matrix(k, j), x + (o * from + j) * inner, inner);
      }
  }
};

namespace detail {
inline bool const tucker_joins = join_text([] { return entry_of<tucker>(); });
}

CCOMP_END
