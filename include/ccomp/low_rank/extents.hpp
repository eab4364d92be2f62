#pragma once

#include <ccomp/core/error.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/read_number.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

CCOMP_BEGIN

/// The lengths of up to 8 sides of a tensor, or a rank for each of them: 64x64x3x3 in text, `none` if there are none.
class extents {
 public:
  static constexpr std::size_t most = 8;
  static constexpr std::string_view wanted =
      "1 to 8 whole numbers above 0 with x between them, such as 64x64x3x3, or none";

  extents() = default;
  extents(std::initializer_list<std::uint32_t> sides) {
    detail::expects(sides.size() <= most, [&] {
      return detail::sentence("extents: a tensor has at most ", most, " sides here, got ", sides.size());
    });
    for (auto const side : sides) {
      detail::expects(side > 0, "extents: each side must have a length above 0");
      sides_[count_++] = side;
    }
  }

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::size_t operator[](std::size_t i) const { return sides_[i]; }
  /// Of the sides from `first` to before `last`; the largest number, if it is larger.
  [[nodiscard]] std::size_t product(std::size_t first, std::size_t last) const {
    std::size_t all = 1;
    for (std::size_t i = first; i < last; ++i)
      if (__builtin_mul_overflow(all, std::size_t{sides_[i]}, &all)) return SIZE_MAX;
    return all;
  }
  [[nodiscard]] std::size_t product() const { return product(0, count_); }

  /// False: not such a text; then nothing has changed.
  bool read(std::string_view text) {
    extents made;
    while (text != "none") {
      auto const cut = text.find('x');
      std::uint32_t side = 0;
      if (made.count_ == most || !detail::read_number(text.substr(0, cut), side) || side == 0) return false;
      made.sides_[made.count_++] = side;
      if (cut == text.npos) break;
      text.remove_prefix(cut + 1);
      if (text == "none") return false;
    }
    *this = made;
    return true;
  }
  [[nodiscard]] std::string print() const {
    std::string text;
    for (std::size_t i = 0; i < count_; ++i) text += (i > 0 ? "x" : "") + std::to_string(sides_[i]);
    return text.empty() ? "none" : text;
  }
  friend bool operator==(extents const&, extents const&) = default;

  /// Refuses a shape that no tensor of n values has; the shape itself has been validated.
  void expect_values(std::string_view stage, std::size_t n) const {
    detail::expects(product() == n, [&] {
      return detail::sentence(stage, ": the tensor has ", n, " values, and shape=", print(), " has ", product(),
                              "; give the tensor's own shape");
    });
  }
  /// Refuses a shape with other than 2 to 8 sides, or of more values than a tensor may have.
  void expect_order(std::string_view stage) const {
    detail::expects(count_ >= 2, [&] {
      return detail::sentence(stage, ": shape must have 2 to ", most, " sides, such as 64x64x3x3, got ", print());
    });
    detail::expects(product() <= std::size_t{1} << 56,
                    [&] { return detail::sentence(stage, ": shape=", print(), " has more than 2^56 values"); });
  }

 private:
  std::array<std::uint32_t, most> sides_{};
  std::uint32_t count_ = 0;
};

CCOMP_END
