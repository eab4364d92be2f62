// expect: decoder\(\) must return pieces with the same parameters
#include <ccomp/codec.hpp>
#include <ccomp/quantize/uniform.hpp>

struct misread_pieces : ccomp::detail::symmetric_pieces<ccomp::rounding::nearest> {
  ccomp::detail::min_max_codes decoder() const { return {levels}; }
};
struct misread : ccomp::uniform_quantize<8> {
  template <class F> void specialise(F const& f) const { f(misread_pieces{}); }
};

std::string text_of() { return ccomp::text(misread{}); }
