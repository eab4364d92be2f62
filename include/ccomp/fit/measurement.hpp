#pragma once
/// What a compressor makes of data: its error and its size.

#include <ccomp/any_compressor.hpp>
#include <ccomp/codec.hpp>
#include <ccomp/fit/samples.hpp>

#include <limits>
#include <string>

CCOMP_BEGIN

struct fit_measurement {
  double squared_error = 0, squared_norm = 0;  // sums of (x - Q(x))^2 and of x^2, over all samples
  std::size_t values = 0, samples = 0;         // values of one sample
  std::size_t left_out = 0;                    // values of all samples in runs of 4096 that hold NaN or Inf
  std::size_t payload_bytes = 0;               // of one sample, scales included; for threshold, what it may take

  /// 0 for data of zeros that decodes to zeros.
  [[nodiscard]] double relative_error() const { return squared_error > 0 ? squared_error / squared_norm : 0; }
  [[nodiscard]] double bits_per_value() const {
    return 8 * static_cast<double>(payload_bytes) / static_cast<double>(values);
  }
};

/// A compressor with the settings that were found, and how it did on the data.
struct fitted_compressor {
  any_compressor compressor;
  fit_measurement measured;
  [[nodiscard]] std::string text() const { return compressor.text(); }
};

/// Encodes and decodes each sample (the samples are steps 0, 1, ... to chains that draw random bits), into its own element
/// type.
///
/// Determinism: the same bits for every thread count and instruction set. Differences are rounded to float32; squares are
///              added in float64, 128 partial sums per 4096 values, then run after run and sample after sample
/// NaN, Inf:    runs of 4096 values that hold one are left out; an error that is not finite is infinite
/// Throws:      invalid_argument: no values, or none left
fit_measurement measure_error(host_exec const& ex, fit_samples const& data, any_compressor const& c);

namespace detail {

/// Measures one compressor after another on the same data.
class fit_bench {
 public:
  fit_bench(std::string const& call, host_exec const& ex, fit_samples const& data)
      : ex_(ex), data_(call, ex, data), ws_(ex), payload_(ex), decoded_(ex, data_.n() * element_bytes(data_.type())) {}

  [[nodiscard]] finite_samples const& data() const { return data_; }
  [[nodiscard]] host_exec const& ex() const { return ex_; }
  [[nodiscard]] std::size_t payload_bytes(any_compressor const& c) const {
    return capacity(c.stages(), data_.n(), data_.type());
  }
  [[nodiscard]] fitted_compressor measure(any_compressor c);

 private:
  [[nodiscard]] double squared_error(const_values x, values y);

  host_exec ex_;
  finite_samples data_;
  workspace<host_exec> ws_;
  storage<std::byte, host_exec> payload_, decoded_;
  std::vector<double> squares_;
};

}  // namespace detail

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION fit_measurement measure_error(host_exec const& ex, fit_samples const& data, any_compressor const& c) {
  return detail::fit_bench("measure_error", ex, data).measure(c).measured;
}

namespace detail {

CCOMP_FUNCTION double fit_bench::squared_error(const_values x, values y) {
  auto const isa = resolve_isa(ex_);
  squares_.resize(data_.tiles());
  parallel_ranges(ex_, data_.tiles(), tile_values, [&](std::size_t begin, std::size_t end) {
    alignas(64) float in[tile_values], out[tile_values], off[tile_values];
    for (std::size_t t = begin; t < end; ++t) {
      std::size_t const first = t * tile_values, m = std::min(tile_values, x.n - first);
      float const *const a = load(isa, x, first, m, in), *const b = load(isa, y, first, m, out);
      run(isa, [&] {
        for (std::size_t i = 0; i < m; ++i) off[i] = sub(a[i], b[i]);
        squares_[t] = scan<sum_squares>(off, m).sum[0];
      });
    }
  });
  double sum = 0;
  for (double const each : squares_) sum += each;
  return sum;
}

CCOMP_FUNCTION fitted_compressor fit_bench::measure(any_compressor c) {
  constexpr auto call = "measure_error";
  fit_measurement m{0, data_.squared_norm(), data_.n(), data_.each().size(), data_.left_out(), payload_bytes(c)};
  if (payload_.size() < m.payload_bytes) payload_ = storage<std::byte, host_exec>(ex_, m.payload_bytes);
  values const y{decoded_.span().data(), data_.type(), data_.n()};
  for (std::size_t s = 0; s < m.samples; ++s) {
    pass_options const at{.at = s};
    auto const payload = payload_.span().first(m.payload_bytes);
    auto const used = encode_tensor<false>(call, ex_, c, data_.each()[s], {}, payload, ws_, at);
    decode_tensor(call, ex_, c, payload.first(used), y, false, ws_, at);
    m.squared_error += squared_error(data_.each()[s], y);
  }
  if (!(m.squared_error < std::numeric_limits<double>::infinity()))
    m.squared_error = std::numeric_limits<double>::infinity();
  return {std::move(c), m};
}

}  // namespace detail
#endif
CCOMP_END
