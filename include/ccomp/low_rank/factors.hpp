#pragma once
/// Products of a tall matrix with a few vectors, fused with the residual: P = M Q, Q = M^T P, and out = P Q^T together
/// with what is left of M, where M = x + decay * residual is never stored. Every sum has an order that depends on the
/// shape alone, and no product is contracted: the same bits for any thread count and instruction set.

#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/host/block_codec.hpp>
#include <ccomp/engine/host/lanes.hpp>

CCOMP_BEGIN
namespace detail {

/// n values as rows of `cols`; the last row may be short, as if zeros followed.
struct matrix_shape {
  std::size_t n = 0, rows = 0, cols = 0;

  [[nodiscard]] std::size_t row_length(std::size_t row) const { return std::min(cols, n - row * cols); }
  /// Rows are shared out in bands, which the sums of Q^T follow: at most 64 of at least 64 rows.
  [[nodiscard]] std::size_t band_rows() const { return std::max<std::size_t>(64, round_up(ceil_div(rows, 64), 4)); }
  [[nodiscard]] std::size_t bands() const { return ceil_div(rows, band_rows()); }
};

/// M itself: x, or x + decay * residual.
struct matrix_source {
  const_values x;
  residual_ref residual{};
  [[nodiscard]] bool direct() const {
    return x.type == element_type::float32 && (!residual || residual.type == element_type::float32);
  }
};

/// Rows that a kernel takes at once, so that it reads Q once for all of them; and vectors of Q, kept in registers.
inline constexpr std::size_t panel_rows = 4, panel_rank = 4;
/// Values of a row that are converted at once where M is not float.
inline constexpr std::size_t panel_cols = 1024;

/// `Rows` stretches of rows, and what the kernels do with them. Lengths are whole lanes.
template <std::size_t Rows> struct panel {
  float const* x[Rows];
  float* residual[Rows];  // null: none
  float* out[Rows];
};

template <std::size_t Bytes, bool Residual, std::size_t Rows>
[[gnu::always_inline]] inline void load_sum(lanes<Bytes>& v, panel<Rows> const& m, std::size_t row, std::size_t j,
                                            float decay) {
  if constexpr (Residual) {
    lanes<Bytes> x;
    x.load(m.x[row] + j);
    v.load(m.residual[row] + j);
    v.multiply(decay);
    v.add(x);
  } else {
    v.load(m.x[row] + j);
  }
}

/// sums[row][k][lane] += M[row][j] q[k][j], lane = j mod 16.
template <std::size_t Bytes, std::size_t Rank, bool Residual, std::size_t Rows>
[[gnu::always_inline]] inline void project_loop(panel<Rows> const& m, float decay, float const* q, std::size_t q_stride,
                                                std::size_t n, float* sums) {
  // As many sums as the registers hold; each is summed alike in any grouping.
  constexpr std::size_t g = Bytes == 64 ? Rows : 1, r = Bytes == 16 ? std::min<std::size_t>(Rank, 2) : Rank;
  for (std::size_t row = 0; row < Rows; row += g)
    for (std::size_t first = 0; first < Rank; first += r) {
      lanes<Bytes> sum[g][r];
      CCOMP_HOST_UNROLL(4)
      for (std::size_t i = 0; i < g; ++i) {
        CCOMP_HOST_UNROLL(4)
        for (std::size_t k = 0; k < r; ++k) sum[i][k].load(sums + ((row + i) * panel_rank + first + k) * lane_count);
      }
      for (std::size_t j = 0; j < n; j += lane_count) {
        lanes<Bytes> v[g];
        CCOMP_HOST_UNROLL(4)
        for (std::size_t i = 0; i < g; ++i) load_sum<Bytes, Residual>(v[i], m, row + i, j, decay);
        CCOMP_HOST_UNROLL(4)
        for (std::size_t k = 0; k < r; ++k) {
          lanes<Bytes> y;
          y.load(q + (first + k) * q_stride + j);
          CCOMP_HOST_UNROLL(4)
          for (std::size_t i = 0; i < g; ++i) sum[i][k].add_product(v[i], y);
        }
      }
      CCOMP_HOST_UNROLL(4)
      for (std::size_t i = 0; i < g; ++i) {
        CCOMP_HOST_UNROLL(4)
        for (std::size_t k = 0; k < r; ++k) sum[i][k].store(sums + ((row + i) * panel_rank + first + k) * lane_count);
      }
    }
}

/// q[k][j] += the sum over the panel's rows of M[row][j] p[row][k].
template <std::size_t Bytes, std::size_t Rank, bool Residual, std::size_t Rows>
[[gnu::always_inline]] inline void back_project_loop(panel<Rows> const& m, float decay, float const* p,
                                                     std::size_t p_stride, float* q, std::size_t q_stride,
                                                     std::size_t n) {
  float factor[Rows][Rank];
  for (std::size_t i = 0; i < Rows; ++i)
    for (std::size_t k = 0; k < Rank; ++k) factor[i][k] = p[i * p_stride + k];
  for (std::size_t j = 0; j < n; j += lane_count) {
    lanes<Bytes> v[Rows];
    CCOMP_HOST_UNROLL(4)
    for (std::size_t i = 0; i < Rows; ++i) load_sum<Bytes, Residual>(v[i], m, i, j, decay);
    CCOMP_HOST_UNROLL(4)
    for (std::size_t k = 0; k < Rank; ++k) {
      lanes<Bytes> term, sum;
      term.set_product(v[0], factor[0][k]);
      CCOMP_HOST_UNROLL(4)
      for (std::size_t i = 1; i < Rows; ++i) term.add_product(v[i], factor[i][k]);
      sum.load(q + k * q_stride + j);
      sum.add(term);
      sum.store(q + k * q_stride + j);
    }
  }
}

/// What `expand_loop` makes of a product: the first vectors of it, or more of them; and whether it takes them from M.
enum class expand_mode { write, add, write_and_residual, add_and_residual };

/// term[row] = p[row] q^T; out = term or += sign * term. With `own`: also residual = M - own_p own^T, or -= own_p own^T.
template <std::size_t Bytes, std::size_t Rank, expand_mode Mode, std::size_t Rows>
[[gnu::always_inline]] inline void expand_loop(panel<Rows> const& m, float decay, float const* p, float const* own_p,
                                               std::size_t p_stride, float sign, float const* q, float const* own,
                                               std::size_t q_stride, std::size_t n) {
  constexpr bool more = Mode == expand_mode::add || Mode == expand_mode::add_and_residual;
  constexpr bool updates = Mode == expand_mode::write_and_residual || Mode == expand_mode::add_and_residual;
  float factor[Rows][Rank], own_factor[Rows][Rank];
  for (std::size_t i = 0; i < Rows; ++i)
    for (std::size_t k = 0; k < Rank; ++k) {
      factor[i][k] = mul(sign, p[i * p_stride + k]);
      if constexpr (updates) own_factor[i][k] = own_p[i * p_stride + k];
    }
  auto product = [](lanes<Bytes>& sum, lanes<Bytes> const(&y)[Rank], float const(&f)[Rank]) {
    sum.set_product(y[0], f[0]);
    CCOMP_HOST_UNROLL(4)
    for (std::size_t k = 1; k < Rank; ++k) sum.add_product(y[k], f[k]);
  };
  for (std::size_t j = 0; j < n; j += lane_count) {
    lanes<Bytes> y[Rank];
    if constexpr (updates) {  // reads M before `out`, which may be x, is written
      lanes<Bytes> v[Rows];
      CCOMP_HOST_UNROLL(4)
      for (std::size_t k = 0; k < Rank; ++k) y[k].load(own + k * q_stride + j);
      CCOMP_HOST_UNROLL(4)
      for (std::size_t i = 0; i < Rows; ++i) {
        if constexpr (more)
          v[i].load(m.residual[i] + j);
        else
          load_sum<Bytes, true>(v[i], m, i, j, decay);
      }
      CCOMP_HOST_UNROLL(4)
      for (std::size_t i = 0; i < Rows; ++i) {
        lanes<Bytes> term;
        product(term, y, own_factor[i]);
        v[i].subtract(term);
        v[i].store(m.residual[i] + j);
      }
    }
    CCOMP_HOST_UNROLL(4)
    for (std::size_t k = 0; k < Rank; ++k) y[k].load(q + k * q_stride + j);
    CCOMP_HOST_UNROLL(4)
    for (std::size_t i = 0; i < Rows; ++i) {
      lanes<Bytes> term;
      product(term, y, factor[i]);
      if constexpr (more) {
        lanes<Bytes> sum;
        sum.load(m.out[i] + j);
        sum.add(term);
        sum.store(m.out[i] + j);
      } else {
        term.store(m.out[i] + j);
      }
    }
  }
}

/// Values from j on of up to `panel_rank` of the vectors of Q; of the last few, a copy padded with zeros to whole
/// lanes.
template <class T> struct vectors_view {
  T* data;
  std::size_t stride;
  vectors_view(T* q, std::size_t cols, std::size_t count, std::size_t j, std::size_t tail, float* buffer)
      : data(q + j), stride(cols) {
    if (tail == 0) return;
    std::memset(buffer, 0, panel_rank * lane_count * sizeof(float));
    for (std::size_t k = 0; k < count; ++k) std::memcpy(buffer + k * lane_count, data + k * cols, tail * sizeof(float));
    data = buffer;
    stride = lane_count;
  }
};

/// Calls `f(panel, j, n, tail)` for stretches of `Rows` rows from `row` on. `tail` is 0, or the panel is a copy of the
/// last `tail` values, padded with zeros to n = 16.
template <std::size_t Rows, class F>
void for_stretches(matrix_source const& s, matrix_shape const& shape, instruction_set isa, std::size_t row,
                   F const& f) {
  alignas(64) float tail_x[Rows][lane_count], tail_r[Rows][lane_count];
  std::size_t const length = shape.row_length(row);
  auto deliver = [&](panel<Rows> m, std::size_t j, std::size_t n) {
    std::size_t const whole = n / lane_count * lane_count, tail = n - whole;
    if (whole > 0) f(m, j, whole, std::size_t{0});
    if (tail == 0) return;
    for (std::size_t i = 0; i < Rows; ++i) {
      std::memset(tail_x[i], 0, sizeof tail_x[i]);
      std::memcpy(tail_x[i], m.x[i] + whole, tail * sizeof(float));
      m.x[i] = tail_x[i];
      if (!m.residual[i]) continue;
      std::memset(tail_r[i], 0, sizeof tail_r[i]);
      std::memcpy(tail_r[i], m.residual[i] + whole, tail * sizeof(float));
      m.residual[i] = tail_r[i];
    }
    f(m, j + whole, lane_count, tail);
  };
  if (s.direct()) {
    panel<Rows> m{};
    for (std::size_t i = 0; i < Rows; ++i) {
      m.x[i] = static_cast<float const*>(s.x.data) + (row + i) * shape.cols;
      if (s.residual) m.residual[i] = static_cast<float*>(s.residual.data) + (row + i) * shape.cols;
    }
    return deliver(m, 0, length);
  }
  alignas(64) float x[Rows][panel_cols], r[Rows][panel_cols];
  for (std::size_t j = 0; j < length; j += panel_cols) {
    std::size_t const n = std::min(panel_cols, length - j);
    panel<Rows> m{};
    for (std::size_t i = 0; i < Rows; ++i) {
      std::size_t const first = (row + i) * shape.cols + j;
      m.x[i] = load(isa, s.x, first, n, x[i]);
      if (!s.residual) continue;
      float const* const old = load(isa, {s.residual.data, s.residual.type, shape.n}, first, n, r[i]);
      if (old != r[i]) std::memcpy(r[i], old, n * sizeof(float));
      m.residual[i] = r[i];
    }
    deliver(m, j, n);
  }
}

/// Calls `f(row, rows)` for the panels of a band, `rows` an integral constant: panels are full rows, the rest alone.
template <class F> void for_panels(matrix_shape const& shape, std::size_t band, F const& f) {
  std::size_t row = band * shape.band_rows(), full = shape.n / shape.cols;
  std::size_t const end = std::min(shape.rows, row + shape.band_rows());
  for (; row + panel_rows <= std::min(end, full); row += panel_rows)
    f(row, std::integral_constant<std::size_t, panel_rows>{});
  for (; row < end; ++row) f(row, std::integral_constant<std::size_t, 1>{});
}

/// Calls `f(first, count)` for groups of the `rank` vectors that a kernel takes, `count` an integral constant.
template <class F> void for_vectors(std::size_t rank, F const& f) {
  std::size_t k = 0;
  for (; k + 4 <= rank; k += 4) f(k, std::integral_constant<std::size_t, 4>{});
  if (k + 2 <= rank) {
    f(k, std::integral_constant<std::size_t, 2>{});
    k += 2;
  }
  if (k < rank) f(k, std::integral_constant<std::size_t, 1>{});
}

/// What the three passes over a matrix share.
struct low_rank_passes {
  host_exec ex;
  instruction_set isa;
  matrix_shape shape;
  std::size_t rank;

  low_rank_passes(host_exec const& e, matrix_shape const& s, std::size_t r)
      : ex(e), isa(resolve_isa(e)), shape(s), rank(r) {}

  [[nodiscard]] std::size_t p_size() const { return shape.rows * rank; }
  [[nodiscard]] std::size_t q_size() const { return shape.cols * rank; }

  /// p [rows][rank] = M Q for q [rank][cols].
  void project(matrix_source const& s, float const* q, float* p) const {
    parallel_ranges(ex, shape.bands(), shape.band_rows() * shape.cols, [&](std::size_t begin, std::size_t end) {
      for (std::size_t band = begin; band < end; ++band)
        for_panels(shape, band, [&](std::size_t row, auto rows) {
          for_vectors(rank, [&](std::size_t k, auto count) {
            project_panel<decltype(rows)::value, decltype(count)::value>(s, row, k, q, p);
          });
        });
    });
  }

  /// q [rank][cols] = M^T P; `partial` holds bands() times as much.
  void back_project(matrix_source const& s, float const* p, float* q, float* partial) const {
    std::size_t const size = q_size();
    parallel_ranges(ex, shape.bands(), shape.band_rows() * shape.cols, [&](std::size_t begin, std::size_t end) {
      for (std::size_t band = begin; band < end; ++band) {
        float* const mine = partial + band * size;
        std::memset(mine, 0, size * sizeof(float));
        for_panels(shape, band, [&](std::size_t row, auto rows) {
          for_vectors(rank, [&](std::size_t k, auto count) {
            back_project_panel<decltype(rows)::value, decltype(count)::value>(s, row, k, p, mine);
          });
        });
      }
    });
    parallel_ranges(ex, ceil_div(size, tile_values), tile_values * shape.bands(),
                    [&](std::size_t begin, std::size_t end) {
                      std::size_t const first = begin * tile_values, last = std::min(size, end * tile_values);
                      run_narrow(isa, [&] { add_bands(partial, first, last, q); });
                    });
  }

  /// out = P Q^T, and residual = M - own_p own^T; all of them float.
  void expand_with_residual(matrix_source const& s, float const* p, float const* q, float const* own_p,
                            float const* own, float* out) const {
    parallel_ranges(ex, shape.bands(), shape.band_rows() * shape.cols, [&](std::size_t begin, std::size_t end) {
      for (std::size_t band = begin; band < end; ++band)
        for_panels(shape, band, [&](std::size_t row, auto rows) {
          for_vectors(rank, [&](std::size_t k, auto count) {
            if (k == 0)
              residual_panel<decltype(rows)::value, decltype(count)::value, expand_mode::write_and_residual>(
                  s, row, k, p, q, own_p, own, out);
            else
              residual_panel<decltype(rows)::value, decltype(count)::value, expand_mode::add_and_residual>(
                  s, row, k, p, q, own_p, own, out);
          });
        });
    });
  }

  /// out = values [first, first + n) of P Q^T.
  void expand(float const* p, float const* q, std::size_t first, std::size_t n, float* out) const {
    expand_values<expand_mode::write>(p, q, first, n, 1.0f, out);
  }
  /// out += sign * these.
  void expand_onto(float const* p, float const* q, std::size_t first, std::size_t n, float sign, float* out) const {
    expand_values<expand_mode::add>(p, q, first, n, sign, out);
  }

 private:
  template <std::size_t Rows, std::size_t Count>
  void project_panel(matrix_source const& s, std::size_t row, std::size_t k, float const* q, float* p) const {
    alignas(64) float sums[Rows * panel_rank * lane_count] = {}, vectors[panel_rank * lane_count];
    float const decay = s.residual.decay;
    for_stretches<Rows>(s, shape, isa, row, [&](panel<Rows> const& m, std::size_t j, std::size_t n, std::size_t tail) {
      vectors_view const y(q + k * shape.cols, shape.cols, Count, j, tail, vectors);
      run_lanes(isa, [&](auto bytes) {
        if (m.residual[0])
          project_loop<decltype(bytes)::value, Count, true>(m, decay, y.data, y.stride, n, sums);
        else
          project_loop<decltype(bytes)::value, Count, false>(m, decay, y.data, y.stride, n, sums);
      });
    });
    for (std::size_t i = 0; i < Rows; ++i)
      for (std::size_t c = 0; c < Count; ++c) {
        float* const lane = sums + (i * panel_rank + c) * lane_count;
        for (std::size_t half = lane_count / 2; half > 0; half /= 2)
          for (std::size_t l = 0; l < half; ++l) lane[l] = add(lane[l], lane[l + half]);
        p[(row + i) * rank + k + c] = lane[0];
      }
  }

  template <std::size_t Rows, std::size_t Count>
  void back_project_panel(matrix_source const& s, std::size_t row, std::size_t k, float const* p, float* q) const {
    alignas(64) float vectors[panel_rank * lane_count];
    float const decay = s.residual.decay;
    for_stretches<Rows>(s, shape, isa, row, [&](panel<Rows> const& m, std::size_t j, std::size_t n, std::size_t tail) {
      vectors_view const y(q + k * shape.cols, shape.cols, Count, j, tail, vectors);
      run_lanes(isa, [&](auto bytes) {
        if (m.residual[0])
          back_project_loop<decltype(bytes)::value, Count, true>(m, decay, p + row * rank + k, rank, y.data, y.stride,
                                                                 n);
        else
          back_project_loop<decltype(bytes)::value, Count, false>(m, decay, p + row * rank + k, rank, y.data, y.stride,
                                                                  n);
      });
      for (std::size_t c = 0; tail > 0 && c < Count; ++c)
        std::memcpy(q + (k + c) * shape.cols + j, vectors + c * lane_count, tail * sizeof(float));
    });
  }

  template <std::size_t Rows, std::size_t Count, expand_mode Mode>
  void residual_panel(matrix_source const& s, std::size_t row, std::size_t k, float const* p, float const* q,
                      float const* own_p, float const* own, float* out) const {
    alignas(64) float vectors[panel_rank * lane_count], own_vectors[panel_rank * lane_count];
    alignas(64) float tail_out[Rows][lane_count] = {};
    for_stretches<Rows>(s, shape, isa, row, [&](panel<Rows> m, std::size_t j, std::size_t n, std::size_t tail) {
      vectors_view const y(q + k * shape.cols, shape.cols, Count, j, tail, vectors);
      vectors_view const z(own + k * shape.cols, shape.cols, Count, j, tail, own_vectors);
      for (std::size_t i = 0; i < Rows; ++i) {
        m.out[i] = out + (row + i) * shape.cols + j;
        if (tail == 0) continue;
        std::memcpy(tail_out[i], m.out[i], tail * sizeof(float));
        m.out[i] = tail_out[i];
      }
      run_lanes(isa, [&](auto bytes) {
        expand_loop<decltype(bytes)::value, Count, Mode>(
            m, s.residual.decay, p + row * rank + k, own_p + row * rank + k, rank, 1.0f, y.data, z.data, y.stride, n);
      });
      auto* const residual = static_cast<float*>(s.residual.data);
      for (std::size_t i = 0; tail > 0 && i < Rows; ++i) {
        std::memcpy(out + (row + i) * shape.cols + j, tail_out[i], tail * sizeof(float));
        std::memcpy(residual + (row + i) * shape.cols + j, m.residual[i], tail * sizeof(float));
      }
    });
  }

  template <expand_mode First>
  void expand_values(float const* p, float const* q, std::size_t first, std::size_t n, float sign, float* out) const {
    for (std::size_t done = 0; done < n;) {
      std::size_t const row = (first + done) / shape.cols, j = (first + done) % shape.cols;
      std::size_t const m = std::min(shape.cols - j, n - done);
      for_vectors(rank, [&](std::size_t k, auto count) {
        constexpr std::size_t vectors = decltype(count)::value;
        if (k == 0)
          expand_row<vectors, First>(p + row * rank, q, j, m, sign, out + done);
        else
          expand_row<vectors, expand_mode::add>(p + row * rank + k, q + k * shape.cols, j, m, sign, out + done);
      });
      done += m;
    }
  }
  template <std::size_t Count, expand_mode Mode>
  void expand_row(float const* p, float const* q, std::size_t j, std::size_t n, float sign, float* out) const {
    std::size_t const whole = n / lane_count * lane_count, tail = n - whole;
    auto loop = [&](vectors_view<float const> const& y, std::size_t size, float* to) {
      panel<1> m{};
      m.out[0] = to;
      run_lanes(isa, [&](auto bytes) {
        expand_loop<decltype(bytes)::value, Count, Mode>(m, 1.0f, p, nullptr, rank, sign, y.data, nullptr, y.stride,
                                                         size);
      });
    };
    if (whole > 0) loop({q, shape.cols, Count, j, 0, nullptr}, whole, out);
    if (tail == 0) return;
    alignas(64) float values[lane_count] = {}, vectors[panel_rank * lane_count];
    std::memcpy(values, out + whole, tail * sizeof(float));
    loop({q, shape.cols, Count, j + whole, tail, vectors}, lane_count, values);
    std::memcpy(out + whole, values, tail * sizeof(float));
  }

  void add_bands(float const* partial, std::size_t first, std::size_t last, float* q) const {
    std::memcpy(q + first, partial + first, (last - first) * sizeof(float));
    for (std::size_t band = 1; band < shape.bands(); ++band) {
      float const* CCOMP_RESTRICT const x = partial + band * q_size();
      for (std::size_t i = first; i < last; ++i) q[i] = add(q[i], x[i]);
    }
  }
};

}  // namespace detail
CCOMP_END
