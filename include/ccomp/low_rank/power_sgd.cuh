#pragma once
/// power_sgd on GPUs. Opt-in: needs cuBLAS (link ccomp::cublas) and Eigen (ccomp::eigen); not part of ccomp.hpp.

#include <ccomp/low_rank/factor_stage.cuh>
#include <ccomp/low_rank/iteration.cuh>
#include <ccomp/low_rank/power_sgd.hpp>

#include <utility>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// The host's rounds, with P = M Q and Q = M^T P by cuBLAS. What the host decides by looking at the factors is decided
/// on the device: a sum that is not finite runs through all rounds, and changes neither residual nor state.
///
/// Memory:      the factors of all matrices; and once for all of them what the largest needs: M as floats, 4 rows cols
///              bytes, P twice in double, 32 MiB for cuBLAS. So if several matrices need a copy of M, each is copied
///              once per product
/// Determinism: the same bits on every rank, because P and Q are what the communicator gave to all, and what follows
///              depends on the shape alone; the same bits in every run on GPUs of one type
template <> struct device_protocol<power_sgd> {
  static std::size_t scratch_bytes(power_sgd const& s, reduce_shape const& shape) {
    room const all(s, shape.sizes);
    return scratch::bytes_for<float>(all.sizes.p + all.sizes.dense) + 2 * scratch::bytes_for<float>(all.sizes.q) +
           scratch::bytes_for<float>(all.sizes.most_q) + scratch::bytes_for<double>(s.rank) +
           scratch::bytes_for<float>(all.padded) + scratch::bytes_for<unsigned>(shape.sizes.size()) + all.iteration;
  }

  static void prepare(power_sgd const& s, std::span<device_reduce_call const> calls, workspace<cuda_exec>& ws) {
    for (auto const& call : calls) {
      if (s.is_dense(call.n)) continue;
      expects(!s.half_steps || call.state.empty(),
              "power_sgd: with error feedback, half_steps runs on the host only, because the state in device memory "
              "says which factor a step sends; use half_steps=false");
      auto const m = s.shape_of(call.n);
      expects(call.state.empty() || call.state.size() == m.cols * s.rank, [&] {
        return sentence("power_sgd: a warm start of ", call.state.size(), " values where the tensor has ",
                        m.cols * s.rank, "; make a new error_feedback");
      });
      device_iteration::prepare("power_sgd", m, ws);
    }
  }

  template <class Comm>
  static std::size_t reduce(power_sgd const& s, cuda_exec const& ex, Comm& comm, workspace<cuda_exec>& ws,
                            std::span<device_reduce_call const> calls, std::span<std::byte> memory) {
    return rounds(s, ex, ws, comm.size(), calls, scratch(memory)).run(comm);
  }

 private:
  /// What the tensors of a call need.
  struct room {
    power_sizes sizes;
    std::size_t padded = 0, iteration = 0;  // of one matrix
    room(power_sgd const& s, std::span<std::size_t const> n) {
      for (std::size_t const each : n) add(s, each);
    }
    room(power_sgd const& s, std::span<device_reduce_call const> calls) {
      for (auto const& call : calls) add(s, call.n);
    }

   private:
    void add(power_sgd const& s, std::size_t n) {
      sizes.add(s.layout(), n);
      if (s.is_dense(n)) return;
      auto const m = s.shape_of(n);
      padded = std::max(padded, m.rows * m.cols);
      iteration = std::max(iteration, device_iteration::scratch_bytes(m.rows, s.rank));
    }
  };

  class rounds {
   public:
    rounds(power_sgd const& s, cuda_exec const& ex, workspace<cuda_exec>& ws, int ranks,
           std::span<device_reduce_call const> calls, scratch memory)
        : s_(s), ex_(ex), all_(s, calls) {
      first_ = memory.take<float>(all_.sizes.p + all_.sizes.dense);
      second_ = memory.take<float>(all_.sizes.q);
      auto* own = memory.take<float>(all_.sizes.q);
      drawn_ = memory.take<float>(all_.sizes.most_q);
      squares_ = memory.take<double>(s.rank);
      copy_ = memory.take<float>(all_.padded);
      auto* bad = memory.take<unsigned>(calls.size());
      if (all_.sizes.p > 0) ex.fill_zero(bad, calls.size() * sizeof *bad);
      float *p = first_, *total = second_, *values = first_ + all_.sizes.p;
      for (auto const& call : calls) {
        block_call const tiles = tile_call(call, ranks);
        if (s.is_dense(call.n)) {
          if (call.n > 0) small_.push_back({tiles, values});
          values += call.n;
          continue;
        }
        auto const shape = s.shape_of(call.n);
        device_iteration const iteration(ex, ws, shape, s.rank, bad++, memory);
        auto const start = iteration.start(s.seed, random_start::unit(shape.cols), call.at);
        matrices_.push_back({&call, tiles, iteration, start, shape.rows * shape.cols, p, own, total});
        p += shape.rows * s.rank;
        own += shape.cols * s.rank;
        total += shape.cols * s.rank;
      }
    }

    template <class Comm> std::size_t run(Comm& comm) {
      for (auto const& m : matrices_) project(m);
      for (auto const& t : small_) {  // transforms would only add rounding to values that are sent unchanged
        block_coding plain = t.tiles.how;
        plain.transforms = {};
        gather_matrix(ex_, t.tiles.whole, plain, t.values, t.tiles.whole.n);
      }
      std::size_t sent = sum(comm, first_, all_.sizes.p + all_.sizes.dense);
      for (auto const& m : matrices_) back_project(m);
      sent += sum(comm, second_, all_.sizes.q);
      for (auto const& m : matrices_) finish(m);
      for (auto const& t : small_) finish_dense(ex_, t.tiles.whole, t.values, t.tiles.sum.divisor);
      return sent;
    }

   private:
    struct small_tensor {
      block_call tiles;
      float* values;  // in the first message
    };
    struct matrix {
      device_reduce_call const* call;
      block_call tiles;
      device_iteration iteration;
      low_rank_start start;
      std::size_t padded;
      float* p;      // in the first message
      float* own;    // this rank's Q
      float* total;  // the same in the second message

      [[nodiscard]] std::size_t q_size() const { return std::size_t{start.rank} * start.cols; }
    };

    template <class Comm> std::size_t sum(Comm& comm, float* values, std::size_t n) const {
      if (n == 0) return 0;
      comm.all_reduce(ex_, values, n, wire_type::float32, wire_op::sum);
      return all_reduce_bytes(n * sizeof(float), comm.size());
    }
    /// The tensor itself, or a copy in the memory that all matrices share.
    float const* values_of(matrix const& m) {
      device_reduce_call const& call = *m.call;
      if (call.in.type == element_type::float32 && !call.residual && call.transforms.count == 0 && call.n == m.padded)
        return static_cast<float const*>(call.in.data);
      if (std::exchange(copied_, &call) != &call) gather_matrix(ex_, m.tiles.whole, m.tiles.how, copy_, m.padded);
      return copy_;
    }
    void project(matrix const& m) {
      float const* from = m.call->state.data();
      if (m.call->state.empty()) {
        m.iteration.draw(m.start, drawn_);
        from = drawn_;
      }
      m.iteration.project(values_of(m), from, m.p);
    }
    void back_project(matrix const& m) {
      m.iteration.orthonormal_columns(m.p);
      m.iteration.back_project(values_of(m), m.p, m.own);
      launch(ex_, "limit", limit_kernel<>, blocks_for(m.q_size()), 256, static_cast<float const*>(m.own), m.total,
             std::uint64_t{m.q_size()}, power_sgd::limit_bits);
    }
    void finish(matrix const& m) const {
      unsigned* const bad = m.iteration.bad();
      launch(ex_, "squares", squares_kernel<>, s_.rank, 256, static_cast<float const*>(m.total), m.start.cols,
             power_sgd::limit_bits, squares_, bad);
      launch(ex_, "finish_factor", finish_factor_kernel<>, device_iteration::blocks_of(m.start), 256, m.start, m.total,
             static_cast<double const*>(squares_), static_cast<unsigned const*>(bad), m.call->state.data(),
             m.tiles.sum.divisor);
      expand_factors(ex_, m.tiles.whole, m.tiles.how, {m.p, m.total, m.own, s_.rank, m.start.cols}, bad);
    }

    power_sgd const& s_;
    cuda_exec const& ex_;
    room all_;
    std::vector<small_tensor> small_;
    std::vector<matrix> matrices_;
    float *first_ = nullptr, *second_ = nullptr, *drawn_ = nullptr, *copy_ = nullptr;
    double* squares_ = nullptr;
    device_reduce_call const* copied_ = nullptr;  // whose M `copy_` holds
  };
};

}  // namespace detail

/// encode and decode, and with them gather and two_shot: one iteration from a random Q, P and Q are sent. One item after
/// the other: cuBLAS takes one matrix.
template <> struct device_stage<power_sgd> {
  static void encode(power_sgd const& s, device_queue q, device_encode_call const& c) {
    if (detail::encode_dense(s.layout(), q, c)) return;
    auto const shape = s.shape_of(c.n);
    std::size_t const own = detail::device_iteration::scratch_bytes(shape.rows, s.rank);
    auto* const drawn = q.take<float>(shape.cols * s.rank);
    auto* const copy = q.take<float>(shape.rows * shape.cols);
    auto* const flags = q.take<detail::factor_flags>(1);
    auto* const memory = q.take<std::byte>(own);
    if (q.measures()) return detail::device_iteration::prepare(power_sgd::name, shape, q.memory());
    cuda_exec const& ex = q.exec();
    for (unsigned i = 0; i < c.items; ++i) {
      ex.fill_zero(flags, sizeof *flags);
      detail::device_iteration const iteration(ex, q.memory(), shape, s.rank, &flags->bad,
                                               detail::scratch({memory, own}));
      auto const* const m = detail::whole_matrix(ex, shape, c.values.of(i), copy);
      auto* const p = c.carrier.of(i);
      iteration.draw(iteration.start(s.seed, detail::random_start::unit(shape.cols), c.at), drawn);
      iteration.project(m, drawn, p);
      iteration.orthonormal_columns(p);
      iteration.back_project(m, p, p + shape.rows * s.rank);
      detail::finish_carrier(s.layout(), ex, shape, p, power_sgd::limit_bits, flags);
    }
  }
  static void decode(power_sgd const& s, device_queue q, device_decode_call const& c) {
    detail::decode_carrier(s.layout(), q, c);
  }
};

CCOMP_END
