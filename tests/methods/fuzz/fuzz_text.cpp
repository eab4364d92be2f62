/// Compressor text from anywhere: it is refused with invalid_argument, or makes a compressor whose own text makes the same
/// one.

#include <ccomp/any_compressor.hpp>
#include <ccomp/low_rank/als.hpp>
#include <ccomp/low_rank/svd.hpp>
#include <ccomp/low_rank/tensor_train.hpp>
#include <ccomp/low_rank/tucker.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

[[noreturn]] void broken(char const* what, std::string const& text) {
  std::fprintf(stderr, "%s: %s\n", text.c_str(), what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string const text(reinterpret_cast<char const*>(data), size);
  try {
    ccomp::any_compressor const c(text);
    try {
      ccomp::any_compressor const again(c.text());
      if (again.text() != c.text()) broken("its text makes a compressor with another text", text);
      if (ccomp::fingerprint(again) != ccomp::fingerprint(c)) broken("its text makes another compressor", text);
    } catch (ccomp::invalid_argument const& e) {
      broken(e.what(), text);
    }
  } catch (ccomp::invalid_argument const&) {
  }
  return 0;
}
