#pragma once
/// A communicator that counts the messages of its rank.

#include <ccomp/comm/thread.hpp>

namespace support {

struct counting_communicator {
  ccomp::thread_communicator& inner;
  int sums = 0;  // calls of all_reduce

  [[nodiscard]] int rank() const { return inner.rank(); }
  [[nodiscard]] int size() const { return inner.size(); }
  template <class Exec>
  void all_reduce(Exec const& ex, void* data, std::size_t n, ccomp::wire_type type, ccomp::wire_op op) {
    ++sums;
    inner.all_reduce(ex, data, n, type, op);
  }
  template <class Exec> void all_gather(Exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner.all_gather(ex, send, receive);
  }
  void agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    inner.agree(fingerprint, what, describe);
  }
};

}  // namespace support
