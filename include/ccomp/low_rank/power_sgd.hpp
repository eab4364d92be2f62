#pragma once
/// Opt-in: needs Eigen (link ccomp::eigen); not part of ccomp.hpp.

#include <ccomp/core/communicator.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/low_rank/factor_layout.hpp>
#include <ccomp/low_rank/orthonormal.hpp>
#include <ccomp/low_rank/random_start.hpp>
#include <ccomp/text/stage_entry.hpp>

#include <cmath>

CCOMP_BEGIN
template <class S> struct device_stage;  // engine/cuda/device_stage.cuh
namespace detail {
template <class S> struct device_protocol;  // engine/cuda/protocol.cuh
}

/// Treats the tensor as a matrix and sends two thin factors of it, found by one power iteration.
///
/// allreduce (automatic, in_flight): P = M Q summed over the ranks, orthonormalised; Q = M^T P summed; result P Q^T.
/// With error_feedback, Q is kept for the next step (warm start), so that the iteration continues over the steps. Every
/// other use (encode, decode, compress, gather, two_shot) does one iteration from random Q and sends P and Q.
///
/// Shapes:      in [n] -> matrix [rows][cols], row by row; the missing values of the last row are zeros.
///              rows = 0: cols = ceil(sqrt n) rounded up to 16; else cols = ceil(n / rows). The matrix then has
///              ceil(n / cols) rows, which may be fewer than asked for: n = 31, rows = 20 is 16 x 2
///              Carrier: P [rows][rank], then Q [rank][cols]. If rank (rows + cols) >= n: the values themselves
/// Payload:     4 rank (rows + cols) bytes (or 4 n): float for every element type; the carrier may be coded further
/// In flight:   allreduces of 4 rank rows and of 4 rank cols bytes, float; small tensors one of 4 n
/// Rounding:    float, with sums in an order that depends on the shape only; orthonormalisation in double
/// Guarantee:   the error is M - P P^T M, a projection. It is never larger than M, it is zero if rank(M) <= rank, and
///              after some steps with a warm start it is close to the smallest error for this rank
/// Feedback:    each rank keeps M - P Q_own^T; the residuals of all ranks add up to what the sum lacks
/// State:       Q [rank][cols], columns of unit length; a zero column is drawn again
/// Linear:      no (P depends on the sum); it has its own rounds instead
/// Determinism: the same bits on every rank, for any thread count and instruction set of one build. Different builds
///              and engines (Eigen's flags, cuBLAS) agree within a tolerance. Any build decodes the payload of another
/// NaN, Inf:    on any rank make the whole tensor NaN on every rank. So does a factor of 2^112 or more, because the
///              product could overflow. allreduce then leaves residual and warm start unchanged. In small tensors, only
///              the value itself is lost. With gather and two_shot, the residual takes up the finite values of the step
/// Throws:      invalid_argument: rank is 0 or above 1024; a state that belongs to another tensor
/// Source:      Vogels, Karimireddy, Jaggi, "PowerSGD: Practical Low-Rank Gradient Compression for Distributed
///              Optimization", NeurIPS 2019
struct power_sgd {
  static constexpr std::string_view name = "power_sgd";
  static constexpr bool is_linear = false;
  static constexpr bool stochastic = true;
  static constexpr bool carries_floats = true;  // factors may lie beyond the range of a 16-bit tensor

  std::uint32_t rank = 4;
  std::uint64_t rows = 0;
  std::uint64_t seed = 0;

  static constexpr auto fields() {
    return std::tuple{field{"rank", &power_sgd::rank}, field{"rows", &power_sgd::rows},
                      field{"seed", &power_sgd::seed}};
  }
  void validate() const { detail::factor_layout::expect_rank_setting(name, rank); }

  [[nodiscard]] std::size_t side_bytes(std::size_t) const { return 0; }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const { return layout().carrier_size(n); }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    return is_dense(n) ? 0 : start_bytes(shape_of(n)) + partial_bytes(shape_of(n));
  }
  /// Nothing is promised of a matrix without structure but that the error does not grow.
  [[nodiscard]] double contraction(std::size_t n) const { return is_dense(n) ? 1 : 0; }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte>, std::span<float> carrier,
                     std::span<std::byte> scratch, pass_options const& at) const {
    if (layout().copy_dense(in.size(), in.data(), carrier.data())) return in.size();
    auto const passes = passes_of(ex, in.size());
    detail::scratch memory(scratch);
    auto* const start = memory.take<float>(passes.q_size());
    auto* const partial = memory.take<float>(passes.q_size() * passes.shape.bands());
    float *const p = carrier.data(), *const q = p + passes.p_size();
    detail::matrix_source const m{detail::view(in)};
    start_of(passes, at).draw_all(rank, start);
    passes.project(m, start, p);
    bool good = detail::all_below(passes.isa, p, passes.p_size(), detail::inf_bits);
    if (good) {
      detail::orthonormalise(p, passes.shape.rows, rank);
      passes.back_project(m, p, q, partial);
      good = detail::all_below(passes.isa, q, passes.q_size(), limit_bits);
    }
    if (!good) std::fill(carrier.begin(), carrier.end(), detail::canonical_nan());
    return carrier.size();
  }
  void decode(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    layout().decode(ex, carrier, out);
  }
  void accumulate(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
                  float sign, pass_options const&) const {
    layout().accumulate(ex, carrier, out, sign);
  }

  /// The warm start: what `reduce` begins its next iteration from.
  [[nodiscard]] detail::stage_state make_state(std::size_t n) const {
    if (is_dense(n)) return {};
    auto const passes = passes_of({.threads = 1}, n);
    detail::stage_state state(passes.q_size());
    start_of(passes, {}).draw_all(rank, state.data());
    return state;
  }
  [[nodiscard]] std::size_t reduce_scratch_bytes(detail::reduce_shape const& shape) const {
    std::size_t const n = shape.n;
    if (is_dense(n)) return detail::scratch::bytes_for<float>(n);
    auto const m = shape_of(n);
    return detail::scratch::bytes_for<float>(m.rows * rank) + 3 * start_bytes(m) + partial_bytes(m) +
           (shape.transformed ? detail::scratch::bytes_for<float>(n) : 0);
  }
  /// The sum or mean over the ranks; returns the bytes that this rank sent.
  std::size_t reduce(host_exec const& ex, communicator_ref& comm, detail::reduce_call const& call) const {
    return is_dense(call.in.n) ? reduce_dense(ex, comm, call) : reduce_factors(ex, comm, call);
  }

 private:
  friend struct detail::device_protocol<power_sgd>;
  friend struct device_stage<power_sgd>;

  static constexpr std::uint32_t limit_bits = detail::factor_limit_bits;

  [[nodiscard]] detail::factor_layout layout() const { return {rank, rows}; }
  [[nodiscard]] detail::matrix_shape shape_of(std::size_t n) const { return layout().shape_of(n); }
  [[nodiscard]] std::size_t factors(detail::matrix_shape const& m) const { return layout().factors(m); }
  [[nodiscard]] bool is_dense(std::size_t n) const { return layout().is_dense(n); }
  [[nodiscard]] std::size_t start_bytes(detail::matrix_shape const& m) const {
    return detail::scratch::bytes_for<float>(m.cols * rank);
  }
  [[nodiscard]] std::size_t partial_bytes(detail::matrix_shape const& m) const {
    return detail::scratch::bytes_for<float>(m.cols * rank * m.bands());
  }
  [[nodiscard]] detail::low_rank_passes passes_of(host_exec const& ex, std::size_t n) const {
    return layout().passes_of(ex, n);
  }
  [[nodiscard]] detail::random_start start_of(detail::low_rank_passes const& passes, pass_options const& at) const {
    return {passes.isa, seed, at, passes.shape.cols};
  }
  /// Only directions count: columns of unit length keep M Q in range at any scale of M.
  void keep_start(detail::low_rank_passes const& passes, pass_options const& at, float const* q, float* state) const {
    std::size_t const cols = passes.shape.cols;
    for (std::size_t k = 0; k < rank; ++k) {
      float const* const from = q + k * cols;
      float* const to = state + k * cols;
      double squares = 0;
      detail::run_narrow(passes.isa, [&] { squares = detail::scan<sum_squares>(from, cols).sum[0]; });
      if (squares > 0)
        for (std::size_t j = 0; j < cols; ++j)
          to[j] = static_cast<float>(static_cast<double>(from[j]) / std::sqrt(squares));
      else
        start_of(passes, at).draw(k, to);
    }
  }

  /// y = in + decay * residual, behind the transforms.
  static void add_up(detail::pass_context const& c, detail::reduce_call const& call, detail::residual_ref r,
                     detail::program transforms, float* y) {
    detail::for_each_tile(c, call.in.n, [&](std::size_t first, std::size_t n, detail::tile_buffers& b) {
      detail::residual_tile const residual(c, r, first, n, b);
      float const* const x = detail::load(c.isa, call.in, first, n, b.values);
      if (r)
        detail::run_narrow(c.isa, [&] { detail::add_residual(residual.data(), r.decay, x, n, y + first); });
      else
        std::memcpy(y + first, x, n * sizeof(float));
      detail::forward(transforms, c, y + first, n, first);
    });
  }
  std::size_t reduce_dense(host_exec const& ex, communicator_ref& comm, detail::reduce_call const& call) const;
  std::size_t reduce_factors(host_exec const& ex, communicator_ref& comm, detail::reduce_call const& call) const;
};

/// Transforms would only add rounding to values that are sent unchanged.
inline std::size_t power_sgd::reduce_dense(host_exec const& ex, communicator_ref& comm,
                                           detail::reduce_call const& call) const {
  std::size_t const size = call.in.n;
  if (size == 0) return 0;
  detail::pass_context const c(ex, call.at);
  detail::residual_ref const r{call.residual, call.residual_type, call.decay};
  auto* const sum = detail::scratch(call.memory).take<float>(size);
  add_up(c, call, r, {}, sum);
  comm.all_reduce(ex, sum, size, wire_type::float32, wire_op::sum);
  float const divisor = call.mean ? static_cast<float>(comm.size()) : 1.0f;
  detail::for_each_tile(c, size, [&](std::size_t first, std::size_t n, detail::tile_buffers& b) {
    if (r) {  // all was sent, and arrived where the sum is finite
      detail::residual_tile const residual(c, r, first, n, b);
      for (std::size_t i = 0; i < n; ++i)
        if (detail::is_finite(sum[first + i])) residual.data()[i] = 0;
      residual.commit();
    }
    detail::run_narrow(c.isa, [&] { detail::finish_sum(sum + first, n, divisor); });
    detail::store(c.isa, sum + first, n, call.out, first);
  });
  return detail::all_reduce_bytes(size * sizeof(float), comm.size());
}

inline std::size_t power_sgd::reduce_factors(host_exec const& ex, communicator_ref& comm,
                                             detail::reduce_call const& call) const {
  auto const passes = passes_of(ex, call.in.n);
  std::size_t const p_size = passes.p_size(), q_size = passes.q_size();
  detail::expects(call.state.empty() || call.state.size() == q_size,
                  "power_sgd: the warm start belongs to another tensor; make a new error_feedback");
  detail::pass_context const c(ex, call.at);
  detail::residual_ref const r{call.residual, call.residual_type, call.decay};
  detail::scratch memory(call.memory);
  auto* const p = memory.take<float>(p_size);
  auto* const start = memory.take<float>(q_size);
  auto* const own = memory.take<float>(q_size);
  auto* const total = memory.take<float>(q_size);
  auto* const partial = memory.take<float>(q_size * passes.shape.bands());

  detail::matrix_source m{call.in, r};
  if (!call.transforms.empty()) {
    auto* const y = memory.take<float>(call.in.n);
    add_up(c, call, r, call.transforms, y);
    m = {{y, element_type::float32, call.in.n}};
  }
  if (!call.state.empty())
    std::memcpy(start, call.state.data(), q_size * sizeof(float));
  else
    start_of(passes, call.at).draw_all(rank, start);

  passes.project(m, start, p);
  comm.all_reduce(ex, p, p_size, wire_type::float32, wire_op::sum);
  std::size_t sent = detail::all_reduce_bytes(p_size * sizeof(float), comm.size());
  // Whatever was not finite on any rank has reached P on every rank: all see it, and all stop here.
  bool good = detail::all_below(passes.isa, p, p_size, detail::inf_bits);
  if (good) {
    detail::orthonormalise(p, passes.shape.rows, rank);
    passes.back_project(m, p, own, partial);
    std::memcpy(total, own, q_size * sizeof(float));
    if (!detail::all_below(passes.isa, own, q_size, limit_bits)) total[0] = detail::canonical_nan();
    comm.all_reduce(ex, total, q_size, wire_type::float32, wire_op::sum);
    sent += detail::all_reduce_bytes(q_size * sizeof(float), comm.size());
    good = detail::all_below(passes.isa, total, q_size, limit_bits);
  }
  if (good) {
    if (!call.state.empty()) keep_start(passes, call.at, total, call.state.data());
    float const divisor = call.mean ? static_cast<float>(comm.size()) : 1.0f;
    detail::run_narrow(passes.isa, [&] { detail::finish_sum(total, q_size, divisor); });
    if (r && m.direct() && call.transforms.empty() && call.out.type == element_type::float32) {
      passes.expand_with_residual(m, p, total, own, static_cast<float*>(call.out.data));
      return sent;
    }
  }
  detail::for_each_tile(c, call.in.n, [&](std::size_t first, std::size_t n, detail::tile_buffers& b) {
    if (good && r) {
      alignas(64) float sum[detail::tile_values];
      detail::residual_tile const residual(c, r, first, n, b);
      float const* const x = detail::load(c.isa, call.in, first, n, b.values);
      passes.expand(p, own, first, n, b.decoded);
      detail::inverse(call.transforms, c, b.decoded, n, first);
      detail::run_narrow(c.isa, [&] {
        detail::add_residual(residual.data(), r.decay, x, n, sum);
        detail::update_residual(sum, b.decoded, n, residual.data());
      });
      residual.commit();
    }
    if (good) {
      passes.expand(p, total, first, n, b.values);
      detail::inverse(call.transforms, c, b.values, n, first);
    } else {
      detail::fill_nan(b.values, n);
    }
    detail::store(c.isa, b.values, n, call.out, first);
  });
  return sent;
}

namespace detail {
inline bool const power_sgd_joins = join_text([] { return entry_of<power_sgd>(); });
}

CCOMP_END
