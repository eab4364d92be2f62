#include <support/named_compressor.hpp>

#include <ccomp/any_compressor.hpp>

namespace support {

named_compressor::named_compressor(std::string const& text) {
  auto const c = std::make_shared<ccomp::any_compressor const>(text);
  stages_ = c->stages();
  owner_ = c;
}

}  // namespace support
