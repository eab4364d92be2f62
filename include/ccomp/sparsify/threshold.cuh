#pragma once
/// threshold on GPUs.

#include <ccomp/sparsify/selected.cuh>
#include <ccomp/sparsify/threshold.hpp>

CCOMP_BEGIN

template <> struct device_stage<threshold> {
  template <class Queue>
  static void encode(threshold const& s, Queue const& q, detail::fused_encode_call const& c,
                     detail::carrier_coder const& coder) {
    detail::selection const what{c.n, s.carrier_size(c.n), true, s.value, s.relative};
    detail::encode_selected(q, c, what, s.layout(c.n), threshold::header_bytes, coder);
  }
  template <class Queue>
  static void decode(threshold const& s, Queue const& q, detail::fused_decode_call const& c,
                     detail::carrier_coder const& coder) {
    detail::decode_selected(q, c, s.carrier_size(c.n), s.layout(c.n), threshold::header_bytes, coder);
  }
};

CCOMP_END
