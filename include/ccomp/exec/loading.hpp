#pragma once
/// Is this thread loading kernels instead of running them? Asked also where no CUDA header is.

#include <ccomp/config.hpp>

CCOMP_BEGIN
namespace detail {

/// True within load_kernels: kernels are loaded and nothing is queued, so no state of a wrapper may move on.
inline bool& loading_kernels() noexcept {
  thread_local bool loading = false;
  return loading;
}

}  // namespace detail
CCOMP_END
