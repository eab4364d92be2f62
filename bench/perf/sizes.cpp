#include "sizes.hpp"

#include <charconv>

namespace perf {

std::optional<std::size_t> parse_bytes(std::string_view text) {
  constexpr std::size_t most = std::size_t{64} << 30;
  std::size_t value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  int shift = 0;
  auto const suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  if (suffix == "K" || suffix == "k")
    shift = 10;
  else if (suffix == "M" || suffix == "m")
    shift = 20;
  else if (suffix == "G" || suffix == "g")
    shift = 30;
  else if (!suffix.empty())
    return std::nullopt;
  if (value == 0 || value > most >> shift) return std::nullopt;
  return value << shift;
}

std::vector<std::size_t> sizes_of(size_range const& range) {
  std::vector<std::size_t> all;
  for (std::size_t size = range.first; size <= range.last;) {
    all.push_back(size);
    size = range.factor > 0 ? size * range.factor : size + range.step;
  }
  return all;
}

}
