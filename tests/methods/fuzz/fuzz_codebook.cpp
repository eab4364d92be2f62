/// Codebook files from anywhere: they are refused with invalid_argument, or hold a codebook that is saved as the same bytes.

#include <ccomp/quantize/vector_codebook.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

[[noreturn]] void broken(char const* what) {
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

void write(std::string const& path, std::uint8_t const* data, std::size_t size) {
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (!file || std::fwrite(data, 1, size, file) != size || std::fclose(file) != 0)
    broken("no file can be written here");
}
std::vector<std::uint8_t> bytes_of(std::string const& path) {
  std::vector<std::uint8_t> bytes(1 << 20);
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (!file) broken("what was saved cannot be read");
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
  std::fclose(file);
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string const path = "fuzz-codebook.ccvq", saved = "fuzz-codebook-saved.ccvq";
  write(path, data, size);
  try {
    auto book = ccomp::vector_codebook::load(path);
    book.save(saved);
    if (bytes_of(saved) != std::vector<std::uint8_t>(data, data + size)) broken("a codebook is saved as other bytes");
    if (ccomp::vector_codebook::load(saved) != book) broken("a codebook is not the one that was saved");
  } catch (ccomp::invalid_argument const&) {
  }
  return 0;
}
