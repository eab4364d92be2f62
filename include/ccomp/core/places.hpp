#pragma once
/// Random places that are the same on every rank, one from each of equal stretches of a tensor.

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/random.hpp>

#include <cstdint>

CCOMP_BEGIN
namespace detail {

/// The stream that all ranks draw places from.
CCOMP_HD constexpr random_stream shared_places(std::uint64_t seed, step at, std::uint64_t tensor) {
  return {{seed, at}, tensor, shared_rank, random_phase(use_indices)};
}
/// A number below `size` (at most 2^32) from 64 random bits; each equally likely to 2^-32 of its probability.
CCOMP_HD constexpr std::uint64_t below(std::uint32_t high, std::uint32_t low, std::uint64_t size) {
  return (high * size + ((low * size) >> 32)) >> 32;
}
/// Draw i of the stream.
CCOMP_HD constexpr std::uint64_t drawn_below(random_stream const& s, std::uint64_t i, std::uint64_t size) {
  return below(random_bits32(s, 2 * i), random_bits32(s, 2 * i + 1), size);
}

/// `total` cut into `parts` equal stretches, sizes differing by one at most: where stretch i begins.
CCOMP_HD constexpr std::uint64_t stretch_begin(std::uint64_t total, std::uint64_t parts, std::uint64_t i) {
  return total / parts * i + total % parts * i / parts;
}

}  // namespace detail
CCOMP_END
