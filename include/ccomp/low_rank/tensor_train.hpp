#pragma once
/// Opt-in: not part of ccomp.hpp.

#include <ccomp/low_rank/balance.hpp>
#include <ccomp/low_rank/extents.hpp>
#include <ccomp/low_rank/factor_layout.hpp>
#include <ccomp/low_rank/leading_vectors.hpp>
#include <ccomp/text/stage_entry.hpp>

#include <vector>

CCOMP_BEGIN

/// Sends a tensor of several sides as a chain of small tensors, one per side: the tensor train, by singular value
/// decompositions from the first side to the last.
///
/// The tensor is unfolded with its first side down and the others across, and the leading left singular vectors become the
/// first core. What is left, the coordinates along them, is unfolded with the second side down too, and so on; the last
/// coordinates are the last core. What is decoded is the product of the cores.
///
/// Shapes:      in [n] -> tensor [n_1]...[n_d], the last side innermost; d = 2 to 8, n = n_1 ... n_d
///              Carrier: G_1 [n_1][r_1], G_2 [r_1][n_2][r_2], ..., G_d [r_{d-1}][n_d], each with its last side innermost.
///              Cores are multiplied by powers of two whose product is 1, so that their largest values are alike.
///              Side bytes: none; with a tolerance, r_1 to r_{d-1} as u32
/// Ranks:       `ranks`, one fewer than sides; or, with a tolerance, at each step the smallest whose dropped singular values
///              have squares of at most tolerance^2 / (d - 1) times those of the whole tensor
/// Payload:     pad16(4 (n_1 r_1 + r_1 n_2 r_2 + ... + r_{d-1} n_d)) bytes: float for every element type; the carrier may
///              be coded further. With a tolerance pad16(4 (d - 1)) bytes of ranks before that, and up to the payload of
///              the largest ranks that the shape allows, for which collectives reserve room; a tensor without structure
///              then takes more than 4 n bytes
/// Ties, signs: of equal singular values any vectors of their space. The entry of largest magnitude of each column of a
///              core, seen as a matrix of [r_{k-1} n_k][r_k], is positive; of equal magnitudes the first
/// Rounding:    in double; cores are rounded to float once. Singular values below about 1e-8 of the largest are not
///              resolved
/// Guarantee:   what is decoded is a projection, so that the error is never larger than the tensor, but for rounding to
///              float. The squared error is at most the sum over the d - 1 decompositions of the squares of the singular
///              values that are dropped there, and so at most d - 1 times that of the best tensor with these ranks. Of
///              decomposition k, at most 1 - r_k / min(r_{k-1} n_k, n_{k+1} ... n_d) of the squared norm is dropped. With a
///              tolerance, the error is at most tolerance times the norm, but for rounding to float
/// Strategies:  codes the tensor as a whole, because chunks of it have other sides: `automatic` takes gather, and two_shot
///              refuses it
/// Linear:      no
/// Determinism: the same bits for any build, thread count and instruction set
/// NaN, Inf:    make the whole tensor NaN. So does a value of the last core of 2^112 or more
/// Throws:      invalid_argument: shape has other than 2 to 8 sides, ranks not one fewer; a rank is above
///              min(r_{k-1} n_k, n_{k+1} ... n_d); the tensor has other than n_1 ... n_d values; ranks and a tolerance are
///              given, or neither; a tolerance lies outside of 1e-6..1. payload_error: ranks that the shape does not allow
/// Device:      none: it runs on the host only
/// Source:      Oseledets, "Tensor-train decomposition", SIAM Journal on Scientific Computing 33(5), 2011
struct tensor_train {
  static constexpr std::string_view name = "tensor_train";
  static constexpr bool carries_floats = true;  // the last core may lie beyond the range of a 16-bit tensor
  static constexpr bool whole = true;

  extents shape{}, ranks{};
  float tolerance = 0;

  static constexpr auto fields() {
    return std::tuple{field{"shape", &tensor_train::shape}, field{"ranks", &tensor_train::ranks},
                      field{"tolerance", &tensor_train::tolerance}};
  }
  void validate() const {
    shape.expect_order(name);
    detail::expects(ranks.size() == 0 || tolerance == 0, "tensor_train: give ranks or a tolerance, not both");
    if (ranks.size() == 0 && tolerance != 0) {
      detail::expects(tolerance >= 1e-6f && tolerance <= 1, [&] {
        return detail::sentence("tensor_train: tolerance must lie in 1e-6..1, got ", detail::print_value(tolerance));
      });
      return;
    }
    detail::expects(ranks.size() + 1 == shape.size(), [&] {
      return detail::sentence("tensor_train: shape=", shape.print(), " needs ", shape.size() - 1,
                              " ranks, one between each two sides, or a tolerance, got ranks=", ranks.print());
    });
    cores const c = given();
    for (std::size_t k = 0; k < bonds(); ++k)
      detail::expects(ranks[k] <= c.most_rank(k), [&] {
        return detail::sentence("tensor_train: rank ", ranks[k], " behind side ", k + 1, " is above ", c.most_rank(k),
                                ", the most that shape=", shape.print(), " and the ranks before it allow");
      });
  }

  [[nodiscard]] std::size_t side_bytes(std::size_t n) const {
    shape.expect_values(name, n);
    return adapts() ? bonds() * sizeof(std::uint32_t) : 0;
  }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const {
    shape.expect_values(name, n);
    return most().values();
  }
  [[nodiscard]] std::size_t carrier_count(std::span<std::byte const> side, std::size_t n) const {
    shape.expect_values(name, n);
    return sent(side).values();
  }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    cores const c = most();
    std::size_t vectors = 0;
    for (std::size_t k = 0; k < bonds(); ++k)
      vectors = std::max(vectors, detail::leading_vectors::scratch_bytes(c.rows(k), c.cols(k)));
    return 2 * detail::scratch::bytes_for<double>(n) + detail::scratch::bytes_for<double>(c.largest()) + vectors;
  }
  [[nodiscard]] double contraction(std::size_t) const {
    if (adapts()) return 1 - static_cast<double>(tolerance) * static_cast<double>(tolerance);
    cores const c = given();
    double kept = 1;
    for (std::size_t k = 0; k < bonds(); ++k)
      kept -= 1 - static_cast<double>(ranks[k]) / static_cast<double>(c.most_rank(k));
    return std::max(0.0, kept);
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> scratch, pass_options const&) const {
    std::size_t const n = in.size();
    shape.expect_values(name, n);
    detail::scratch memory(scratch);
    auto* const values = memory.take<double>(n);
    auto* const unfolded = memory.take<double>(n);
    auto* const u = memory.take<double>(most().largest());
    instruction_set const isa = detail::resolve_isa(ex);
    bool good = detail::all_below(isa, in.data(), n, detail::inf_bits);
    cores c = adapts() ? cores{shape} : given();
    if (good) {
      for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<double>(in[i]);
      float* to = carrier.data();
      double may_drop = 0;  // of the squares, at each step
      for (std::size_t k = 0; k < bonds(); ++k) {
        std::size_t const rows = c.rows(k), cols = c.cols(k);
        detail::leading_vectors const left{ex, isa, {unfolded, rows, cols}};
        for (std::size_t i = 0; i < rows; ++i)
          for (std::size_t j = 0; j < cols; ++j) left.matrix.at(i, j) = values[i * cols + j];
        // Found for the largest rank, since the squares are known only then.
        if (adapts()) c.rank[k] = c.most_rank(k);
        double const* const squares = left.find(c.rank[k], u, memory);
        if (adapts()) {
          if (k == 0)
            may_drop = static_cast<double>(tolerance) * static_cast<double>(tolerance) *
                       sum_of(squares, c.most_rank(0)) / static_cast<double>(bonds());
          double dropped = 0;
          while (c.rank[k] > 1 && dropped + std::max(0.0, squares[c.rank[k] - 1]) <= may_drop)
            dropped += std::max(0.0, squares[--c.rank[k]]);
        }
        std::size_t const rank = c.rank[k];
        left.coordinates(u, rank, values);
        detail::fix_signs(rank, u, rows, values, cols);
        for (std::size_t i = 0; i < rows; ++i)
          for (std::size_t r = 0; r < rank; ++r) *to++ = static_cast<float>(u[r * rows + i]);
      }
      for (std::size_t i = 0; i < c.size(bonds()); ++i) to[i] = detail::narrowed(values[i]);
      good = detail::all_below(isa, to, c.size(bonds()), detail::factor_limit_bits);
      if (good) balance(isa, c, carrier);
    }
    if (!good) {
      if (adapts()) c.rank.fill(1);
      std::fill_n(carrier.begin(), c.values(), detail::canonical_nan());
    }
    for (std::size_t k = 0; adapts() && k < bonds(); ++k) {
      auto const rank = static_cast<std::uint32_t>(c.rank[k]);
      std::memcpy(side.data() + k * sizeof rank, &rank, sizeof rank);
    }
    return c.values();
  }
  void decode(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
              std::span<float> out, std::span<std::byte> scratch, pass_options const&) const {
    std::size_t const n = out.size();
    shape.expect_values(name, n);
    cores const c = sent(side);
    detail::expects<payload_error>(c.values() == carrier.size(), [&] {
      return detail::sentence("tensor_train: the payload's ranks make ", c.values(), " values, the carrier holds ",
                              carrier.size());
    });
    instruction_set const isa = detail::resolve_isa(ex);
    if (!detail::all_below(isa, carrier.data(), carrier.size(), detail::inf_bits))
      return detail::fill_nan(out.data(), n);
    detail::scratch memory(scratch);
    auto *product = memory.take<double>(n), *next = memory.take<double>(n);
    auto* const core = memory.take<double>(c.largest());
    product[0] = 1;
    float const* from = carrier.data();
    for (std::size_t k = 0; k < shape.size(); ++k) {
      std::size_t const before = c.before(k), cols = c.size(k) / before;
      for (std::size_t i = 0; i < c.size(k); ++i) core[i] = static_cast<double>(*from++);
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
  /// The sizes of all cores, as the ranks between them decide.
  struct cores {
    extents const& shape;
    std::array<std::size_t, extents::most> rank{};

    [[nodiscard]] std::size_t before(std::size_t k) const { return k == 0 ? 1 : rank[k - 1]; }
    /// Of the matrix whose singular vectors become core k.
    [[nodiscard]] std::size_t rows(std::size_t k) const { return before(k) * shape[k]; }
    [[nodiscard]] std::size_t cols(std::size_t k) const { return shape.product(k + 1, shape.size()); }
    [[nodiscard]] std::size_t most_rank(std::size_t k) const { return std::min(rows(k), cols(k)); }
    [[nodiscard]] std::size_t size(std::size_t k) const { return rows(k) * (k + 1 < shape.size() ? rank[k] : 1); }
    [[nodiscard]] std::size_t values() const {
      std::size_t all = 0;
      for (std::size_t k = 0; k < shape.size(); ++k) all += size(k);
      return all;
    }
    [[nodiscard]] std::size_t largest() const {
      std::size_t most = 0;
      for (std::size_t k = 0; k < shape.size(); ++k) most = std::max(most, size(k));
      return most;
    }
  };

  static void balance(instruction_set isa, cores const& c, std::span<float> carrier) {
    std::vector<detail::factor_part> parts;
    for (std::size_t k = 0; k < c.shape.size(); ++k) {
      parts.push_back({carrier.data(), c.size(k)});
      carrier = carrier.subspan(c.size(k));
    }
    detail::balance(isa, parts);
  }
  [[nodiscard]] bool adapts() const { return ranks.size() == 0; }
  [[nodiscard]] std::size_t bonds() const { return shape.size() - 1; }
  [[nodiscard]] cores given() const {
    cores c{shape};
    for (std::size_t k = 0; k < bonds(); ++k) c.rank[k] = ranks[k];
    return c;
  }
  [[nodiscard]] cores most() const {
    if (!adapts()) return given();
    cores c{shape};
    for (std::size_t k = 0; k < bonds(); ++k) c.rank[k] = c.most_rank(k);
    return c;
  }
  /// With a tolerance, the ranks stand in the payload.
  [[nodiscard]] cores sent(std::span<std::byte const> side) const {
    if (!adapts()) return given();
    cores c{shape};
    for (std::size_t k = 0; k < bonds(); ++k) {
      std::uint32_t rank = 0;
      std::memcpy(&rank, side.data() + k * sizeof rank, sizeof rank);
      c.rank[k] = rank;
      detail::expects<payload_error>(rank >= 1 && rank <= c.most_rank(k), [&] {
        return detail::sentence("tensor_train: the payload's rank ", rank, " behind side ", k + 1, " is not in 1..",
                                c.most_rank(k));
      });
    }
    return c;
  }
  static double sum_of(double const* x, std::size_t n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += std::max(0.0, x[i]);
    return sum;
  }
};

namespace detail {
inline bool const tensor_train_joins = join_text([] { return entry_of<tensor_train>(); });
}

CCOMP_END
