#pragma once
/// Numbers cut to three decimal digits, as settings and messages show them.

#include <ccomp/core/fields.hpp>
#include <ccomp/core/numeric.hpp>

#include <cmath>
#include <string>

CCOMP_BEGIN
namespace detail {

/// The next number of three digits: to nearest, or none below x. x > 0, finite.
double to_three_digits(double x, bool up);
std::string three_digits_up(double x);

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION double to_three_digits(double x, bool up) {
  int power = 0;  // of ten, so that x 10^power lies in 100..1000
  auto const shifted = [&] { return power < 0 ? x / std::pow(10.0, -power) : mul(x, std::pow(10.0, power)); };
  while (shifted() < 100) ++power;
  while (shifted() >= 1000) --power;
  double const digits = up ? std::ceil(shifted()) : std::floor(add(shifted(), 0.5));
  return power < 0 ? digits * std::pow(10.0, -power) : digits / std::pow(10.0, power);
}
CCOMP_FUNCTION std::string three_digits_up(double x) {
  return print_value(x > 0 && std::isfinite(x) ? to_three_digits(x, true) : x);
}
#endif

}  // namespace detail
CCOMP_END
