#pragma once
/// random_block on GPUs.

#include <ccomp/sparsify/drawn.cuh>
#include <ccomp/sparsify/random_block.hpp>

CCOMP_BEGIN

template <> struct device_stage<random_block> {
  template <class Queue>
  static void encode(random_block const& s, Queue const& q, detail::fused_encode_call const& c,
                     detail::carrier_coder const& coder) {
    detail::encode_drawn(q, c, selection_of(s, c.n), coder);
  }
  template <class Queue>
  static void decode(random_block const& s, Queue const& q, detail::fused_decode_call const& c,
                     detail::carrier_coder const& coder) {
    detail::decode_drawn(q, c, selection_of(s, c.n), coder);
  }

 private:
  static detail::drawn_selection selection_of(random_block const& s, std::uint64_t n) {
    return {n, s.carrier_size(n), s.block_count(n), s.seed, s.unbiased};
  }
};

CCOMP_END
