#pragma once
/// A tensor as a collective sees it: values, a stable id, and what error feedback keeps for it.

#include <ccomp/engine/host/passes.hpp>
#include <ccomp/tensor.hpp>

CCOMP_BEGIN

/// One of several tensors handed to a single call. The id keys randomness and residuals: the same tensor must carry the
/// same id in every step and on every rank.
struct tensor_view {
  template <class Tensor>
  tensor_view(Tensor&& tensor, std::uint64_t stable_id)
      : data(detail::view(detail::output_span(tensor))), id(stable_id) {}
  detail::values data;
  std::uint64_t id;
};

namespace detail {

/// All memory is the engine's: host memory, or device memory.
struct tensor_job {
  values data;
  std::uint64_t id = 0;
  residual_ref residual{};
  std::span<float> state{};
  // Of whoever keeps the residual: called once before it may change, and cleared until the call has ended well.
  void (*about_to_change)(void* keeper) = nullptr;
  void* keeper = nullptr;
  bool* valid = nullptr;
};

/// What a collective is about, whatever the engine.
struct collective_call {
  program stages;
  std::span<tensor_job const> jobs;
  bool mean = true;
  step at{};
  bool feedback = false;  // the jobs have residuals
  bool reselect = false;  // two_shot: the sum of a chunk is cut to the size of one payload
};

}  // namespace detail
CCOMP_END
