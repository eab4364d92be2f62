#pragma once
/// e8_lattice on GPUs.

#include <ccomp/quantize/e8_lattice.hpp>
#include <ccomp/quantize/vector_team.cuh>

CCOMP_BEGIN
namespace detail {

CCOMP_KERNEL __launch_bounds__(vector_threads) encode_e8_kernel(device_encode_call call, unsigned block) {
  using team_type = vector_team<e8_size>;
  CCOMP_SHARED(double[vector_threads], sums);
  team_type const team(block, call.n);
  float x[team_type::each][e8_size];
  double terms[team_type::each];
  team.load({call.values.mine(), element_type::float32}, call.n, x);
  square_vectors(x, terms);
  double const squares = team.fold(terms, sums);
  float const scale = block_scale(squares, team.values > 0 ? team.values : 1);
  float const inverse = inverse_or_zero(scale, scale > 0);
  auto* const codes = reinterpret_cast<std::uint16_t*>(call.side.mine());
  double lengths[team_type::each];
  CCOMP_UNROLL
  for (unsigned j = 0; j < team_type::each; ++j) {
    e8_quarters q;
    CCOMP_UNROLL
    for (int i = 0; i < e8_size; ++i) x[j][i] = inverse > 0 ? mul(x[j][i], inverse) : 0.0f;
    nearest_e8(x[j], q);
    if (is_e8_word(q) == 0) word_inside(x[j], q);
    if (team.first(j) < call.n) codes[team.first(j) / e8_size] = static_cast<std::uint16_t>(e8_code(q));
    terms[j] = 0;
    std::int32_t length = 0;
    CCOMP_UNROLL
    for (int i = 0; i < e8_size; ++i) {
      terms[j] = add(terms[j], static_cast<double>(mul(x[j][i], mul(0.25f, static_cast<float>(q[i])))));
      length += team.first(j) + static_cast<unsigned>(i) < call.n ? q[i] * q[i] : 0;
    }
    lengths[j] = length / 16.0;  // exact, and so are their sums
  }
  double const product = team.fold(terms, sums), length = team.fold(lengths, sums);
  if (team.member == 0 && team.values > 0)
    call.carrier.mine()[team.begin / block] = block_gain(squares, scale, product, length);
}

/// A thread for each vector.
CCOMP_KERNEL __launch_bounds__(vector_threads) decode_e8_kernel(device_decode_call call, unsigned block) {
  std::uint64_t const v = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x, first = e8_size * v;
  if (first >= call.n) return;
  e8_quarters q;
  e8_word(reinterpret_cast<std::uint16_t const*>(call.side.mine())[v], q);
  float const gain = call.carrier.mine()[first / block];
  CCOMP_UNROLL
  for (int i = 0; i < e8_size; ++i)
    if (first + static_cast<unsigned>(i) < call.n) call.write(first + static_cast<unsigned>(i), e8_value(q[i], gain));
}

}  // namespace detail

template <> struct device_stage<e8_lattice> {
  template <class Queue> static void encode(e8_lattice const& s, Queue const& q, device_encode_call const& c) {
    q.run("encode_e8", detail::encode_e8_kernel<Queue>, detail::ceil_div(c.n, detail::tile_values), c.items, c,
          unsigned{s.block});
  }
  template <class Queue> static void decode(e8_lattice const& s, Queue const& q, device_decode_call const& c) {
    q.run_each("decode_e8", detail::decode_e8_kernel<Queue>, detail::ceil_div(c.n, detail::e8_size), c.items, c,
               unsigned{s.block});
  }
};

CCOMP_END
