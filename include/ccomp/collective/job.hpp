#pragma once
/// A tensor as a collective sees it: values, a stable id, and what error feedback keeps for it.

#include <ccomp/engine/host/passes.hpp>

CCOMP_BEGIN

/// One of several tensors handed to a single call. The id keys randomness and residuals: the same tensor must carry the
/// same id in every step and on every rank.
struct tensor_view {
  template <element T>
  tensor_view(std::span<T> tensor, std::uint64_t stable_id) : data(detail::view(tensor)), id(stable_id) {}
  detail::values data;
  std::uint64_t id;
};

namespace detail {

struct tensor_job {
  values data;
  std::uint64_t id = 0;
  residual_ref residual{};
  stage_state* state = nullptr;
  bool* valid = nullptr;  // cleared once the residual may have changed, until the call has ended well
};

/// A collective makes sense of one call at a time; what it needs beyond its tensors.
struct collective_call {
  host_exec ex{};
  program stages;
  std::span<tensor_job const> jobs;
  bool mean = true;
  step at{};

  [[nodiscard]] pass_context context(tensor_job const& job, std::uint32_t rank, std::uint8_t phase = 0,
                                     std::uint64_t first = 0) const {
    pass_context c(ex, {at, job.id, rank});
    c.phase = phase;
    c.first = first;
    return c;
  }
};

}  // namespace detail
CCOMP_END
