#include "sent_bytes.hpp"

#include <fstream>
#include <sstream>
#include <string>

namespace network {

double sent_bytes() {
  std::ifstream links("/proc/self/net/dev");
  double total = 0;
  for (std::string line; std::getline(links, line);) {
    auto const colon = line.find(':');
    if (colon == std::string::npos || line.find("lo:") != std::string::npos) continue;
    std::istringstream numbers(line.substr(colon + 1));
    double sent = 0;
    for (int column = 0; column < 9; ++column) numbers >> sent;  // the ninth: bytes sent
    total += sent;
  }
  return total;
}

}
