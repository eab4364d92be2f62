#pragma once
/// top_k on GPUs.

#include <ccomp/sparsify/selected.cuh>
#include <ccomp/sparsify/top_k.hpp>

CCOMP_BEGIN

template <> struct device_stage<top_k> {
  template <class Queue>
  static void encode(top_k const& s, Queue const& q, detail::fused_encode_call const& c,
                     detail::carrier_coder const& coder) {
    detail::encode_selected(q, c, {.n = c.n, .most = s.carrier_size(c.n)}, s.layout(c.n), 0, coder);
  }
  template <class Queue>
  static void decode(top_k const& s, Queue const& q, detail::fused_decode_call const& c,
                     detail::carrier_coder const& coder) {
    detail::decode_selected(q, c, s.carrier_size(c.n), s.layout(c.n), 0, coder);
  }
};

CCOMP_END
