#pragma once

#include <bench/compare/npy.hpp>
#include <bench/compare/user_error.hpp>

#include <cstdint>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace compare_test {

// The bytes of a NumPy file, right or wrong.
inline std::string npy_bytes(std::string const& dictionary, std::string const& values, char major = 1) {
  auto bytes = std::string("\x93NUMPY", 6) + major + '\0';
  auto const size = static_cast<std::uint32_t>(dictionary.size());
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) bytes += static_cast<char>(size >> (8 * i) & 0xffU);
  return bytes + dictionary + values;
}

template <typename T> std::string raw(std::vector<T> const& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline compare::npy_array read(std::string const& bytes) {
  std::istringstream stream(bytes);
  return compare::read_npy(stream, bytes.size(), "the input");
}

// The sentence with which these bytes are refused; empty if they are read.
inline std::string refusal(std::string const& bytes) {
  try {
    read(bytes);
  } catch (compare::user_error const& e) {
    return e.what();
  }
  return "";
}

inline std::string dictionary(std::string const& descr, std::string const& order, std::string const& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }   \n";
}

}
