#include "npy.hpp"

#include "npy_header.hpp"
#include "printable.hpp"
#include "user_error.hpp"

#include <ccomp/core/types.hpp>

#include <bit>
#include <cstdint>
#include <fstream>
#include <istream>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace compare {
namespace {

static_assert(std::endian::native == std::endian::little, "the file's bytes are read as they lie");

// NumPy's own headers are 128 bytes or little more; a larger one is a damaged length, not a header.
constexpr std::size_t longest_header = 65536;

class npy_reader {
 public:
  npy_reader(std::istream& stream, std::size_t stream_bytes, std::string const& name)
      : stream_(stream), left_(stream_bytes), name_(name) {}

  npy_array read() {
    auto const header = read_header();
    npy_array array;
    if (header.descr == "<f4") {
      array.type = "float32";
    } else if (header.descr == "<f2") {
      array.type = "float16";
    } else {
      refuse("its values are of type '" + printable(std::string_view(header.descr).substr(0, 16)) +
             "', but only little-endian float32 ('<f4') and "
             "float16 ('<f2') are read");
    }
    auto const value_bytes = array.value_bytes();
    if (header.fortran_order) {
      refuse("it is stored in Fortran order, but only C order is read; numpy.ascontiguousarray turns it");
    }
    auto const count = set_shape(array, header);
    if (left_ / value_bytes != count || left_ % value_bytes != 0) {
      refuse("its header announces " + std::to_string(count) + " values of " + std::to_string(value_bytes) +
             " bytes, but " + std::to_string(left_) + " bytes follow");
    }
    array.values.resize(count);
    if (value_bytes == 4) {
      take(reinterpret_cast<char*>(array.values.data()), left_);
    } else {
      std::vector<std::uint16_t> halves(count);
      take(reinterpret_cast<char*>(halves.data()), left_);
      for (std::size_t i = 0; i < count; ++i) {
        ccomp::float16 half;
        half.bits = halves[i];
        array.values[i] = static_cast<float>(half);
      }
    }
    return array;
  }

 private:
  [[noreturn]] void refuse(std::string const& why) const { throw user_error(name_ + " cannot be used: " + why + "."); }

  void take(char* to, std::size_t bytes) {
    if (bytes > left_) refuse("it ends within its header");
    stream_.read(to, static_cast<std::streamsize>(bytes));
    if (static_cast<std::size_t>(stream_.gcount()) != bytes) refuse("it could not be read to its end");
    left_ -= bytes;
  }

  npy_header read_header() {
    std::string_view constexpr magic("\x93NUMPY", 6);
    char start[8] = {};
    if (left_ < sizeof start) refuse("it is no NumPy file");
    take(start, sizeof start);
    if (std::string_view(start, 6) != magic) refuse("it is no NumPy file");
    auto const version = static_cast<unsigned char>(start[6]);
    if (version < 1 || version > 3 || start[7] != 0) refuse("its NumPy format version is not 1.0, 2.0 or 3.0");
    unsigned char size[4] = {};
    take(reinterpret_cast<char*>(size), version == 1 ? 2 : 4);
    std::size_t const bytes =
        size[0] | std::size_t{size[1]} << 8 | std::size_t{size[2]} << 16 | std::size_t{size[3]} << 24;
    if (bytes > longest_header) refuse("its header claims " + std::to_string(bytes) + " bytes");
    std::string text(bytes, '\0');
    take(text.data(), bytes);
    try {
      return parse_npy_header(text);
    } catch (std::invalid_argument const& e) {
      refuse(e.what());
    }
  }

  // Returns how many values there are.
  std::size_t set_shape(npy_array& array, npy_header const& header) const {
    std::uint64_t count = 1;
    for (auto const extent : header.shape) {
      if (extent == 0) refuse("it holds no values");
    }
    for (auto const extent : header.shape) {
      if (extent > std::numeric_limits<std::size_t>::max() / 4 / count) refuse("its header announces too many values");
      count *= extent;
      array.shape.push_back(static_cast<std::size_t>(extent));
    }
    return static_cast<std::size_t>(count);
  }

  std::istream& stream_;
  std::size_t left_;
  std::string const& name_;
};

}

npy_array read_npy(std::istream& stream, std::size_t stream_bytes, std::string const& name) {
  return npy_reader(stream, stream_bytes, name).read();
}

npy_array read_npy(std::filesystem::path const& path) {
  auto const name = "the input '" + path.string() + "'";
  std::error_code error;
  auto const status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) throw user_error(name + " does not exist.");
  if (!std::filesystem::is_regular_file(status)) throw user_error(name + " is not a file.");
  auto const bytes = std::filesystem::file_size(path, error);
  std::ifstream stream(path, std::ios::binary);
  if (error || !stream) throw user_error(name + " cannot be opened for reading.");
  return read_npy(stream, static_cast<std::size_t>(bytes), name);
}

}
