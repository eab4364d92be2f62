#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/error.hpp>
#include <ccomp/core/host_exec.hpp>
#include <ccomp/core/random.hpp>

CCOMP_BEGIN
namespace detail {

/// What all passes of one call share.
struct pass_context {
  host_exec ex{};
  instruction_set isa = instruction_set::baseline;
  pass_options at{};
  std::uint64_t first = 0;  // index of the chunk's first value in its tensor, a multiple of random_group
  std::uint8_t phase = 0;   // 0: a rank's own values, 1: the owner's re-encoding
  int prescale_log2 = 0;    // float16 carries x * 2^prescale_log2, so that a sum over ranks does not overflow

  pass_context() = default;
  pass_context(host_exec const& e, pass_options const& o) : ex(e), isa(resolve_isa(e)), at(o) {
    expects(!o.at.on_device, "a step in device memory needs a cuda_exec; a host_exec cannot read it");
  }
  [[nodiscard]] random_stream stream(std::uint64_t seed, random_use use) const {
    return {{seed, at.at}, at.tensor, at.rank, random_phase(use, phase)};
  }
};

}  // namespace detail
CCOMP_END
