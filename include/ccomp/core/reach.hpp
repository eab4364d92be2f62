#pragma once
/// Can the host read this memory? Asked only in processes that use a GPU.

#include <ccomp/core/error.hpp>

#include <atomic>
#include <string>

namespace ccomp::formats {

/// What the memory is if the host cannot reach it ("device memory"), else null.
using unreachable_kind = char const* (*)(void const*);
/// Set by the first cuda_exec, not earlier: asking CUDA may make a context, which a process that stays on the host would pay
/// for. One for all translation units, however they were compiled.
inline std::atomic<unreachable_kind> unreachable_by_host{nullptr};

}  // namespace ccomp::formats

CCOMP_BEGIN
namespace detail {

void expect_host_memory(void const* p, char const* call, char const* what, source at = source::current());

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void expect_host_memory(void const* p, char const* call, char const* what, source at) {
  auto const kind_of = formats::unreachable_by_host.load(std::memory_order_relaxed);
  if (!kind_of || !p) [[likely]]
    return;
  char const* const kind = kind_of(p);
  expects(!kind, [&] { return sentence(call, ": ", what, " must be host memory for a host_exec, got ", kind); }, at);
}
#endif

}  // namespace detail
CCOMP_END
