#pragma once

#include <ccomp/comm/communicator.hpp>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace compare {

// What one rank received during a call, exchange by exchange.
using exchanges = std::vector<std::vector<std::byte>>;

// Passes everything on to a communicator and keeps what came back, where `log` is not null.
template <typename Communicator> class recorder {
 public:
  recorder(Communicator& inner, exchanges* log) : inner_(&inner), log_(log) {}

  int rank() const { return inner_->rank(); }
  int size() const { return inner_->size(); }

  void all_gather(ccomp::host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner_->all_gather(ex, send, receive);
    keep(receive);
  }
  void all_to_all(ccomp::host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner_->all_to_all(ex, send, receive);
    keep(receive);
  }
  void all_reduce(ccomp::host_exec const& ex, void* data, std::size_t n, ccomp::wire_type type, ccomp::wire_op op) {
    inner_->all_reduce(ex, data, n, type, op);
    keep({static_cast<std::byte*>(data), n * ccomp::wire_bytes(type)});
  }
  void broadcast(ccomp::host_exec const& ex, std::span<std::byte> data, int root) {
    inner_->broadcast(ex, data, root);
    keep(data);
  }
  void agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    inner_->agree(fingerprint, what, describe);
  }

 private:
  void keep(std::span<std::byte> received) {
    if (log_ != nullptr) log_->emplace_back(received.begin(), received.end());
  }

  Communicator* inner_;
  exchanges* log_;
};

// The same rank again, without the others: what they sent comes from the log. `seconds()` is the time spent on that, so
// that the rest of a call is this rank's own work.
class replayer {
 public:
  replayer(int rank, int size, exchanges const& log) : log_(&log), rank_(rank), size_(size) {}

  int rank() const { return rank_; }
  int size() const { return size_; }
  double seconds() const { return seconds_; }

  void all_gather(ccomp::host_exec const&, std::span<std::byte const>, std::span<std::byte> receive) { fill(receive); }
  void all_to_all(ccomp::host_exec const&, std::span<std::byte const>, std::span<std::byte> receive) { fill(receive); }
  void all_reduce(ccomp::host_exec const&, void* data, std::size_t n, ccomp::wire_type type, ccomp::wire_op) {
    fill({static_cast<std::byte*>(data), n * ccomp::wire_bytes(type)});
  }
  void broadcast(ccomp::host_exec const&, std::span<std::byte> data, int) { fill(data); }

 private:
  void fill(std::span<std::byte> receive) {
    auto const start = std::chrono::steady_clock::now();
    if (next_ == log_->size() || (*log_)[next_].size() != receive.size()) {
      throw std::logic_error("a collective exchanged other bytes when it was repeated");
    }
    if (!receive.empty()) std::memcpy(receive.data(), (*log_)[next_].data(), receive.size());
    ++next_;
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  exchanges const* log_;
  std::size_t next_ = 0;
  int rank_;
  int size_;
  double seconds_ = 0;
};

}
