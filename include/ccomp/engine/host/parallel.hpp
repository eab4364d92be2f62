#pragma once
/// Splits independent work over a team: OpenMP where the compiler has it, std::thread otherwise.

#include <ccomp/core/function_ref.hpp>
#include <ccomp/core/host_exec.hpp>
#include <ccomp/core/joining_threads.hpp>

#include <algorithm>
#include <exception>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// Calls `f(part, parts)` once for each part, concurrently. The first exception is rethrown once all have ended.
inline void run_team(int parts, function_ref<void(int, int)> f) {
  if (parts <= 1) return f(0, 1);
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(parts));
  auto const guarded = [&](int part) {
    try {
      f(part, parts);
    } catch (...) {
      errors[static_cast<std::size_t>(part)] = std::current_exception();
    }
  };
#if defined(_OPENMP)
  // The runtime may grant fewer threads than asked for; the loop still covers every part.
#pragma omp parallel for num_threads(parts) schedule(static, 1)
  for (int part = 0; part < parts; ++part) guarded(part);
#else
  {
    joining_threads team(static_cast<std::size_t>(parts) - 1);
    for (int part = 1; part < parts; ++part) team.start(guarded, part);
    guarded(0);
  }
#endif
  for (auto const& e : errors)
    if (e) std::rethrow_exception(e);
}

/// Starting a team costs some 5 to 50 microseconds: less work than this many values is done alone.
inline constexpr std::size_t values_per_thread = std::size_t{1} << 16;

inline int team_size(host_exec const& ex, std::size_t values) {
  std::size_t const useful = std::max<std::size_t>(1, values / values_per_thread);
  return static_cast<int>(std::min(useful, static_cast<std::size_t>(resolve_threads(ex))));
}

/// Calls `f(begin, end)` on contiguous ranges that cover [0, items); each item stands for `values_each` values.
inline void parallel_ranges(host_exec const& ex, std::size_t items, std::size_t values_each,
                            function_ref<void(std::size_t, std::size_t)> f) {
  if (items == 0) return;
  run_team(team_size(ex, items * values_each), [&](int part, int parts) {
    auto const p = static_cast<std::size_t>(part), ps = static_cast<std::size_t>(parts);
    std::size_t const begin = items * p / ps, end = items * (p + 1) / ps;
    if (begin < end) f(begin, end);
  });
}

}  // namespace detail
CCOMP_END
