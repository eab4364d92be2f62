#pragma once

#include <cstddef>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

namespace compare {

// The values of a NumPy file as float32, in C order.
struct npy_array {
  std::vector<std::size_t> shape;
  std::string type;  // "float32" or "float16": what the file holds
  std::vector<float> values;

  std::size_t value_bytes() const { return type == "float16" ? 2 : 4; }
};

// Both throw user_error with one sentence that begins with `name`. The size is checked against the header before
// anything of that size is allocated.
npy_array read_npy(std::filesystem::path const& path);
npy_array read_npy(std::istream& stream, std::size_t stream_bytes, std::string const& name);

}
