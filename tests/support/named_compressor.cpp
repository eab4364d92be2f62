#include <ccomp/any_compressor.hpp>
#include <support/named_compressor.hpp>

namespace support {

named_compressor::named_compressor(std::string const& text) {
  auto const c = std::make_shared<ccomp::any_compressor const>(text);
  stages_ = c->stages();
  owner_ = c;
}

std::vector<std::string> known_stage_names() {
  std::vector<std::string> names;
  for (auto const& e : ccomp::known_stages())
    names.push_back(e.name + (e.argument.empty() ? "" : '<' + e.argument + '>'));
  return names;
}

}  // namespace support
