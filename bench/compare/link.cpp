#include "link.hpp"

#include "number.hpp"
#include "user_error.hpp"

#include <algorithm>
#include <cctype>

namespace compare {

link_speed parse_link(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  auto const refuse = [&] {
    return user_error("--link '" + std::string(text) + "' is no speed; write it like 100mbit, 1gbit or 2.5gbit.");
  };
  if (!lower.ends_with("bit")) throw refuse();
  lower.resize(lower.size() - 3);
  double unit = 1;
  if (!lower.empty()) {
    if (lower.back() == 'k') unit = 1e3;
    if (lower.back() == 'm') unit = 1e6;
    if (lower.back() == 'g') unit = 1e9;
  }
  if (unit > 1) lower.pop_back();
  auto const number = parse_decimal(lower);
  if (!number || *number <= 0) throw refuse();
  auto const bits_per_second = *number * unit;
  // Outside of this no link exists, and times would leave what a table can show.
  if (bits_per_second < 1e3 || bits_per_second > 1e15) {
    throw user_error("--link '" + std::string(text) + "' lies outside 1kbit to 1000000gbit.");
  }
  return {std::string(text), bits_per_second};
}

std::vector<link_speed> parse_links(std::string_view list) {
  std::vector<link_speed> links;
  for (;;) {
    auto const comma = list.find(',');
    auto link = parse_link(list.substr(0, comma));
    auto const same = [&](link_speed const& other) { return other.text == link.text; };
    if (std::none_of(links.begin(), links.end(), same)) links.push_back(std::move(link));
    if (comma == std::string_view::npos) return links;
    list.remove_prefix(comma + 1);
  }
}

}
