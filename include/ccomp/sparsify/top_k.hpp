#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/host/scatter.hpp>
#include <ccomp/engine/host/selection.hpp>
#include <ccomp/sparsify/selected_count.hpp>

CCOMP_BEGIN

/// Selects the k values of largest magnitude, exactly.
///
/// Shapes:      in [n] -> k indices, carrier [k] in ascending order of index; k = count if that is not 0, else
///              floor(ratio n) (in double precision); k is at least 1 and at most n, and 0 for n = 0
/// Payload:     pad16(coded indices) + the carrier's payload; depends on n only. raw: 4 k bytes; packed:
///              8 ceil(k l / 64) + 8 ceil((k + (n >> l) + 1) / 64), l = floor(log2(n / k)); bitmap: 8 ceil(n / 64);
///              automatic: the smallest of these
/// Ties:        of equal magnitudes, the one with the smaller index is selected
/// Guarantee:   no other choice of k values has a smaller error; contraction k / n
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    rank above all other values (NaN above Inf, by their bits) and are sent unchanged
/// Throws:      invalid_argument: ratio outside (0, 1], n >= 2^32; payload_error: indices that are not ascending or not
///              below n; checked before anything is written
/// Source:      Aji, Heafield, "Sparse communication for distributed gradient descent", EMNLP 2017; index coding:
///              Elias, "Efficient storage and retrieval by content and address of static files", J. ACM 1974
struct top_k {
  static constexpr std::string_view name = "top_k";
  static constexpr bool is_linear = false;
  static constexpr bool is_unbiased = false;

  double ratio = 0.01;
  std::uint64_t count = 0;
  index_coding indices = index_coding::automatic;
  std::size_t payloads = 1;  // set by sum_of: room for what so many payloads hold

  static constexpr auto fields() {
    return std::tuple{field{"ratio", &top_k::ratio}, field{"count", &top_k::count}, field{"indices", &top_k::indices}};
  }
  void validate() const { detail::expect_ratio(ratio, name, "ratio"); }

  [[nodiscard]] std::size_t carrier_size(std::size_t n) const {
    return detail::selected_of_sum(detail::selected_count(ratio, count, n, name), payloads, n);
  }
  /// Keeps all values of the sum of so many payloads.
  [[nodiscard]] top_k sum_of(std::size_t number) const {
    top_k wide = *this;
    wide.payloads = number;
    return wide;
  }
  [[nodiscard]] std::size_t side_bytes(std::size_t n) const { return layout(n).bytes(); }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    std::size_t const k = carrier_size(n);
    return detail::scratch::bytes_for<std::uint32_t>(k) + detail::selection_bytes({n, k});
  }
  [[nodiscard]] index_layout layout(std::size_t n) const { return {indices, n, carrier_size(n)}; }
  /// The squared error is at most (1 - contraction) times the squared norm.
  [[nodiscard]] double contraction(std::size_t n) const {
    return n == 0 ? 1 : static_cast<double>(carrier_size(n)) / static_cast<double>(n);
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> scratch, pass_options const&) const {
    std::size_t const k = carrier_size(in.size());
    if (k == 0) return 0;
    detail::scratch memory(scratch);
    auto* const index = memory.take<std::uint32_t>(k);
    detail::select_largest(ex, in, k, memory, index, carrier.data());
    detail::encode_indices(ex, layout(in.size()), {index, k}, side.data());
    return k;
  }
  void decode(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
              std::span<float> out, std::span<std::byte>, pass_options const&) const {
    detail::scatter(ex, layout(out.size()), side, carrier, out, name);
  }
  void accumulate(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
                  std::span<float> out, float sign, pass_options const&) const {
    detail::scatter_add(ex, layout(out.size()), side, carrier, out, sign, name);
  }
  void read_indices(host_exec const& ex, std::span<std::byte const> side, std::span<std::uint32_t> index,
                    std::size_t n) const {
    detail::read_indices(ex, layout(n), side, index, name);
  }
};

template <> inline constexpr bool detail::standard_stage<top_k> = true;

CCOMP_END

#if CCOMP_DEVICE_CODE
#include <ccomp/sparsify/top_k.cuh>
#endif
