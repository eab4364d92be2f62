#pragma once
/// Opt-in: needs Eigen (link ccomp::eigen); not part of ccomp.hpp.

#include <ccomp/low_rank/power_rounds.hpp>
#include <ccomp/text/stage_entry.hpp>

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
/// half_steps = true, with error_feedback: a step sums one factor only, and takes the other from the step before, with
/// orthonormal columns. P = M Q in one step, Q = M^T P in the next. Half the bytes, and one exchange. Without
/// error_feedback, and in every other use, it changes nothing. Host only
///
/// Shapes:      in [n] -> matrix [rows][cols], row by row; the missing values of the last row are zeros.
///              rows = 0: cols = ceil(sqrt n) rounded up to 16; else cols = ceil(n / rows). The matrix then has
///              ceil(n / cols) rows, which may be fewer than asked for: n = 31, rows = 20 is 16 x 2
///              Carrier: P [rows][rank], then Q [rank][cols], multiplied by opposite powers of two that make their
///              largest values alike. If rank (rows + cols) >= n: the values themselves
/// Payload:     pad16(4 rank (rows + cols)) bytes, or pad16(4 n): float for every element type; the carrier may be coded
///              further
/// In flight:   two allreduces for all tensors of the call, float: P of every matrix (4 rank rows bytes) and the values
///              of small tensors (4 n); then Q of every matrix (4 rank cols). Half steps: one allreduce, of P or Q of
///              every matrix and the values of small tensors
/// Rounding:    float, with sums in an order that depends on the shape only; orthonormalisation in double
/// Guarantee:   the error is M - P P^T M, a projection. It is never larger than M, it is zero if rank(M) <= rank, and
///              after some steps with a warm start it is close to the smallest error for this rank. Half steps:
///              M - P P^T M or M - M Q Q^T. There M holds the residual, too, so that on a fixed matrix with
///              rank(M) <= rank the error falls from step to step and is never zero at once
/// Feedback:    each rank keeps M - P Q_own^T (M - P_own Q^T); the residuals of all ranks add up to what the sum lacks
/// State:       Q [rank][cols], columns of unit length; a zero column is drawn again. Half steps: the factor that was
///              summed last, and which it is. So the halves alternate whatever the steps' numbers are; after a step
///              that was lost or discarded, and after load, the half that was due is next
/// Linear:      no (P depends on the sum); it has its own rounds instead
/// Determinism: the same bits on every rank, for any thread count and instruction set of one build. Different builds
///              and engines (Eigen's flags, cuBLAS) agree within a tolerance. Any build decodes the payload of another
/// NaN, Inf:    on any rank make the whole tensor NaN on every rank. So does a factor of 2^112 or more, because the
///              product could overflow. allreduce then leaves residual and warm start unchanged. In small tensors, only
///              the value itself is lost. With gather and two_shot, the residual takes up the finite values of the step
/// Throws:      invalid_argument: rank is 0 or above 1024; a state that belongs to another tensor; half steps of a
///              wrapper with a cuda_exec. rank_mismatch: the wrappers of the ranks are at different halves
/// Source:      Vogels, Karimireddy, Jaggi, "PowerSGD: Practical Low-Rank Gradient Compression for Distributed
///              Optimization", NeurIPS 2019. Half steps: Zhang et al., "Evaluation and Optimization of Gradient
///              Compression for Distributed Deep Learning" (ACP-SGD), ICDCS 2023
struct power_sgd {
  static constexpr std::string_view name = "power_sgd";
  static constexpr bool is_linear = false;
  static constexpr bool stochastic = true;
  static constexpr bool carries_floats = true;  // factors may lie beyond the range of a 16-bit tensor

  std::uint32_t rank = 4;
  std::uint64_t rows = 0;
  std::uint64_t seed = 0;
  bool half_steps = false;

  static constexpr auto fields() {
    return std::tuple{field{"rank", &power_sgd::rank}, field{"rows", &power_sgd::rows}, field{"seed", &power_sgd::seed},
                      field{"half_steps", &power_sgd::half_steps, added_setting}};
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
    if (good) layout().balance_factors(passes.isa, passes.shape, p);
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
    return detail::power_rounds::make_state(rounds(), {.threads = 1}, n);
  }
  [[nodiscard]] std::size_t reduce_scratch_bytes(detail::reduce_shape const& shape) const {
    return detail::power_rounds::scratch_bytes(rounds(), shape);
  }
  /// What ranks compare beside the call's arguments.
  [[nodiscard]] std::string reduce_setting(std::span<detail::reduce_call const> calls) const {
    return detail::power_rounds::halves(rounds(), calls);
  }
  /// The sums or means over the ranks; returns the bytes that this rank sent.
  std::size_t reduce(host_exec const& ex, communicator_ref& comm, std::span<detail::reduce_call const> calls,
                     std::span<std::byte> memory) const {
    return detail::power_rounds(rounds(), ex, calls, memory).run(comm);
  }

 private:
  friend struct detail::device_protocol<power_sgd>;
  friend struct device_stage<power_sgd>;

  static constexpr std::uint32_t limit_bits = detail::factor_limit_bits;

  [[nodiscard]] detail::factor_layout layout() const { return {rank, rows}; }
  [[nodiscard]] detail::power_rounds::settings rounds() const { return {layout(), seed, half_steps}; }
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
};

namespace detail {
inline bool const power_sgd_joins = join_text([] { return entry_of<power_sgd>(); });
}

CCOMP_END
