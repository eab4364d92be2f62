#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace perf {

// "8", "64K", "32M", "1G": K is 1024, and so on; 1 byte to 64 GiB. Nothing for other texts.
std::optional<std::size_t> parse_bytes(std::string_view text);

struct size_range {
  std::size_t first = std::size_t{32} << 20;
  std::size_t last = std::size_t{32} << 20;
  std::size_t step = std::size_t{1} << 20;  // added, unless there is a factor
  std::size_t factor = 0;
};
// From `first` on, at most `last`.
std::vector<std::size_t> sizes_of(size_range const& range);

}
