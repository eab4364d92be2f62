#pragma once
/// The five passes of any program: encode, encode with feedback, decode, decode-accumulate, reduce and re-encode.
/// A program without a vector stage is one trip through memory; a vector stage splits it in two.

#include <ccomp/core/program.hpp>
#include <ccomp/core/residual.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/core/tensor.hpp>
#include <ccomp/engine/host/pass_context.hpp>

CCOMP_BEGIN
namespace detail {

/// Scratch for any one pass over a tensor of n values, feedback included.
std::size_t scratch_bytes(program p, std::size_t n);
/// Payload bytes of `in` as values of `type` (the tensor's element type; `in` itself may already be float).
std::size_t encode(program p, pass_context const& c, const_values in, element_type type, residual_ref r,
                   std::span<std::byte> payload, scratch memory);
/// out (or out +=) the sum over payloads, in their order, divided by `divisor`. All payloads have `bytes` bytes.
void sum_decoded(program p, pass_context const& c, std::span<std::byte const* const> payloads, std::size_t bytes,
                 element_type type, values out, float divisor, scratch memory, bool add_to_out = false);
std::size_t reduce_scratch_bytes(program p, program sums, std::size_t chunk);
/// Sums the payloads of one chunk and encodes the sum by `sums`; the owner's residual takes what that leaves out.
/// Returns bytes.
std::size_t reduce_and_encode(program p, program sums, pass_context const& decode_at, pass_context const& encode_at,
                              std::span<std::byte const* const> payloads, std::size_t bytes, std::size_t chunk,
                              element_type type, residual_ref r, std::span<std::byte> result, scratch memory);

}  // namespace detail
CCOMP_END

#if CCOMP_DEFINITIONS
#include <ccomp/engine/host/program_passes.hpp>
#endif
