#pragma once
/// Puts a carrier back where its values came from.

#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/index_code.hpp>

CCOMP_BEGIN
namespace detail {

/// A value looked up out of order costs about as much as this many in a row.
inline constexpr std::size_t scatter_weight = 16;

/// A payload that announces no index holds none.
inline void expect_no_indices(host_exec const& ex, index_layout const& l, std::span<std::byte const> side,
                              std::string_view stage) {
  if (l.map_bytes > 0) static_cast<void>(coded_indices(ex, l, side, 0, 1, stage));
}

/// The indices, as many as there is room for in `index`.
inline void read_indices(host_exec const& ex, index_layout const& l, std::span<std::byte const> side,
                         std::span<std::uint32_t> index, std::string_view stage) {
  if (index.empty()) return expect_no_indices(ex, l, side, stage);
  static_cast<void>(coded_indices(ex, l, side, index.size(), scatter_weight, stage, index.data()));
}

/// out = 0 but for carrier[i] at index i. Nothing is written unless the side bytes are good.
inline void scatter(host_exec const& ex, index_layout const& l, std::span<std::byte const> side,
                    std::span<float const> carrier, std::span<float> out, std::string_view stage) {
  if (carrier.empty()) {
    expect_no_indices(ex, l, side, stage);
    parallel_ranges(ex, out.size(), 1, [&](std::size_t begin, std::size_t end) {
      std::memset(out.data() + begin, 0, (end - begin) * sizeof(float));
    });
    return;
  }
  std::size_t const weight = std::max(scatter_weight, out.size() / carrier.size());
  coded_indices const indices(ex, l, side, carrier.size(), weight, stage);
  indices.visit_ranges([&](std::size_t entry, std::span<std::uint32_t const> index, std::size_t from, std::size_t to) {
    std::memset(out.data() + from, 0, (to - from) * sizeof(float));
    for (std::size_t i = 0; i < index.size(); ++i) out[index[i]] = canonical(carrier[entry + i]);
  });
}

/// out += sign * carrier, value by value. See `add_signed`.
inline void scatter_add(host_exec const& ex, index_layout const& l, std::span<std::byte const> side,
                        std::span<float const> carrier, std::span<float> out, float sign, std::string_view stage) {
  if (carrier.empty()) return expect_no_indices(ex, l, side, stage);
  coded_indices const indices(ex, l, side, carrier.size(), scatter_weight, stage);
  indices.visit([&](std::size_t entry, std::span<std::uint32_t const> index) {
    for (std::size_t i = 0; i < index.size(); ++i) {
      float& to = out[index[i]];
      to = add_signed(to, sign, carrier[entry + i]);
    }
  });
}

}  // namespace detail
CCOMP_END
