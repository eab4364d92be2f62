#pragma once
/// shared_scale_quantize on GPUs.

#include <ccomp/quantize/shared_scale.hpp>
#include <ccomp/quantize/shared_sum.cuh>

CCOMP_BEGIN
namespace detail {

template <int Bits> struct device_protocol<shared_scale_quantize<Bits>> {
  using stage = shared_scale_quantize<Bits>;

  static std::size_t scratch_bytes(stage const& s, reduce_shape const& shape) {
    return shared_device_bytes(s.block, levels, shape);
  }

  static void prepare(stage const&, std::span<device_reduce_call const>, workspace<cuda_exec>&) {}

  template <class Comm>
  static std::size_t reduce(stage const& s, cuda_exec const& ex, Comm& comm, workspace<cuda_exec>&,
                            std::span<device_reduce_call const> calls, std::span<std::byte> memory) {
    return shared_sum_on_device({{levels, levels + 1}, s.round == rounding::stochastic}, s.block, s.seed, ex, comm,
                                calls, memory);
  }

 private:
  static constexpr std::int32_t levels = (1 << (Bits - 1)) - 1;
};

}  // namespace detail
CCOMP_END
