#pragma once
/// A number from text, whatever the locale. libc++ before 20 has std::from_chars for whole numbers alone.

#include <ccomp/core/config.hpp>

#include <charconv>
#include <concepts>
#include <string_view>
#include <system_error>
#if !defined(__cpp_lib_to_chars)
#include <locale.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#endif

CCOMP_BEGIN
namespace detail {

#if !defined(__cpp_lib_to_chars)
/// Accepts what std::from_chars accepts, in C's locale: no leading plus or space, no hexadecimal digits, nothing out of range.
template <std::floating_point V> bool read_floating(std::string_view text, V& out) {
  static ::locale_t const plain = ::newlocale(LC_ALL_MASK, "C", nullptr);
  std::string const copy(text);
  if (copy.empty() || copy[0] == '+' || copy.find_first_of(" \t\n\v\f\rxX") != std::string::npos) return false;
  char* end = nullptr;
  errno = 0;
  if constexpr (std::same_as<V, float>)
    out = ::strtof_l(copy.c_str(), &end, plain);
  else
    out = ::strtod_l(copy.c_str(), &end, plain);
  bool const out_of_range = errno == ERANGE && (out == 0 || out - out != 0);  // it is set for denormal numbers, too
  return end == copy.c_str() + copy.size() && !out_of_range;
}
#endif

/// All of the text is one number, and V can hold it.
template <class V> bool read_number(std::string_view text, V& out) {
#if !defined(__cpp_lib_to_chars)
  if constexpr (std::floating_point<V>)
    return read_floating(text, out);
  else
#endif
  {
    auto const [end, status] = std::from_chars(text.data(), text.data() + text.size(), out);
    return status == std::errc{} && end == text.data() + text.size();
  }
}

}  // namespace detail
CCOMP_END
