#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/relative_bound.hpp>
#include <ccomp/core/sampled_bound.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/host/scatter.hpp>
#include <ccomp/engine/host/selection.hpp>
#include <ccomp/sparsify/counted_header.hpp>
#include <ccomp/sparsify/selected_count.hpp>

#include <algorithm>

CCOMP_BEGIN
/// Selects about k values of largest magnitude, and never more: those that reach a bound found from a sample.
///
/// Shapes:      in [n] -> m indices, carrier [m] in ascending order of index; m <= k; k = count if that is not 0, else
///              floor(ratio n) (in double precision), at least 1 and at most n
/// Bound:       the magnitude that 0.9 k values of the tensor reach, as a sample of 8192 values tells; for n <= 8192, where
///              the sample is the tensor, the one that k values reach, so that m = k but for equal values and zeros.
///              If more than k values reach it, or fewer than 0.8 k, the rank in the sample is multiplied by 0.9 k /
///              (values that reached it), at most twice. Of the bounds tried, the one that most values reach, k at most,
///              is taken; if more than k reach all of them, the one that the fewest reach. Zeros are never selected
/// Payload:     pad16(8 + coded indices for k) + the payload of m values; the side bytes start with m and the number of
///              values left out, u32 each
/// Overflow:    if more than k values reach the bound, the first ones from index s on are sent, continuing at index 0
///              after the end, as by threshold; the others are counted as left out and stay in the residual
/// Guarantee:   all values sent are at least as large as the bound, and all others smaller, but for an overflow. Usually
///              0.8 k <= m <= k. With fewer than about 100 / 8192 of the values wanted, or many equal ones, m strays
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    reach every bound, are sent unchanged, and take precedence over finite values
/// Throws:      invalid_argument: ratio outside (0, 1], n >= 2^32; payload_error: counts and indices that no encode
///              produces; checked before anything is written
/// Source:      Lin, Han, Mao, Wang, Dally, "Deep Gradient Compression", ICLR 2018 (sampled bounds)
struct approximate_top_k {
  static constexpr std::string_view name = "approximate_top_k";
  static constexpr bool is_linear = false;
  static constexpr bool is_unbiased = false;
  static constexpr bool stochastic = true;  // where an overflow begins is drawn by the step

  double ratio = 0.01;
  std::uint64_t count = 0;
  index_coding indices = index_coding::automatic;
  std::size_t payloads = 1;  // set by sum_of: room for what so many payloads hold

  static constexpr auto fields() {
    return std::tuple{field{"ratio", &approximate_top_k::ratio}, field{"count", &approximate_top_k::count},
                      field{"indices", &approximate_top_k::indices}};
  }
  void validate() const { detail::expect_ratio(ratio, name, "ratio"); }

  static constexpr std::size_t header_bytes = detail::counted_header::bytes;

  [[nodiscard]] std::size_t carrier_size(std::size_t n) const {
    return detail::selected_of_sum(detail::selected_count(ratio, count, n, name), payloads, n);
  }
  /// Keeps all values of the sum of so many payloads: those that are not zero.
  [[nodiscard]] approximate_top_k sum_of(std::size_t number) const {
    approximate_top_k wide = *this;
    wide.payloads = number;
    return wide;
  }
  [[nodiscard]] std::size_t side_bytes(std::size_t n) const { return n == 0 ? 0 : header_bytes + layout(n).bytes(); }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    std::size_t const most = carrier_size(n);
    return detail::scratch::bytes_for<std::uint32_t>(most) + detail::candidates::bytes(n, most) +
           detail::scratch::bytes_for<float>(detail::bound_search(n, most).sampled);
  }
  [[nodiscard]] index_layout layout(std::size_t n) const { return {indices, n, carrier_size(n)}; }
  /// An overflow may leave out the largest values.
  [[nodiscard]] double contraction(std::size_t) const { return 0; }

  /// How many values reached the bound and found no room; `side` may be the whole payload.
  static std::size_t overflow(std::span<std::byte const> side) {
    return detail::counted_header::read(side, name).left_out;
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> scratch, pass_options const& at) const {
    if (in.empty()) return 0;
    instruction_set const isa = detail::resolve_isa(ex);
    std::size_t const most = carrier_size(in.size());
    detail::bound_search search(in.size(), most);
    detail::scratch memory(scratch);
    auto* const index = memory.take<std::uint32_t>(most);
    auto* const sample = memory.take<float>(search.sampled);
    auto const start = static_cast<std::size_t>(detail::overflow_start(at.at, at.tensor, in.size()));
    auto const select = [&](std::uint32_t key) {
      return detail::select_reaching(ex, in, key, most, start, memory, index, carrier.data());
    };
    detail::reaching found;
    if (keeps_all()) {
      found = select(1);
    } else {
      detail::draw_sample(ex, isa, in, search.sampled, sample);
      for (std::uint32_t key = 0; !search.ended || key != search.key;) {
        key = search.ended ? search.key
                           : std::max(1u, detail::kth_key({1, isa}, isa, sample, search.sampled, search.rank).low);
        found = select(key);
        if (!search.ended) search.judge(key, found.selected + found.left_out);
      }
    }
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
  /// Of a sum: there is room for all that is not zero.
  [[nodiscard]] bool keeps_all() const { return payloads > 1; }
};

template <> inline constexpr bool detail::standard_stage<approximate_top_k> = true;

CCOMP_END

#if CCOMP_DEVICE_CODE
#include <ccomp/sparsify/approximate_top_k.cuh>
#endif
