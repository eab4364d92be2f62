#pragma once

#include <ccomp/core/communicator.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

namespace compare {

// `Exchanges`: what one rank received during a call, exchange by exchange; it keeps copies, and its `copier` gives them
// back and knows how long that took (host/exchanges.hpp, cuda/exchanges.cuh).

// Passes everything on to a communicator and keeps what came back, where `log` is not null.
template <typename Communicator, typename Exchanges> class recorder {
 public:
  recorder(Communicator& inner, Exchanges* log) : inner_(&inner), log_(log) {}

  int rank() const { return inner_->rank(); }
  int size() const { return inner_->size(); }

  template <typename Exec>
  void all_gather(Exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner_->all_gather(ex, send, receive);
    keep(ex, receive);
  }
  template <typename Exec>
  void all_to_all(Exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner_->all_to_all(ex, send, receive);
    keep(ex, receive);
  }
  template <typename Exec>
  void all_reduce(Exec const& ex, void* data, std::size_t n, ccomp::wire_type type, ccomp::wire_op op) {
    inner_->all_reduce(ex, data, n, type, op);
    keep(ex, {static_cast<std::byte*>(data), n * ccomp::wire_bytes(type)});
  }
  template <typename Exec> void broadcast(Exec const& ex, std::span<std::byte> data, int root) {
    inner_->broadcast(ex, data, root);
    keep(ex, data);
  }
  void agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    inner_->agree(fingerprint, what, describe);
  }

 private:
  template <typename Exec> void keep(Exec const& ex, std::span<std::byte const> received) {
    if (log_ != nullptr) log_->keep(ex, received);
  }

  Communicator* inner_;
  Exchanges* log_;
};

// The same rank again, without the others: what they sent comes from the log. `seconds()` is the time spent on that, so
// that the rest of a call is this rank's own work.
template <typename Exchanges> class replayer {
 public:
  replayer(int rank, int size, Exchanges const& log) : log_(&log), rank_(rank), size_(size) {}

  int rank() const { return rank_; }
  int size() const { return size_; }
  double seconds() const { return copier_.seconds(); }

  template <typename Exec> void all_gather(Exec const& ex, std::span<std::byte const>, std::span<std::byte> receive) {
    fill(ex, receive);
  }
  template <typename Exec> void all_to_all(Exec const& ex, std::span<std::byte const>, std::span<std::byte> receive) {
    fill(ex, receive);
  }
  template <typename Exec>
  void all_reduce(Exec const& ex, void* data, std::size_t n, ccomp::wire_type type, ccomp::wire_op) {
    fill(ex, {static_cast<std::byte*>(data), n * ccomp::wire_bytes(type)});
  }
  template <typename Exec> void broadcast(Exec const& ex, std::span<std::byte> data, int) { fill(ex, data); }

 private:
  template <typename Exec> void fill(Exec const& ex, std::span<std::byte> receive) {
    if (next_ == log_->size() || (*log_)[next_].size() != receive.size()) {
      throw std::logic_error("a collective exchanged other bytes when it was repeated");
    }
    copier_.copy(ex, (*log_)[next_], receive);
    ++next_;
  }

  Exchanges const* log_;
  typename Exchanges::copier copier_;
  std::size_t next_ = 0;
  int rank_;
  int size_;
};

}
