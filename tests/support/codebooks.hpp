#pragma once
/// Words for vector quantizers, and files to keep them in.

#include <support/generators.hpp>

#include <ccomp/quantize/vector_codebook.hpp>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

namespace support {

inline ccomp::vector_codebook random_words(ccomp::codebook_shape shape, std::uint64_t seed = 3) {
  return {shape, gaussian_values(shape.values(), seed)};
}

/// Of this process alone: several builds may be tested at once.
inline std::string temporary_path(std::string const& name) {
  return (std::filesystem::temp_directory_path() / ("ccomp-" + std::to_string(::getpid()) + "-" + name)).string();
}
struct temporary_file {
  std::string path;
  explicit temporary_file(std::string const& name) : path(temporary_path(name)) {}
  temporary_file(temporary_file const&) = delete;
  temporary_file& operator=(temporary_file const&) = delete;
  ~temporary_file() { std::remove(path.c_str()); }
};

}  // namespace support
