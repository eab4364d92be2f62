#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/relative_bound.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/host/scatter.hpp>
#include <ccomp/engine/host/selection.hpp>
#include <ccomp/engine/host/statistic.hpp>
#include <ccomp/sparsify/counted_header.hpp>
#include <ccomp/sparsify/selected_count.hpp>

#include <algorithm>
#include <cstring>

CCOMP_BEGIN
/// Selects the values whose magnitude reaches a bound, up to a capacity.
///
/// Shapes:      in [n] -> m indices, carrier [m] in ascending order of index; m <= max(1, floor(capacity_ratio n))
/// Bound:       |x| >= value; with value = 0, |x| >= relative * sqrt(sum x^2 / n) over the finite x (in double, rounded
///              to float), or |x| >= max|x| if that bound is smaller. Zeros are never selected.
/// Payload:     pad16(8 + coded indices for the capacity) + the payload of m values; the side bytes start with m and
///              the number of values left out, u32 each
/// Overflow:    if more values reach the bound than fit, the first ones from index s on are sent, continuing at index 0
///              after the end; s = hash64(hash64(0, step), tensor id) mod n, so that every value is sent after some
///              steps. If some of them are not finite, only those are sent. The others stay in the residual of error
///              feedback. `threshold::overflow(payload)` counts them, and so do `collective_report::overflowed` on the
///              host and `workspace::check()` on a GPU
/// Guarantee:   values that are left out and did not overflow are smaller than the bound. Contraction: with `value` 0,
///              since a tensor may have no value that large (but the residual of error feedback stays below the bound);
///              without it min(1, relative^2) / n. With error feedback, a relative bound above 1 increases with the
///              residual, and less and less is sent: choose a `value`, or a relative bound of at most 1
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    always reach the bound, are sent unchanged, and take precedence over finite values
/// Throws:      invalid_argument: a negative or infinite value or relative, both 0, capacity_ratio outside (0, 1], n >=
///              2^32; payload_error: counts and indices that no encode produces; checked before anything is written
/// Source:      Strom, "Scalable distributed DNN training using commodity GPU cloud computing", Interspeech 2015
struct threshold {
  static constexpr std::string_view name = "threshold";
  static constexpr bool is_linear = false;
  static constexpr bool is_unbiased = false;
  static constexpr bool stochastic = true;  // where an overflow begins is drawn by the step

  float value = 0;
  float relative = 1;
  double capacity_ratio = 0.05;
  index_coding indices = index_coding::automatic;
  std::size_t payloads = 1;  // set by sum_of: room for what so many payloads hold

  static constexpr auto fields() {
    return std::tuple{field{"value", &threshold::value}, field{"relative", &threshold::relative},
                      field{"capacity_ratio", &threshold::capacity_ratio}, field{"indices", &threshold::indices}};
  }
  void validate() const {
    detail::expect_bound(name, value, relative);
    detail::expect_ratio(capacity_ratio, name, "capacity_ratio");
  }

  static constexpr std::size_t header_bytes = detail::counted_header::bytes;

  [[nodiscard]] std::size_t carrier_size(std::size_t n) const {
    return detail::selected_of_sum(detail::selected_count(capacity_ratio, 0, n, name), payloads, n);
  }
  /// Keeps all values of the sum of so many payloads: those that are not zero.
  [[nodiscard]] threshold sum_of(std::size_t number) const {
    threshold wide = *this;
    wide.value = 0x1p-149f;
    wide.payloads = number;
    return wide;
  }
  [[nodiscard]] std::size_t side_bytes(std::size_t n) const { return n == 0 ? 0 : header_bytes + layout(n).bytes(); }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    std::size_t const most = carrier_size(n);
    return detail::scratch::bytes_for<std::uint32_t>(most) + detail::candidates::bytes(n, most) +
           detail::scratch::bytes_for<tile_norm>(detail::ceil_div(n, detail::tile_values));
  }
  [[nodiscard]] index_layout layout(std::size_t n) const { return {indices, n, carrier_size(n)}; }
  [[nodiscard]] double contraction(std::size_t n) const {
    if (n == 0) return 1;
    double const r = std::min(static_cast<double>(relative), 1.0);
    return value > 0 ? 0 : r * r / static_cast<double>(n);
  }

  /// How many values reached the bound and found no room; `side` may be the whole payload.
  static std::size_t overflow(std::span<std::byte const> side) {
    return detail::counted_header::read(side, name).left_out;
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> scratch, pass_options const& at) const {
    if (in.empty()) return 0;
    std::size_t const most = carrier_size(in.size());
    detail::scratch memory(scratch);
    auto* const index = memory.take<std::uint32_t>(most);
    auto* const tiles = memory.take<tile_norm>(detail::ceil_div(in.size(), detail::tile_values));
    float const bound = value > 0 ? value : relative_bound(ex, in, tiles);
    std::uint32_t const key = detail::reaching_key(bound);
    auto const start = static_cast<std::size_t>(detail::overflow_start(at.at, at.tensor, in.size()));
    auto const found = detail::select_reaching(ex, in, key, most, start, memory, index, carrier.data());
    detail::counted_header{static_cast<std::uint32_t>(found.selected), static_cast<std::uint32_t>(found.left_out)}
        .write(side);
    detail::encode_indices(ex, layout(in.size()), {index, found.selected}, side.data() + header_bytes);
    return found.selected;
  }
  [[nodiscard]] std::size_t carrier_count(std::span<std::byte const> side, std::size_t n) const {
    return detail::counted_header::count(side, n, carrier_size(n), name);
  }
  void decode(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
              std::span<float> out, std::span<std::byte>, pass_options const&) const {
    detail::counted_header::expect_carried(carrier_count(side, out.size()), carrier.size(), name);
    detail::scatter(ex, layout(out.size()), detail::counted_header::behind(side), carrier, out, name);
  }
  void accumulate(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
                  std::span<float> out, float sign, pass_options const&) const {
    detail::counted_header::expect_carried(carrier_count(side, out.size()), carrier.size(), name);
    detail::scatter_add(ex, layout(out.size()), detail::counted_header::behind(side), carrier, out, sign, name);
  }
  void read_indices(host_exec const& ex, std::span<std::byte const> side, std::span<std::uint32_t> index,
                    std::size_t n) const {
    detail::counted_header::expect_carried(carrier_count(side, n), index.size(), name);
    detail::read_indices(ex, layout(n), detail::counted_header::behind(side), index, name);
  }

 private:
  struct tile_norm {
    double squares;
    float largest;
  };
  [[nodiscard]] float relative_bound(host_exec const& ex, std::span<float const> in, tile_norm* norms) const {
    instruction_set const isa = detail::resolve_isa(ex);
    std::size_t const tiles = detail::ceil_div(in.size(), detail::tile_values);
    detail::parallel_ranges(ex, tiles, detail::tile_values, [&](std::size_t begin, std::size_t end) {
      detail::run_narrow(isa, [&] {
        for (std::size_t t = begin; t < end; ++t) {
          std::size_t const first = t * detail::tile_values, left = in.size() - first;
          std::size_t const n = left < detail::tile_values ? left : detail::tile_values;
          float const* const x = in.data() + first;
          std::uint32_t largest = 0;
          for (std::size_t i = 0; i < n; ++i) {
            std::uint32_t const key = detail::magnitude_key(detail::finite_or_zero(x[i]));
            largest = key > largest ? key : largest;
          }
          norms[t] = {detail::scan<detail::finite_squares>(x, n).sum[0], detail::bits_float(largest)};
        }
      });
    });
    float largest = 0;
    for (std::size_t t = 0; t < tiles; ++t) largest = std::max(largest, norms[t].largest);
    double const squares = detail::sum_as_in_tile(tiles, [&](std::size_t t) { return norms[t].squares; });
    return detail::relative_bound(relative, squares, in.size(), largest);
  }
};

template <> inline constexpr bool detail::standard_stage<threshold> = true;

CCOMP_END

#if CCOMP_DEVICE_CODE
#include <ccomp/sparsify/threshold.cuh>
#endif
