#pragma once
/// The first part of the side bytes of a sparsifier whose input decides how many values it selects.

#include <ccomp/core/error.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

CCOMP_BEGIN
namespace detail {

struct counted_header {
  std::uint32_t selected, left_out;

  static constexpr std::size_t bytes = 8;

  static counted_header read(std::span<std::byte const> side, std::string_view stage) {
    if (side.empty()) return {0, 0};
    expects<payload_error>(side.size() >= bytes,
                           [&] { return sentence(stage, ": the payload ends within its counts"); });
    counted_header h;
    std::memcpy(&h, side.data(), sizeof h);
    return h;
  }
  void write(std::span<std::byte> side) const { std::memcpy(side.data(), this, sizeof *this); }
  static std::span<std::byte const> behind(std::span<std::byte const> side) {
    return side.empty() ? side : side.subspan(bytes);
  }
  /// How many of n values, or blocks, are selected, at most `most`.
  static std::size_t count(std::span<std::byte const> side, std::size_t n, std::size_t most, std::string_view stage) {
    if (n == 0) return 0;
    counted_header const h = read(side, stage);
    expects<payload_error>(h.selected <= most && std::uint64_t{h.selected} + h.left_out <= n, [&] {
      return sentence(stage, ": the payload claims ", h.selected, " selected and ", h.left_out, " left out; ", most,
                      " of ", n, " fit");
    });
    return h.selected;
  }
  static void expect_carried(std::size_t counted, std::size_t carried, std::string_view stage) {
    expects<payload_error>(counted == carried, [&] {
      return sentence(stage, ": the payload counts ", counted, " values, the carrier holds ", carried);
    });
  }
};
static_assert(sizeof(counted_header) == counted_header::bytes);

}  // namespace detail
CCOMP_END
