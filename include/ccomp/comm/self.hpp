#pragma once

#include <ccomp/core/communicator.hpp>

#include <cstring>

CCOMP_BEGIN

/// A group of one rank. Every collective works, and nothing is sent.
class self_communicator {
 public:
  [[nodiscard]] int rank() const noexcept { return 0; }
  [[nodiscard]] int size() const noexcept { return 1; }

  void all_gather(host_exec const&, std::span<std::byte const> send, std::span<std::byte> receive) {
    copy(send, receive);
  }
  void all_to_all(host_exec const&, std::span<std::byte const> send, std::span<std::byte> receive) {
    copy(send, receive);
  }
  void all_reduce(host_exec const&, void*, std::size_t, wire_type, wire_op) {}
  void broadcast(host_exec const&, std::span<std::byte>, int) {}
  void exchange(host_exec const&, std::span<std::byte const> send, int, std::span<std::byte> receive, int) {
    copy(send, receive);
  }
  /// There is no other rank: every message is refused.
  void transfer(host_exec const&, std::span<outgoing_message const> out, std::span<incoming_message const> in) {
    detail::expect_partners("self_communicator::transfer", out, 0, 1);
    detail::expect_partners("self_communicator::transfer", in, 0, 1);
  }

 private:
  static void copy(std::span<std::byte const> send, std::span<std::byte> receive) {
    if (!send.empty() && send.data() != receive.data()) std::memcpy(receive.data(), send.data(), send.size());
  }
};

CCOMP_END
