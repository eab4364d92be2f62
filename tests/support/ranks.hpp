#pragma once
/// Collectives on the ranks of a thread_group: one call for every rank, results side by side.

#include <support/generators.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/comm/thread.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace support {

/// Ends the program if the test that holds it hangs: CI learns which one, and does not wait.
class watchdog {
 public:
  explicit watchdog(char const* what, std::chrono::seconds limit = std::chrono::seconds(120))
      : thread_([this, what, limit](std::stop_token stop) {
          std::unique_lock lock(mutex_);
          if (changed_.wait_for(lock, stop, limit, [] { return false; }) || stop.stop_requested()) return;
          std::fprintf(stderr, "watchdog: '%s' hangs\n", what);
          std::fflush(stderr);
          std::_Exit(3);
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::jthread thread_;
};

/// A compressor whose type is forgotten, for loops over compressors; knows only the stages it was made of.
class erased {
 public:
  erased(std::vector<std::shared_ptr<void const>> owned, std::vector<ccomp::detail::stage_ref> refs)
      : owned_(std::move(owned)), refs_(std::move(refs)) {}
  [[nodiscard]] std::span<ccomp::detail::stage_ref const> stages() const { return refs_; }
  [[nodiscard]] std::string text() const { return ccomp::detail::text(refs_); }

 private:
  std::vector<std::shared_ptr<void const>> owned_;
  std::vector<ccomp::detail::stage_ref> refs_;
};
template <class C> erased erase(C const& c) {
  std::vector<std::shared_ptr<void const>> owned;
  std::vector<ccomp::detail::stage_ref> refs;
  auto add = [&]<class S>(S const& s) {
    auto const copy = std::make_shared<S const>(s);
    owned.push_back(copy);
    refs.push_back({copy.get(), &ccomp::detail::facts_of<S>(), &ccomp::detail::host_ops_of<S>()});
  };
  std::apply([&](auto const&... s) { (add(s), ...); }, ccomp::detail::as_tuple(c));
  return {owned, refs};
}

enum class how { automatic, gather, two_shot, in_flight };
inline std::string name_of(how h) {
  constexpr char const* names[] = {"automatic", "gather", "two_shot", "in_flight"};
  return names[static_cast<int>(h)];
}

/// allreduce by a strategy known at run time.
template <class Comm, class C, class Data>
ccomp::collective_report allreduce_by(how h, ccomp::host_exec const& ex, Comm& comm, C& c, Data&& data,
                                      ccomp::workspace<ccomp::host_exec>& ws, ccomp::allreduce_options options) {
  switch (h) {
    case how::gather:
      return ccomp::allreduce(ex, comm, c, data, ws, options, ccomp::gather{});
    case how::two_shot:
      return ccomp::allreduce(ex, comm, c, data, ws, options, ccomp::two_shot{});
    case how::in_flight:
      return ccomp::allreduce(ex, comm, c, data, ws, options, ccomp::in_flight{});
    default:
      return ccomp::allreduce(ex, comm, c, data, ws, options);
  }
}

template <class T> using per_rank = std::vector<std::vector<T>>;

/// One tensor a rank, unlike each other; blocks differ in size by a factor of up to 1000.
template <class T = float> per_rank<T> gradients(int ranks, std::size_t n, std::uint64_t seed = 1) {
  float sizes[4];
  for (int i = 0; i < 4; ++i) sizes[i] = std::pow(10.0f, -static_cast<float>(i));
  per_rank<T> all(static_cast<std::size_t>(ranks), std::vector<T>(n));
  for (std::size_t r = 0; r < all.size(); ++r) {
    auto const x = gaussian_values(n, 1000 * seed + r);
    for (std::size_t i = 0; i < n; ++i) all[r][i] = T(x[i] * sizes[(i / 512 + r) % 4]);
  }
  return all;
}

/// The sum over ranks in double.
template <class T> std::vector<double> exact_sum(per_rank<T> const& x) {
  std::vector<double> sum(x.at(0).size());
  for (auto const& row : x)
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<double>(static_cast<float>(row[i]));
  return sum;
}

template <class T> bool same_bits(std::vector<T> const& a, std::vector<T> const& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}
template <class T> bool same_bits(per_rank<T> const& a, per_rank<T> const& b) {
  return std::ranges::equal(a, b, [](auto const& x, auto const& y) { return same_bits(x, y); });
}
template <class T> bool all_same(per_rank<T> const& x) {
  return std::ranges::all_of(x, [&](auto const& row) { return same_bits(row, x.at(0)); });
}
inline bool all_finite(std::vector<float> const& x) {
  return std::ranges::all_of(x, [](float v) { return std::isfinite(v); });
}
inline double norm(std::vector<double> const& x) {
  double sum = 0;
  for (double v : x) sum += v * v;
  return std::sqrt(sum);
}

/// The tensors after an allreduce of all ranks of the group, and rank 0's report.
template <class T> struct reduced {
  per_rank<T> out;
  std::vector<ccomp::collective_report> reports;
};
template <class T>
reduced<T> allreduce_all(ccomp::thread_group& group, how h, erased const& c, per_rank<T> const& in,
                         ccomp::allreduce_options options, ccomp::host_exec ex = {1}) {
  reduced<T> result{in, std::vector<ccomp::collective_report>(in.size())};
  group.run([&](ccomp::thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    ccomp::workspace<ccomp::host_exec> ws{ex};
    result.reports[r] = allreduce_by(h, ex, comm, c, result.out[r], ws, options);
  });
  return result;
}

}  // namespace support
