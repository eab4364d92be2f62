#pragma once
#include <ccomp/ccomp.hpp>
#include <ccomp/collectives.cuh>

template <class C, class T> void all_passes(C const& c, std::span<T> x, std::span<std::byte> payload) {
  ccomp::cuda_exec const ex;
  ccomp::workspace<ccomp::cuda_exec> ws{ex};
  ccomp::encode(ex, c, x, payload, ws);
  ccomp::encode_feedback(ex, c, x, std::span<float>(), payload, ws);
  ccomp::decode(ex, c, payload, x, ws);
  ccomp::decode_accumulate(ex, c, payload, x, ws);
  ccomp::compress(ex, c, x, payload, ws);
  ccomp::decompress(ex, c, payload, x, ws);
}
