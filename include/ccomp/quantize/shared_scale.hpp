#pragma once

#include <ccomp/quantize/shared_sum.hpp>
#include <ccomp/quantize/uniform.hpp>

CCOMP_BEGIN

/// Symmetric uniform codes on scales that all ranks share, so that the communicator adds the codes themselves.
///
/// allreduce (automatic, in_flight), alone or after transforms: the ranks agree on each block's max|x| (an integer
/// maximum), code with that scale, and add the codes in flight. After `hadamard_rotate`, this is THC's scheme without
/// its table. Every other use (encode, decode, compress, gather, two_shot, after a sparsifier) codes each block with
/// its own scale: the bytes are uniform_quantize's symmetric codes.
///
/// Shapes:      in [n] -> codes [n] of Bits bits, one scale per block; in flight: keys u32 [ceil(n/block)], codes [n]
///              of 8, 16 or 32 bits
/// Payload:     pad16(4 ceil(n/block)) + pad16(ceil(n Bits / 8)) bytes
/// In flight:   for all tensors of the call an allreduce of 4 ceil(n/block) bytes each, then one of n bytes for W ranks
///              with L W <= 127, of 2 n for L W <= 32767, of 4 n beyond (L = 2^(Bits-1) - 1): no sum can overflow
/// Range:       -L..L times scale; scale = max|x| / L, rounded up to 16 significant bits; the maximum is over the block
///              and all ranks
/// Rounding:    each value is rounded to nearest (half to even) or stochastically. The sum of codes is exact; the
///              product of sum and scale rounds once, and the division by W (mean) once
/// Guarantee:   nearest: each rank's |x - Q(x)| <= scale / 2; stochastic: < scale, unbiased to 2^-16 of a scale
/// Feedback:    residual = input + residual - the rank's own decoded values. Refused for 2 bits with stochastic
///              rounding, whose error may exceed the largest value
/// Linear:      no (a sum of payloads has several scales); it has its own rounds instead
/// Determinism: bitwise the same on every rank, engine, thread count and run of the same step
/// NaN, Inf:    on any rank: the block is NaN on every rank, no other block is, and its residuals are unchanged. Blocks
///              whose max|x| < 2^-118 on every rank decode to zero
/// Throws:      invalid_argument: block is not a power of two in 16..4096
/// Source:      Li et al., "THC: Accelerating Distributed Deep Learning Using Tensor Homomorphic Compression", NSDI
///              2024 (one norm for all workers, codes summed without decoding)
template <int Bits> struct shared_scale_quantize {
  static_assert(Bits >= 2 && Bits <= 8, "ccomp: shared_scale_quantize takes 2 to 8 bits");
  static constexpr std::string_view name = "shared_scale_quantize";
  static constexpr int bits = Bits;
  static std::string argument() { return std::to_string(Bits); }

  std::uint32_t block = 512;
  rounding round = rounding::nearest;
  std::uint64_t seed = 0;

  static constexpr auto fields() {
    return std::tuple{field{"block", &shared_scale_quantize::block}, field{"round", &shared_scale_quantize::round},
                      field{"seed", &shared_scale_quantize::seed}};
  }
  [[nodiscard]] bool contracts() const { return Bits > 2 || round == rounding::nearest; }

  template <class F> void specialise(F const& f) const {
    round == rounding::nearest ? f(detail::symmetric_pieces<rounding::nearest>{{levels, levels + 1}})
                               : f(detail::symmetric_pieces<rounding::stochastic>{{levels, levels + 1}});
  }

  [[nodiscard]] std::size_t reduce_scratch_bytes(detail::reduce_shape const& shape) const {
    return detail::shared_sum::scratch_bytes(block, levels, shape);
  }
  /// The sums or means over the ranks; returns the bytes that this rank sent.
  std::size_t reduce(host_exec const& ex, communicator_ref& comm, std::span<detail::reduce_call const> calls,
                     std::span<std::byte> memory) const {
    detail::shared_pieces const pieces{{levels, levels + 1}, round == rounding::stochastic};
    return detail::shared_sum::run_rounds(pieces, block, seed, ex, comm, calls, memory);
  }

 private:
  static constexpr std::int32_t levels = (1 << (Bits - 1)) - 1;
};

template <int Bits> inline constexpr bool detail::standard_stage<shared_scale_quantize<Bits>> = true;

CCOMP_END

#if CCOMP_DEVICE_CODE
#include <ccomp/quantize/shared_scale.cuh>
#endif
