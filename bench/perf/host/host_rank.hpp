#pragma once

#include "../measure.hpp"

#include <ccomp/any_compressor.hpp>
#include <ccomp/collectives.hpp>

#include <chrono>
#include <memory>

namespace perf {

// One type for all communicators of host memory, so that collectives are compiled once.
class host_ranks : public ccomp::communicator_ref {
 public:
  using communicator_ref::communicator_ref;
};

class host_rank {
 public:
  static constexpr bool can_feed_back = true;

  host_rank(world& ranks, host_ranks one) : all(ranks), comm(one) {}
  virtual ~host_rank() = default;

  // MPI's own, where there is one.
  virtual char const* native_name() const { return ""; }
  virtual bool has_native(operation_facts const&, ccomp::element_type, ccomp::reduction) const { return false; }
  virtual void native(native_call const&) {}

  static ccomp::any_compressor compressor(std::string const& text) { return ccomp::any_compressor(text); }
  static void settle() {}

  template <class T> class memory {
   public:
    explicit memory(std::size_t n) : data_(std::make_unique<T[]>(n)), n_(n) {}
    T* data() const { return data_.get(); }
    std::span<T> span() const { return {data_.get(), n_}; }

   private:
    std::unique_ptr<T[]> data_;
    std::size_t n_;
  };

  class stopwatch {
   public:
    stopwatch(host_rank const&, std::size_t calls) : seconds_(calls) {}
    void start(std::size_t) { start_ = clock::now(); }
    void stop(std::size_t i) { seconds_[i] = std::chrono::duration<double>(clock::now() - start_).count(); }
    std::vector<double> const& seconds() const { return seconds_; }

   private:
    using clock = std::chrono::steady_clock;
    clock::time_point start_;
    std::vector<double> seconds_;
  };

  ccomp::host_exec const ex{};
  world& all;
  host_ranks comm;
};

}
