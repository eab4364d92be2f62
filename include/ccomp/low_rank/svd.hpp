#pragma once
/// Opt-in: not part of ccomp.hpp.

#include <ccomp/low_rank/double_factors.hpp>
#include <ccomp/text/stage_entry.hpp>

CCOMP_BEGIN

/// Treats the tensor as a matrix and sends the best matrix of the given rank, as two thin factors: the truncated singular
/// value decomposition.
///
/// Shapes:      in [n] -> matrix M [rows][cols], row by row; the missing values of the last row are zeros.
///              rows = 0: cols = ceil(sqrt n) rounded up to 16; else cols = ceil(n / rows). The matrix then has
///              ceil(n / cols) rows, which may be fewer than asked for: n = 31, rows = 20 is 16 x 2
///              Carrier: P [rows][rank], the left singular vectors; then Q [rank][cols] = P^T M; multiplied by opposite
///              powers of two that make their largest values alike. With rows = 0, if rank (rows + cols) >= n: the
///              values themselves
/// Payload:     pad16(4 rank (rows + cols)) bytes, or pad16(4 n): float for every element type; the carrier may be coded
///              further
/// Ties, signs: of equal singular values any vectors of their space. The entry of largest magnitude of each column of P
///              is positive; of equal magnitudes the first
/// Rounding:    in double, from the eigenvectors of the smaller one of M M^T and M^T M; P and Q are rounded to float once.
///              Singular values below about 1e-8 of the largest are not resolved, which float32 would not hold either
/// Guarantee:   no matrix of this rank has a smaller squared error: it is the sum of the squares of the dropped singular
///              values (Eckart and Young), but for rounding to float. It is at most 1 - rank / min(rows, cols) of the
///              squared norm, because the squares that are kept are the largest `rank` of min(rows, cols)
/// Strategies:  codes the tensor as a whole, because chunks of it are other matrices: `automatic` takes gather, and
///              two_shot refuses it
/// Linear:      no
/// Determinism: on the host the same bits for any build, thread count and instruction set
/// NaN, Inf:    make the whole tensor NaN. So does a factor of 2^112 or more, because the product could overflow. In
///              tensors sent as they are, only the value itself is lost
/// Throws:      invalid_argument: rank is 0, above 1024, or with given rows above min(rows, cols)
/// Device:      close to the host's numbers, by cuSOLVER and cuBLAS in float. Each engine decodes the payload of the other
///              to the same values. A stream that records a graph is refused
/// Source:      Eckart, Young, "The approximation of one matrix by another of lower rank", Psychometrika 1, 1936
struct svd {
  static constexpr std::string_view name = "svd";
  static constexpr bool carries_floats = true;  // factors may lie beyond the range of a 16-bit tensor
  static constexpr bool whole = true;

  std::uint32_t rank = 4;
  std::uint64_t rows = 0;

  static constexpr auto fields() { return std::tuple{field{"rank", &svd::rank}, field{"rows", &svd::rows}}; }
  void validate() const { detail::factor_layout::expect_rank_setting(name, rank); }

  [[nodiscard]] std::size_t side_bytes(std::size_t n) const {
    layout().expect_rank(name, n);
    return 0;
  }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const {
    layout().expect_rank(name, n);
    return layout().carrier_size(n);
  }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    if (layout().is_dense(n)) return 0;
    auto const m = layout().shape_of(n);
    return detail::scratch::bytes_for<double>(m.rows * m.cols) + detail::double_factors::scratch_bytes(rank, m) +
           detail::leading_vectors::scratch_bytes(m.rows, m.cols);
  }
  [[nodiscard]] double contraction(std::size_t n) const {
    if (layout().is_dense(n)) return 1;
    auto const m = layout().shape_of(n);
    return std::min(1.0, static_cast<double>(rank) / static_cast<double>(std::min(m.rows, m.cols)));
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte>, std::span<float> carrier,
                     std::span<std::byte> scratch, pass_options const&) const {
    std::size_t const n = in.size();
    layout().expect_rank(name, n);
    if (layout().copy_dense(n, in.data(), carrier.data())) return n;
    auto const shape = layout().shape_of(n);
    detail::scratch memory(scratch);
    auto* const values = memory.take<double>(shape.rows * shape.cols);
    detail::double_factors const found(rank, shape, memory);
    instruction_set const isa = detail::resolve_isa(ex);
    bool good = detail::all_below(isa, in.data(), n, detail::inf_bits);
    if (good) {
      detail::leading_vectors const left{ex, isa, {values, shape.rows, shape.cols}};
      left.matrix.fill(in.data(), n);
      left.find(rank, found.u, memory);
      left.coordinates(found.u, rank, found.b);
      good = found.largest_b() < detail::factor_limit;
      if (good) {
        found.write(carrier.data());
        layout().balance_factors(isa, shape, carrier.data());
      }
    }
    if (!good) std::fill(carrier.begin(), carrier.end(), detail::canonical_nan());
    return carrier.size();
  }
  // No `accumulate`: it would round after each few vectors, and what is sent and what is kept must add up to the last bit.
  void decode(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    layout().decode(ex, carrier, out);
  }

  [[nodiscard]] detail::factor_layout layout() const { return {rank, rows, /*keeps_shape=*/true}; }
};

namespace detail {
inline bool const svd_joins = join_text([] { return entry_of<svd>(); });
}

CCOMP_END
