#pragma once
/// Values times the weight of a rank.

#include <ccomp/core/host_exec.hpp>
#include <ccomp/core/tensor.hpp>
#if CCOMP_DEFINITIONS
#include <ccomp/engine/host/block_codec.hpp>
#endif

CCOMP_BEGIN
namespace detail {

/// out = in times factor, rounded to the type; `out` may be `in`.
void weigh(host_exec const& ex, const_values in, float factor, values out);

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void weigh(host_exec const& ex, const_values in, float factor, values out) {
  pass_context const c(ex, {});
  for_each_tile(c, in.n, [&](std::size_t first, std::size_t m, tile_buffers& b) {
    float const* const x = load(c.isa, in, first, m, b.decoded);
    run_narrow(c.isa, [&] {
      for (std::size_t i = 0; i < m; ++i) b.values[i] = canonical(mul(x[i], factor));
    });
    store(c.isa, b.values, m, out, first);
  });
}
#endif

}  // namespace detail
CCOMP_END
