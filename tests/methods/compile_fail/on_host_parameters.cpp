// expect: on_host\(\) must return pieces with the same parameters
#include <ccomp/codec.hpp>
#include <ccomp/quantize/uniform.hpp>

struct misread_pieces : ccomp::detail::symmetric_pieces<ccomp::rounding::nearest> {
  ccomp::detail::min_max_codes on_host() const { return {levels}; }
};
struct misread : ccomp::uniform_quantize<8> {
  template <class F> void specialise(F const& f) const { f(misread_pieces{}); }
};

void call(std::span<std::byte const> payload, std::span<float> y, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::decode({}, misread{}, payload, y, ws);
}
