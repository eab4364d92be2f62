#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace compare {

struct link_speed {
  std::string text;  // as given: the key of predicted_ms
  double bits_per_second = 0;

  double seconds(double bytes) const { return bytes * 8 / bits_per_second; }
};

// "1gbit", "2.5gbit", "100mbit", "64kbit", "9600bit"; throws user_error.
link_speed parse_link(std::string_view text);

// A list joined by commas; a speed given twice is kept once.
std::vector<link_speed> parse_links(std::string_view list);

}
