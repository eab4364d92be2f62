#pragma once
/// The rounds of power_sgd: all tensors of a call share the messages, so that their number costs no latency.

#include <ccomp/core/communicator.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/low_rank/factor_layout.hpp>
#include <ccomp/low_rank/orthonormal.hpp>
#include <ccomp/low_rank/random_start.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// What the tensors of a call need together, in values.
struct power_sizes {
  std::size_t p = 0, q = 0, dense = 0;                   // P and Q of all matrices, and the small tensors
  std::size_t most_q = 0, most_partial = 0, most_n = 0;  // of one matrix

  void add(factor_layout const& layout, std::size_t n) {
    if (layout.is_dense(n)) {
      dense += n;
      return;
    }
    auto const m = layout.shape_of(n);
    p += m.rows * layout.rank;
    q += m.cols * layout.rank;
    most_q = std::max(most_q, m.cols * layout.rank);
    most_partial = std::max(most_partial, m.cols * layout.rank * m.bands());
    most_n = std::max(most_n, n);
  }
};

/// One call of allreduce. First message: P of every matrix, one after the other, then the values of the small tensors.
/// Second message: Q of every matrix.
class power_rounds {
 public:
  static std::size_t scratch_bytes(factor_layout const& layout, reduce_shape const& shape) {
    power_sizes all;
    for (std::size_t const n : shape.sizes) all.add(layout, n);
    return scratch::bytes_for<float>(all.p + all.dense) + 2 * scratch::bytes_for<float>(all.q) +
           scratch::bytes_for<float>(all.most_q) + scratch::bytes_for<float>(all.most_partial) +
           (shape.transformed ? scratch::bytes_for<float>(all.most_n) : 0);
  }

  power_rounds(factor_layout const& layout, std::uint64_t seed, host_exec const& ex, std::span<reduce_call const> calls,
               std::span<std::byte> room)
      : ex_(ex), isa_(resolve_isa(ex)), rank_(layout.rank), seed_(seed) {
    for (auto const& call : calls) all_.add(layout, call.in.n);
    scratch memory(room);
    first_ = memory.take<float>(all_.p + all_.dense);
    second_ = memory.take<float>(all_.q);
    auto* own = memory.take<float>(all_.q);
    start_ = memory.take<float>(all_.most_q);
    partial_ = memory.take<float>(all_.most_partial);
    float *p = first_, *total = second_, *values = first_ + all_.p;
    for (auto const& call : calls) {
      if (layout.is_dense(call.in.n)) {
        small_.push_back({&call, values});
        values += call.in.n;
        continue;
      }
      auto const passes = layout.passes_of(ex, call.in.n);
      expects(call.state.empty() || call.state.size() == passes.q_size(),
              "power_sgd: the warm start belongs to another tensor; make a new error_feedback");
      if (!call.transforms.empty() && !transformed_) transformed_ = memory.take<float>(all_.most_n);
      matrices_.push_back({&call, passes, p, own, total});
      p += passes.p_size();
      own += passes.q_size();
      total += passes.q_size();
    }
  }

  /// Returns the bytes that this rank sent.
  std::size_t run(communicator_ref& comm) {
    for (auto& m : matrices_) project(m);
    for (auto const& s : small_) add_up(*s.call, {}, s.values);
    std::size_t sent = sum(comm, first_, all_.p + all_.dense);
    for (auto& m : matrices_) back_project(m);
    sent += sum(comm, second_, all_.q);
    auto const ranks = static_cast<float>(comm.size());
    for (auto& m : matrices_) finish(m, m.call->mean ? ranks : 1.0f);
    for (auto const& s : small_) finish(s, s.call->mean ? ranks : 1.0f);
    return sent;
  }

 private:
  struct small_tensor {
    reduce_call const* call;
    float* values;  // in the first message
  };
  struct matrix {
    reduce_call const* call;
    low_rank_passes passes;
    float* p;      // in the first message
    float* own;    // this rank's Q
    float* total;  // the same in the second message
    bool good = true;
  };

  [[nodiscard]] static residual_ref residual_of(reduce_call const& c) { return {c.residual, c.residual_type, c.decay}; }
  [[nodiscard]] random_start start_of(matrix const& m) const { return {isa_, seed_, m.call->at, m.passes.shape.cols}; }

  std::size_t sum(communicator_ref& comm, float* values, std::size_t n) const {
    if (n == 0) return 0;
    comm.all_reduce(ex_, values, n, wire_type::float32, wire_op::sum);
    return all_reduce_bytes(n * sizeof(float), comm.size());
  }
  /// y = in + decay * residual, behind the transforms.
  void add_up(reduce_call const& call, std::span<stage_ref const> transforms, float* y) const {
    pass_context const c(ex_, call.at);
    residual_ref const r = residual_of(call);
    for_each_tile(c, call.in.n, [&](std::size_t first, std::size_t n, tile_buffers& b) {
      residual_tile const residual(c, r, first, n, b);
      float const* const x = load(c.isa, call.in, first, n, b.values);
      if (r)
        run_narrow(c.isa, [&] { add_residual(residual.data(), r.decay, x, n, y + first); });
      else
        std::memcpy(y + first, x, n * sizeof(float));
      forward(transforms, c, y + first, n, first);
    });
  }
  /// All matrices share the memory behind the transforms: with several, each is transformed once per product.
  matrix_source source(matrix const& m) {
    reduce_call const& call = *m.call;
    if (call.transforms.empty()) return {call.in, residual_of(call)};
    if (std::exchange(in_transformed_, &call) != &call) add_up(call, call.transforms, transformed_);
    return {{transformed_, element_type::float32, call.in.n}};
  }

  void project(matrix const& m) {
    float const* start = m.call->state.data();
    if (m.call->state.empty()) {
      start_of(m).draw_all(rank_, start_);
      start = start_;
    }
    m.passes.project(source(m), start, m.p);
  }
  /// Whatever was not finite on any rank has reached P on every rank: all see it, and none sends a Q.
  void back_project(matrix& m) {
    std::size_t const size = m.passes.q_size();
    m.good = all_below(isa_, m.p, m.passes.p_size(), inf_bits);
    if (!m.good) return fill_nan(m.total, size);
    orthonormalise(m.p, m.passes.shape.rows, rank_);
    m.passes.back_project(source(m), m.p, m.own, partial_);
    std::memcpy(m.total, m.own, size * sizeof(float));
    if (!all_below(isa_, m.own, size, factor_limit_bits)) m.total[0] = canonical_nan();
  }

  /// The next start. Only directions count: columns of unit length keep M Q in range at any scale of M.
  void keep_start(matrix const& m) const {
    std::size_t const cols = m.passes.shape.cols;
    for (std::size_t k = 0; k < rank_; ++k) {
      float const* const from = m.total + k * cols;
      float* const to = m.call->state.data() + k * cols;
      double squares = 0;
      run_narrow(isa_, [&] { squares = scan<sum_squares>(from, cols).sum[0]; });
      if (squares > 0)
        for (std::size_t j = 0; j < cols; ++j)
          to[j] = static_cast<float>(static_cast<double>(from[j]) / std::sqrt(squares));
      else
        start_of(m).draw(k, to);
    }
  }
  void finish(matrix& m, float divisor) {
    reduce_call const& call = *m.call;
    m.good = m.good && all_below(isa_, m.total, m.passes.q_size(), factor_limit_bits);
    if (m.good) {
      if (!call.state.empty()) keep_start(m);
      run_narrow(isa_, [&] { finish_sum(m.total, m.passes.q_size(), divisor); });
    }
    matrix_source const untransformed{call.in, residual_of(call)};
    if (m.good && untransformed.residual && untransformed.direct() && call.transforms.empty() &&
        call.out.type == element_type::float32)
      m.passes.expand_with_residual(untransformed, m.p, m.total, m.own, static_cast<float*>(call.out.data));
    else
      expand(m);
  }
  void expand(matrix const& m) const {
    reduce_call const& call = *m.call;
    pass_context const c(ex_, call.at);
    residual_ref const r = residual_of(call);
    for_each_tile(c, call.in.n, [&](std::size_t first, std::size_t n, tile_buffers& b) {
      if (m.good && r) {
        alignas(64) float v[tile_values];
        residual_tile const residual(c, r, first, n, b);
        float const* const x = load(c.isa, call.in, first, n, b.values);
        m.passes.expand(m.p, m.own, first, n, b.decoded);
        inverse(call.transforms, c, b.decoded, n, first);
        run_narrow(c.isa, [&] {
          add_residual(residual.data(), r.decay, x, n, v);
          update_residual(v, b.decoded, n, residual.data());
        });
        residual.commit();
      }
      if (m.good) {
        m.passes.expand(m.p, m.total, first, n, b.values);
        inverse(call.transforms, c, b.values, n, first);
      } else {
        fill_nan(b.values, n);
      }
      store(c.isa, b.values, n, call.out, first);
    });
  }
  /// Transforms would only add rounding to values that are sent unchanged.
  void finish(small_tensor const& s, float divisor) const {
    reduce_call const& call = *s.call;
    pass_context const c(ex_, call.at);
    residual_ref const r = residual_of(call);
    for_each_tile(c, call.in.n, [&](std::size_t first, std::size_t n, tile_buffers& b) {
      float* const values = s.values + first;
      if (r) {  // all was sent, and arrived where the sum is finite
        residual_tile const residual(c, r, first, n, b);
        for (std::size_t i = 0; i < n; ++i)
          if (is_finite(values[i])) residual.data()[i] = 0;
        residual.commit();
      }
      run_narrow(c.isa, [&] { finish_sum(values, n, divisor); });
      store(c.isa, values, n, call.out, first);
    });
  }

  host_exec const& ex_;
  instruction_set isa_;
  std::size_t rank_;
  std::uint64_t seed_;
  power_sizes all_;
  std::vector<small_tensor> small_;
  std::vector<matrix> matrices_;
  float *first_ = nullptr, *second_ = nullptr, *start_ = nullptr, *partial_ = nullptr, *transformed_ = nullptr;
  reduce_call const* in_transformed_ = nullptr;  // whose sum `transformed_` holds
};

}  // namespace detail
CCOMP_END
