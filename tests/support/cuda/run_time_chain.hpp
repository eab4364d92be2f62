#pragma once
/// A chain, typed or chosen at run time, on the (simulated) GPU and on the host: everything that it codes.

#include <support/cuda/device_array.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>

#include <vector>

namespace support {

struct coded_chain {
  std::vector<std::byte> payload;
  std::vector<float> residual, values;
  bool operator==(coded_chain const&) const = default;
};

template <class C> coded_chain code_on_gpu(C const& c, std::vector<float> const& x) {
  using namespace ccomp;
  cuda_exec const ex;
  workspace ws{ex};
  device_array<float> const in(x), rest(std::vector<float>(x.size(), 0.25f)), out(x.size());
  device_array<std::byte> const payload(payload_bytes(c, x.size()));
  encode_feedback(ex, c, std::span<float const>(in.span()), rest.span(), payload.span(), ws, {.at = 3});
  decode(ex, c, std::span<std::byte const>(payload.span()), out.span(), ws, {.at = 3});
  ex.synchronize();
  return {payload.values(), rest.values(), out.values()};
}
template <class C> coded_chain code_on_host(C const& c, std::vector<float> const& x) {
  using namespace ccomp;
  host_exec const ex;
  workspace ws{ex};
  coded_chain coded{std::vector<std::byte>(payload_bytes(c, x.size())), std::vector<float>(x.size(), 0.25f),
                    std::vector<float>(x.size())};
  encode_feedback(ex, c, x, coded.residual, coded.payload, ws, {.at = 3});
  decode(ex, c, coded.payload, coded.values, ws, {.at = 3});
  return coded;
}

}  // namespace support
