#pragma once
/// Sums and maxima over ranks of what linear compressors send, in rank order; 16-bit floats accumulate in float.

#include <ccomp/core/communicator.hpp>
#include <ccomp/core/host_exec.hpp>
#if CCOMP_DEFINITIONS
#include <ccomp/engine/host/block_codec.hpp>
#endif

CCOMP_BEGIN
namespace detail {

/// out = the sum (or, for integers, the maximum) of the sources; `out` may be one of them.
void typed_sum(host_exec const& ex, std::span<void const* const> sources, std::size_t n, wire_type type, wire_op op,
               void* out);

#if CCOMP_DEFINITIONS
template <class T, class F>
void combine_loop(T* CCOMP_RESTRICT acc, T const* CCOMP_RESTRICT x, std::size_t n, F const& f) {
  for (std::size_t i = 0; i < n; ++i) acc[i] = f(acc[i], x[i]);
}

template <class T>
void integer_sum(host_exec const& ex, std::span<void const* const> sources, std::size_t n, wire_op op, T* out) {
  instruction_set const isa = resolve_isa(ex);
  parallel_ranges(ex, ceil_div(n, tile_values), tile_values, [&](std::size_t begin, std::size_t end) {
    T acc[tile_values];
    for (std::size_t t = begin; t < end; ++t) {
      std::size_t const first = t * tile_values, m = std::min(tile_values, n - first);
      std::memcpy(acc, static_cast<T const*>(sources[0]) + first, m * sizeof(T));
      for (std::size_t r = 1; r < sources.size(); ++r) {
        auto const* const x = static_cast<T const*>(sources[r]) + first;
        if (op == wire_op::sum)  // wraps around: callers leave room for the sum
          run_narrow(isa, [&] {
            combine_loop(acc, x, m, [](T a, T b) {
              return static_cast<T>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
            });
          });
        else
          run_narrow(isa, [&] { combine_loop(acc, x, m, [](T a, T b) { return a > b ? a : b; }); });
      }
      std::memcpy(out + first, acc, m * sizeof(T));
    }
  });
}

CCOMP_FUNCTION void typed_sum(host_exec const& ex, std::span<void const* const> sources, std::size_t n, wire_type type,
                              wire_op op, void* out) {
  switch (type) {
    case wire_type::int8:
      return integer_sum(ex, sources, n, op, static_cast<std::int8_t*>(out));
    case wire_type::int16:
      return integer_sum(ex, sources, n, op, static_cast<std::int16_t*>(out));
    case wire_type::int32:
      return integer_sum(ex, sources, n, op, static_cast<std::int32_t*>(out));
    case wire_type::uint32:
      return integer_sum(ex, sources, n, op, static_cast<std::uint32_t*>(out));
    default:
      break;
  }
  expects(op == wire_op::sum, "all_reduce: the maximum is defined for integers");
  auto const element = static_cast<element_type>(type);
  pass_context const c(ex, {});
  for_each_tile(c, n, [&](std::size_t first, std::size_t m, tile_buffers& b) {
    float const* const head = load(c.isa, {sources[0], element, n}, first, m, b.values);
    if (head != b.values) std::memcpy(b.values, head, m * sizeof(float));
    for (std::size_t r = 1; r < sources.size(); ++r) {
      float const* const x = load(c.isa, {sources[r], element, n}, first, m, b.decoded);
      run_narrow(c.isa, [&] {
        for (std::size_t i = 0; i < m; ++i) b.values[i] = add(b.values[i], x[i]);
      });
    }
    run_narrow(c.isa, [&] { finish_sum(b.values, m, 1.0f); });
    store(c.isa, b.values, m, {out, element, n}, first);
  });
}
#endif

}  // namespace detail
CCOMP_END
