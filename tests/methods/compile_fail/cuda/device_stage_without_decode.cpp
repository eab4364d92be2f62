// expect: ccomp: device_stage<S> needs: static void decode\(S const&, device_queue, device_decode_call const&\)
#include "../../../../examples/block_peak.hpp"

#include <ccomp/codec.cuh>
#include <ccomp/device_stage.cuh>

template <> struct ccomp::device_stage<mylab::block_peak> {
  static void encode(mylab::block_peak const&, device_queue, device_encode_call const&) {}
};

void call(ccomp::cuda_exec const& ex, std::span<float> x, std::span<std::byte> p,
          ccomp::workspace<ccomp::cuda_exec>& ws) {
  ccomp::encode(ex, mylab::block_peak{}, x, p, ws);
}
