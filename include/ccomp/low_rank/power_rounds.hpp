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
#include <span>
#include <string>
#include <utility>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// What the tensors of a call need together, in values.
struct power_sizes {
  std::size_t p = 0, q = 0, longer = 0, dense = 0;       // P, Q, and the longer of them; the small tensors
  std::size_t most_q = 0, most_partial = 0, most_n = 0;  // of one matrix

  void add(factor_layout const& layout, std::size_t n) {
    if (layout.is_dense(n)) {
      dense += n;
      return;
    }
    auto const m = layout.shape_of(n);
    p += m.rows * layout.rank;
    q += m.cols * layout.rank;
    longer += std::max(m.rows, m.cols) * layout.rank;
    most_q = std::max(most_q, m.cols * layout.rank);
    most_partial = std::max(most_partial, m.cols * layout.rank * m.bands());
    most_n = std::max(most_n, n);
  }
};

/// [rows][cols], row by row, to [cols][rows].
inline void transpose(float const* from, std::size_t rows, std::size_t cols, float* to) {
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j) to[j * rows + i] = from[i * cols + j];
}

/// What half steps keep of a tensor: the orthonormal columns of the last sum, P [rows][rank] or Q [rank][cols], in room
/// for the longer of them, and which it is.
struct half_state {
  std::span<float> state;

  static std::size_t size(low_rank_passes const& passes) { return std::max(passes.p_size(), passes.q_size()) + 1; }
  [[nodiscard]] bool has_p() const { return state.back() != 0; }
  /// `columns` [length][rank]: a sum, of which this makes orthonormal columns. Those that vanished are drawn anew.
  void keep(bool p, float* columns, std::size_t length, std::size_t rank, random_start const& fresh) const {
    float* const drawn = state.data();
    for (std::size_t k = 0; k < rank; ++k) {
      bool vanished = true;
      for (std::size_t i = 0; i < length; ++i) vanished = vanished && columns[i * rank + k] == 0;
      if (!vanished) continue;
      fresh.draw(k, drawn);
      for (std::size_t i = 0; i < length; ++i) columns[i * rank + k] = drawn[i];
    }
    orthonormalise(columns, length, rank);
    if (p)
      std::memcpy(state.data(), columns, length * rank * sizeof(float));
    else
      transpose(columns, length, rank, state.data());
    state.back() = p ? 1.0f : 0.0f;
  }
};

/// One call of allreduce. First message: P of every matrix, one after the other, then the values of the small tensors.
/// Second message: Q of every matrix. Half steps have one message: P or Q of every matrix, then the small tensors.
class power_rounds {
 public:
  struct settings {
    factor_layout layout;
    std::uint64_t seed;
    bool half_steps;
  };

  static std::size_t scratch_bytes(settings const& s, reduce_shape const& shape) {
    power_sizes all;
    for (std::size_t const n : shape.sizes) all.add(s.layout, n);
    auto const floats = [](std::size_t n) { return scratch::bytes_for<float>(n); };
    // Without a wrapper there are whole steps, whatever the settings say.
    std::size_t const whole = floats(all.p + all.dense) + 2 * floats(all.q) + floats(all.most_q);
    std::size_t const half = s.half_steps ? floats(all.longer + all.dense) + floats(all.longer) : 0;
    return std::max(whole, half) + floats(all.most_partial) + (shape.transformed ? floats(all.most_n) : 0);
  }
  /// What error feedback keeps of a matrix, before the first step.
  static stage_state make_state(settings const& s, host_exec const& ex, std::size_t n) {
    auto const passes = s.layout.passes_of(ex, n);
    std::size_t const cols = passes.shape.cols, rank = s.layout.rank;
    random_start const start(passes.isa, s.seed, {}, cols);
    stage_state state(s.half_steps ? half_state::size(passes) : passes.q_size());
    if (!s.half_steps) {
      start.draw_all(rank, state.data());
      return state;
    }
    std::vector<float> columns(passes.q_size());  // of zeros: all are drawn
    half_state{state}.keep(false, columns.data(), cols, rank, start);
    return state;
  }
  /// Which factors this call sums, so that ranks whose wrappers are not at the same half do not exchange.
  static std::string halves(settings const& s, std::span<reduce_call const> calls) {
    std::string text;
    if (!s.half_steps) return text;
    for (auto const& call : calls)
      if (!call.state.empty()) text += half_state{call.state}.has_p() ? 'Q' : 'P';
    return text;
  }

  power_rounds(settings const& s, host_exec const& ex, std::span<reduce_call const> calls, std::span<std::byte> room)
      : ex_(ex), isa_(resolve_isa(ex)), rank_(s.layout.rank), seed_(s.seed) {
    power_sizes all;
    for (auto const& call : calls) {
      all.add(s.layout, call.in.n);
      if (s.layout.is_dense(call.in.n)) continue;
      auto const passes = s.layout.passes_of(ex, call.in.n);
      expects(call.state.empty() || call.state.size() == (s.half_steps ? half_state::size(passes) : passes.q_size()),
              "power_sgd: the warm start belongs to another tensor; make a new error_feedback");
      matrix m{.call = &call, .passes = passes, .half = s.half_steps && !call.state.empty()};
      m.sums_p = m.half && !half_state{call.state}.has_p();
      half_ = half_ || m.half;
      summed_ += m.size();
      matrices_.push_back(m);
    }
    scratch memory(room);
    first_size_ = half_ ? 0 : all.p + all.dense;
    last_size_ = summed_ + (half_ ? all.dense : 0);
    first_ = memory.take<float>(first_size_);
    last_ = memory.take<float>(last_size_);
    auto* own = memory.take<float>(summed_);
    if (!half_) start_ = memory.take<float>(all.most_q);
    partial_ = memory.take<float>(all.most_partial);
    float *p = first_, *sum = last_;
    for (auto& m : matrices_) {
      m.kept = m.half ? m.call->state.data() : std::exchange(p, p + m.passes.p_size());
      m.own = std::exchange(own, own + m.size());
      m.sum = std::exchange(sum, sum + m.size());
      if (!m.call->transforms.empty() && !transformed_) transformed_ = memory.take<float>(all.most_n);
    }
    float* values = half_ ? sum : p;
    for (auto const& call : calls)
      if (s.layout.is_dense(call.in.n)) small_.push_back({&call, std::exchange(values, values + call.in.n)});
  }

  /// Returns the bytes that this rank sent.
  std::size_t run(communicator_ref& comm) {
    for (auto const& s : small_) add_up(*s.call, {}, s.values);
    if (!half_)
      for (auto& m : matrices_) project(m);
    std::size_t sent = add_ranks(comm, first_, first_size_);
    for (auto& m : matrices_) make_own(m);
    sent += add_ranks(comm, last_, last_size_);
    auto const ranks = static_cast<float>(comm.size());
    for (auto& m : matrices_) finish(m, m.call->mean ? ranks : 1.0f);
    for (auto const& s : small_) finish(s, s.call->mean ? ranks : 1.0f);
    return sent;
  }

 private:
  struct small_tensor {
    reduce_call const* call;
    float* values;  // in the first message that there is
  };
  /// M = P Q^T, of which one factor is kept, with orthonormal columns, and the other is summed over the ranks.
  struct matrix {
    reduce_call const* call;
    low_rank_passes passes;
    bool half = false;    // the kept factor is the wrapper's; otherwise P, from the first message
    bool sums_p = false;  // and keeps Q
    float* kept = nullptr;
    float* own = nullptr;  // this rank's part of the sum
    float* sum = nullptr;  // in the last message
    bool good = true;

    [[nodiscard]] std::size_t size() const { return sums_p ? passes.p_size() : passes.q_size(); }
    /// Values of the product with `summed` as the factor that is not kept.
    void expand(float const* summed, std::size_t first, std::size_t n, float* out) const {
      passes.expand(sums_p ? summed : kept, sums_p ? kept : summed, first, n, out);
    }
  };

  [[nodiscard]] static residual_ref residual_of(reduce_call const& c) { return {c.residual, c.residual_type, c.decay}; }
  [[nodiscard]] random_start start_of(matrix const& m) const { return {isa_, seed_, m.call->at, m.passes.shape.cols}; }

  std::size_t add_ranks(communicator_ref& comm, float* values, std::size_t n) const {
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
    m.passes.project(source(m), start, m.kept);
  }
  /// Whatever was not finite on any rank has reached P on every rank: all see it, and none sends a Q.
  void make_own(matrix& m) {
    if (!m.half) {
      m.good = all_below(isa_, m.kept, m.passes.p_size(), inf_bits);
      if (!m.good) return fill_nan(m.sum, m.size());
      orthonormalise(m.kept, m.passes.shape.rows, rank_);
    }
    if (m.sums_p)
      m.passes.project(source(m), m.kept, m.own);
    else
      m.passes.back_project(source(m), m.kept, m.own, partial_);
    std::memcpy(m.sum, m.own, m.size() * sizeof(float));
    if (!all_below(isa_, m.own, m.size(), factor_limit_bits)) m.sum[0] = canonical_nan();
  }

  /// The next start of whole steps. Only directions count: columns of unit length keep M Q in range at any scale of M.
  void keep_start(matrix const& m) const {
    std::size_t const cols = m.passes.shape.cols;
    for (std::size_t k = 0; k < rank_; ++k) {
      float const* const from = m.sum + k * cols;
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
  void keep_half(matrix const& m) const {
    std::size_t const length = m.sums_p ? m.passes.shape.rows : m.passes.shape.cols;
    if (m.sums_p)
      std::memcpy(m.own, m.sum, m.size() * sizeof(float));
    else
      transpose(m.sum, rank_, length, m.own);
    half_state{m.call->state}.keep(m.sums_p, m.own, length, rank_, {isa_, seed_, m.call->at, length});
  }
  void finish(matrix& m, float divisor) const {
    reduce_call const& call = *m.call;
    m.good = m.good && all_below(isa_, m.sum, m.size(), factor_limit_bits);
    if (m.good) {
      if (!m.half && !call.state.empty()) keep_start(m);
      run_narrow(isa_, [&] { finish_sum(m.sum, m.size(), divisor); });
    }
    matrix_source const plain{call.in, residual_of(call)};
    if (m.good && plain.residual && plain.direct() && call.transforms.empty() &&
        call.out.type == element_type::float32) {
      auto* const out = static_cast<float*>(call.out.data);
      if (m.sums_p)
        m.passes.expand_with_residual(plain, m.sum, m.kept, m.own, m.kept, out);
      else
        m.passes.expand_with_residual(plain, m.kept, m.sum, m.kept, m.own, out);
    } else {
      expand(m);
    }
    if (m.good && m.half) keep_half(m);  // the factor that was kept has served
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
        m.expand(m.own, first, n, b.decoded);
        inverse(call.transforms, c, b.decoded, n, first);
        run_narrow(c.isa, [&] {
          add_residual(residual.data(), r.decay, x, n, v);
          update_residual(v, b.decoded, n, residual.data());
        });
        residual.commit();
      }
      if (m.good) {
        m.expand(m.sum, first, n, b.values);
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
  bool half_ = false;
  std::size_t summed_ = 0, first_size_ = 0, last_size_ = 0;
  std::vector<small_tensor> small_;
  std::vector<matrix> matrices_;
  float *first_ = nullptr, *last_ = nullptr, *start_ = nullptr, *partial_ = nullptr, *transformed_ = nullptr;
  reduce_call const* in_transformed_ = nullptr;  // whose sum `transformed_` holds
};

}  // namespace detail
CCOMP_END
