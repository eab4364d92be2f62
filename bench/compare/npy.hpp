#pragma once

#include <cstddef>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

namespace compare {

// The values of a NumPy file as float32, row after row; a one-dimensional file is one row.
struct npy_array {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::string type;  // "float32" or "float16": what the file holds
  std::vector<float> values;
};

// Both throw user_error with one sentence that begins with `name`. The size is checked against the header before
// anything of that size is allocated.
npy_array read_npy(std::filesystem::path const& path);
npy_array read_npy(std::istream& stream, std::size_t stream_bytes, std::string const& name);

}
