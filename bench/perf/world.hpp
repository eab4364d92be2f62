#pragma once

#include <ccomp/comm/thread.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace perf {

// The ranks, beside the communicator that is measured: to wait for each other and to compare results. Every rank makes
// the same calls.
class world {
 public:
  virtual ~world() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual void wait_for_all() = 0;
  // Each rank's values, rank after rank.
  virtual std::vector<double> gather(std::span<double const> mine) = 0;
  virtual void broadcast_from_first(std::span<std::byte> bytes) = 0;

  bool speaks() const { return rank() == 0; }  // this rank prints and writes
  double largest(double value) {
    auto const all = gather({&value, 1});
    return *std::max_element(all.begin(), all.end());
  }
  double sum(double value) {
    double total = 0;
    for (double const each : gather({&value, 1})) total += each;
    return total;
  }
};

// Ranks that are threads of this process.
class thread_world : public world {
 public:
  explicit thread_world(ccomp::thread_communicator& comm) : comm_(comm) {}
  int rank() const override { return comm_.rank(); }
  int size() const override { return comm_.size(); }
  void wait_for_all() override {
    double const here = 0;
    static_cast<void>(gather({&here, 1}));
  }
  std::vector<double> gather(std::span<double const> mine) override {
    std::vector<double> all(mine.size() * static_cast<std::size_t>(size()));
    comm_.all_gather(ccomp::host_exec{1}, std::as_bytes(mine), std::as_writable_bytes(std::span(all)));
    return all;
  }
  void broadcast_from_first(std::span<std::byte> bytes) override { comm_.broadcast(ccomp::host_exec{1}, bytes, 0); }

 private:
  ccomp::thread_communicator& comm_;
};

}
