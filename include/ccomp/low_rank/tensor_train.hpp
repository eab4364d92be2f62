#pragma once
/// Opt-in: not part of ccomp.hpp.

#include <ccomp/low_rank/extents.hpp>
#include <ccomp/low_rank/factor_layout.hpp>
#include <ccomp/low_rank/leading_vectors.hpp>
#include <ccomp/text/stage_entry.hpp>

CCOMP_BEGIN

/// Sends a tensor of several sides as a chain of small tensors, one per side: the tensor train, by singular value
/// decompositions from the first side to the last.
///
/// The tensor is unfolded with its first side down and the others across, and the leading left singular vectors become the
/// first core. What is left, the coordinates along them, is unfolded with the second side down too, and so on; the last
/// coordinates are the last core. What is decoded is the product of the cores.
///
/// Shapes:      in [n] -> tensor [n_1]...[n_d], the last side innermost; d = 2 to 8, n = n_1 ... n_d
///              Carrier: G_1 [n_1][r_1], G_2 [r_1][n_2][r_2], ..., G_d [r_{d-1}][n_d], each with its last side innermost
/// Payload:     4 (n_1 r_1 + r_1 n_2 r_2 + ... + r_{d-1} n_d) bytes: float for every element type; the carrier may be coded
///              further
/// Ties, signs: of equal singular values any vectors of their space. The entry of largest magnitude of each column of a
///              core, seen as a matrix of [r_{k-1} n_k][r_k], is positive; of equal magnitudes the first
/// Rounding:    in double; cores are rounded to float once. Singular values below about 1e-8 of the largest are not
///              resolved
/// Guarantee:   what is decoded is a projection, so that the error is never larger than the tensor, but for rounding to
///              float. The squared error is at most the sum over the d - 1 decompositions of the squares of the singular
///              values that are dropped there, and so at most d - 1 times that of the best tensor with these ranks. Of
///              decomposition k, at most 1 - r_k / min(r_{k-1} n_k, n_{k+1} ... n_d) of the squared norm is dropped
/// Strategies:  codes the tensor as a whole, because chunks of it have other sides: `automatic` takes gather, and two_shot
///              refuses it
/// Linear:      no
/// Determinism: the same bits for any build, thread count and instruction set
/// NaN, Inf:    make the whole tensor NaN. So does a value of the last core of 2^112 or more
/// Throws:      invalid_argument: shape has other than 2 to 8 sides, ranks not one fewer; a rank is above
///              min(r_{k-1} n_k, n_{k+1} ... n_d); the tensor has other than n_1 ... n_d values
/// Device:      none: it runs on the host only
/// Source:      Oseledets, "Tensor-train decomposition", SIAM Journal on Scientific Computing 33(5), 2011
struct tensor_train {
  static constexpr std::string_view name = "tensor_train";
  static constexpr bool carries_floats = true;  // the last core may lie beyond the range of a 16-bit tensor
  static constexpr bool whole = true;

  extents shape, ranks;

  static constexpr auto fields() {
    return std::tuple{field{"shape", &tensor_train::shape}, field{"ranks", &tensor_train::ranks}};
  }
  void validate() const {
    shape.expect_order(name);
    detail::expects(ranks.size() + 1 == shape.size(), [&] {
      return detail::sentence("tensor_train: shape=", shape.print(), " needs ", shape.size() - 1,
                              " ranks, one between each two sides, got ranks=", ranks.print());
    });
    for (std::size_t k = 0; k < ranks.size(); ++k)
      detail::expects(ranks[k] <= most_rank(k), [&] {
        return detail::sentence("tensor_train: rank ", ranks[k], " behind side ", k + 1, " is above ", most_rank(k),
                                ", the most that shape=", shape.print(), " and the ranks before it allow");
      });
  }

  [[nodiscard]] std::size_t side_bytes(std::size_t n) const {
    shape.expect_values(name, n);
    return 0;
  }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const {
    shape.expect_values(name, n);
    std::size_t values = 0;
    for (std::size_t k = 0; k < shape.size(); ++k) values += core_values(k);
    return values;
  }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    std::size_t most = 0;
    for (std::size_t k = 0; k < ranks.size(); ++k)
      most = std::max(most, detail::leading_vectors::scratch_bytes(rows(k), shape.product(k + 1, shape.size())));
    return 2 * detail::scratch::bytes_for<double>(n) + detail::scratch::bytes_for<double>(largest_core()) + most;
  }
  [[nodiscard]] double contraction(std::size_t) const {
    double kept = 1;
    for (std::size_t k = 0; k < ranks.size(); ++k)
      kept -= 1 - static_cast<double>(ranks[k]) / static_cast<double>(most_rank(k));
    return std::max(0.0, kept);
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte>, std::span<float> carrier,
                     std::span<std::byte> scratch, pass_options const&) const {
    std::size_t const n = in.size();
    shape.expect_values(name, n);
    detail::scratch memory(scratch);
    auto* const values = memory.take<double>(n);
    auto* const unfolded = memory.take<double>(n);
    auto* const u = memory.take<double>(largest_core());
    instruction_set const isa = detail::resolve_isa(ex);
    bool good = detail::all_below(isa, in.data(), n, detail::inf_bits);
    if (good) {
      for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<double>(in[i]);
      float* to = carrier.data();
      for (std::size_t k = 0; k < ranks.size(); ++k) {
        std::size_t const cols = shape.product(k + 1, shape.size()), rank = ranks[k];
        detail::leading_vectors const left{ex, isa, {unfolded, rows(k), cols}};
        for (std::size_t i = 0; i < rows(k); ++i)
          for (std::size_t j = 0; j < cols; ++j) left.matrix.at(i, j) = values[i * cols + j];
        left.find(rank, u, memory);
        left.coordinates(u, rank, values);
        detail::fix_signs(rank, u, rows(k), values, cols);
        for (std::size_t i = 0; i < rows(k); ++i)
          for (std::size_t c = 0; c < rank; ++c) *to++ = static_cast<float>(u[c * rows(k) + i]);
      }
      std::size_t const last = core_values(ranks.size());
      for (std::size_t i = 0; i < last; ++i) to[i] = detail::narrowed(values[i]);
      good = detail::all_below(isa, to, last, detail::factor_limit_bits);
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
    auto *product = memory.take<double>(n), *next = memory.take<double>(n);
    auto* const core = memory.take<double>(largest_core());
    product[0] = 1;
    float const* from = carrier.data();
    for (std::size_t k = 0; k < shape.size(); ++k) {
      std::size_t const before = k == 0 ? 1 : ranks[k - 1], cols = core_values(k) / before;
      for (std::size_t i = 0; i < core_values(k); ++i) core[i] = static_cast<double>(*from++);
      detail::run_narrow(isa, [&] {
        for (std::size_t o = 0; o < shape.product(0, k); ++o) {
          std::fill(next + o * cols, next + (o + 1) * cols, 0.0);
          for (std::size_t r = 0; r < before; ++r)
            detail::add_multiple(next + o * cols, product[o * before + r], core + r * cols, cols);
        }
      });
      std::swap(product, next);
    }
    for (std::size_t i = 0; i < n; ++i) out[i] = detail::narrowed(product[i]);
  }

 private:
  /// Of the matrix whose singular vectors become core k.
  [[nodiscard]] std::size_t rows(std::size_t k) const { return (k == 0 ? 1 : ranks[k - 1]) * shape[k]; }
  [[nodiscard]] std::size_t core_values(std::size_t k) const { return rows(k) * (k < ranks.size() ? ranks[k] : 1); }
  [[nodiscard]] std::size_t most_rank(std::size_t k) const {
    return std::min(rows(k), shape.product(k + 1, shape.size()));
  }
  [[nodiscard]] std::size_t largest_core() const {
    std::size_t most = 0;
    for (std::size_t k = 0; k < shape.size(); ++k) most = std::max(most, core_values(k));
    return most;
  }
};

namespace detail {
inline bool const tensor_train_joins = join_text([] { return entry_of<tensor_train>(); });
}

CCOMP_END
