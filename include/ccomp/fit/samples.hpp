#pragma once
/// The data that settings are fitted to.

#include <ccomp/core/storage.hpp>
#include <ccomp/core/tensor.hpp>
#include <ccomp/engine/host/convert.hpp>
#include <ccomp/engine/host/parallel.hpp>
#include <ccomp/engine/host/statistic.hpp>

#include <ranges>
#include <span>
#include <string>
#include <vector>

CCOMP_BEGIN
namespace detail {

template <class R>
concept tensor_list = std::ranges::input_range<R const&> && tensor_range<std::ranges::range_value_t<R> const>;

}  // namespace detail

/// One tensor, or several samples of it, such as its gradients of the last steps: all of the same size and element type.
/// It holds no values, so the tensors must live as long as it does.
class fit_samples {
 public:
  fit_samples() = default;
  template <detail::tensor_range R> fit_samples(R const& tensor) { add(tensor); }
  template <detail::tensor_list R> fit_samples(R const& samples) {
    for (auto const& each : samples) add(each);
  }
  template <class Tensor> void add(Tensor const& sample) { add(detail::view(detail::input_span(sample))); }
  void add(detail::const_values sample);

  [[nodiscard]] std::span<detail::const_values const> each() const noexcept { return samples_; }

 private:
  std::vector<detail::const_values> samples_;
};

namespace detail {

/// Samples without what is not finite: runs of 4096 values that hold NaN or Inf are zeros. Blocks divide into such runs, so
/// every compressor is tried on the same values.
class finite_samples {
 public:
  /// Throws invalid_argument, in the name of `call`, where there are no values, or none is left.
  finite_samples(std::string const& call, host_exec const& ex, fit_samples const& given);

  [[nodiscard]] std::span<const_values const> each() const { return samples_; }
  [[nodiscard]] std::size_t n() const { return samples_[0].n; }
  [[nodiscard]] element_type type() const { return samples_[0].type; }
  [[nodiscard]] std::size_t tiles() const { return ceil_div(n(), tile_values); }
  [[nodiscard]] bool is_left_out(std::size_t sample, std::size_t tile) const {
    return left_out_[sample * tiles() + tile] != 0;
  }
  /// Values of all samples.
  [[nodiscard]] std::size_t left_out() const { return left_out_count_; }
  [[nodiscard]] double squared_norm() const { return squared_norm_; }

 private:
  std::vector<const_values> samples_;
  std::vector<storage<std::byte, host_exec>> copies_;  // of the samples that are not whole
  std::vector<char> left_out_;
  std::size_t left_out_count_ = 0;
  double squared_norm_ = 0;
};

}  // namespace detail

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void fit_samples::add(detail::const_values sample) {
  detail::expects(samples_.empty() || (sample.n == samples_[0].n && sample.type == samples_[0].type), [&] {
    return detail::sentence("fit_samples: sample ", samples_.size(), " has ", sample.n, " values of ",
                            element_name(sample.type), ", sample 0 has ", samples_[0].n, " of ",
                            element_name(samples_[0].type), "; give each tensor its own fit_samples");
  });
  samples_.push_back(sample);
}

namespace detail {

CCOMP_FUNCTION finite_samples::finite_samples(std::string const& call, host_exec const& ex, fit_samples const& given)
    : samples_(given.each().begin(), given.each().end()) {
  expects(!samples_.empty() && n() > 0, [&] { return sentence(call, ": the data has no values"); });
  auto const isa = resolve_isa(ex);
  left_out_.resize(samples_.size() * tiles());
  std::vector<double> squares(tiles());
  for (std::size_t s = 0; s < samples_.size(); ++s) {
    char* const left_out = left_out_.data() + s * tiles();
    parallel_ranges(ex, tiles(), tile_values, [&](std::size_t begin, std::size_t end) {
      alignas(64) float buffer[tile_values];
      for (std::size_t t = begin; t < end; ++t) {
        std::size_t const m = std::min(tile_values, n() - t * tile_values);
        float const* const x = load(isa, samples_[s], t * tile_values, m, buffer);
        sum_squares sum;
        run(isa, [&] { sum = scan<sum_squares>(x, m); });
        left_out[t] = sum.finite() ? 0 : 1;
        squares[t] = sum.finite() ? sum.sum[0] : 0;
      }
    });
    std::size_t const bytes = element_bytes(type());
    std::byte* copy = nullptr;
    for (std::size_t t = 0; t < tiles(); ++t) {
      squared_norm_ += squares[t];
      if (!left_out[t]) continue;
      if (!copy) {
        copies_.emplace_back(ex, n() * bytes);
        copies_.back().load(samples_[s].data);
        copy = copies_.back().span().data();
        samples_[s].data = copy;
      }
      std::size_t const m = std::min(tile_values, n() - t * tile_values);
      std::memset(copy + t * tile_values * bytes, 0, m * bytes);
      left_out_count_ += m;
    }
  }
  expects(left_out_count_ < samples_.size() * n(),
          [&] { return sentence(call, ": each run of ", tile_values, " values of the data holds NaN or Inf"); });
}

}  // namespace detail
#endif
CCOMP_END
