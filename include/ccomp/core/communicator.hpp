#pragma once
/// What a communicator must offer, and its type-erased form. Collectives are written once, for any transport.

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/error.hpp>
#include <ccomp/core/types.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

CCOMP_BEGIN

/// Numbers that a transport can add: the element types, and the integers of shared-scale sums.
enum class wire_type : std::uint8_t { float32, float16, bfloat16, int8, int16, int32, uint32 };
enum class wire_op : std::uint8_t { sum, max };

CCOMP_HD constexpr std::size_t wire_bytes(wire_type t) {
  switch (t) {
    case wire_type::int8:
      return 1;
    case wire_type::float16:
    case wire_type::bfloat16:
    case wire_type::int16:
      return 2;
    default:
      return 4;
  }
}
constexpr wire_type wire_type_of(element_type t) { return static_cast<wire_type>(t); }

namespace detail {
/// The bytes that a rank sends when `bytes` bytes are summed over `ranks` ranks by reduce-scatter and all-gather.
constexpr std::size_t all_reduce_bytes(std::size_t bytes, int ranks) {
  auto const w = static_cast<std::size_t>(ranks);
  return 2 * (w - 1) * bytes / w;
}
/// The smallest integer in which `ranks` codes of at most `levels` each can be added.
inline wire_type sum_type(std::int32_t levels, int ranks) {
  std::int64_t const most = std::int64_t{levels} * ranks;
  return most <= 127 ? wire_type::int8 : most <= 32767 ? wire_type::int16 : wire_type::int32;
}
}  // namespace detail

/// A communicator tells its rank and the number of ranks. The primitives that it offers are separate concepts.
template <class C>
concept communicator = requires(C& c) {
  { c.rank() } -> std::convertible_to<int>;
  { c.size() } -> std::convertible_to<int>;
};
/// `receive` holds size() times the bytes of `send`, in rank order.
template <class C, class Exec>
concept can_all_gather = communicator<C> && requires(C& c, Exec const& ex, std::span<std::byte const> send,
                                                     std::span<std::byte> receive) { c.all_gather(ex, send, receive); };
/// Slot r of `send` goes to rank r, into slot rank() of its `receive`.
template <class C, class Exec>
concept can_all_to_all = communicator<C> && requires(C& c, Exec const& ex, std::span<std::byte const> send,
                                                     std::span<std::byte> receive) { c.all_to_all(ex, send, receive); };
/// Element-wise over ranks, in place; sums of 16-bit types accumulate in float, in rank order.
template <class C, class Exec>
concept can_all_reduce = communicator<C> && requires(C& c, Exec const& ex, void* data, std::size_t n) {
  c.all_reduce(ex, data, n, wire_type::float32, wire_op::sum);
};
template <class C, class Exec>
concept can_broadcast =
    communicator<C> && requires(C& c, Exec const& ex, std::span<std::byte> data) { c.broadcast(ex, data, 0); };
/// Sends to rank `to` and receives from rank `from` at the same time, so that all ranks of a ring may do it at once.
/// The number of bytes sent equals the number that `to` expects from this rank. A rank may send to itself.
template <class C, class Exec>
concept can_exchange =
    communicator<C> && requires(C& c, Exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive,
                                int rank) { c.exchange(ex, send, rank, receive, rank); };
/// Throws rank_mismatch on every rank unless all ranks bring the same number. `describe` tells what the number stands
/// for.
template <class C>
concept can_agree = requires(C& c, std::uint64_t fingerprint, std::string (*describe)(void const*)) {
  c.agree(fingerprint, static_cast<void const*>(nullptr), describe);
};

/// A host communicator without its type. It does not own the communicator and lives as long as a call.
class communicator_ref {
 public:
  /// `MaySum`: whether all_reduce may be called. If not, it is not compiled.
  template <communicator C, bool MaySum = true>
  requires(!std::same_as<std::remove_cv_t<C>, communicator_ref>)
  explicit communicator_ref(C& c, std::bool_constant<MaySum> = {})
      : object_(&c), table_(&table_of<C, MaySum>), rank_(c.rank()), size_(c.size()) {}

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }
  void all_gather(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    table_->all_gather(object_, ex, send, receive);
  }
  void all_to_all(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    table_->all_to_all(object_, ex, send, receive);
  }
  void all_reduce(host_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
    table_->all_reduce(object_, ex, data, n, type, op);
  }
  void broadcast(host_exec const& ex, std::span<std::byte> data, int root) {
    table_->broadcast(object_, ex, data, root);
  }
  void exchange(host_exec const& ex, std::span<std::byte const> send, int to, std::span<std::byte> receive, int from) {
    table_->exchange(object_, ex, send, to, receive, from);
  }
  void agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    table_->agree(object_, fingerprint, what, describe);
  }

 private:
  struct table {
    void (*all_gather)(void*, host_exec const&, std::span<std::byte const>, std::span<std::byte>);
    void (*all_to_all)(void*, host_exec const&, std::span<std::byte const>, std::span<std::byte>);
    void (*all_reduce)(void*, host_exec const&, void*, std::size_t, wire_type, wire_op);
    void (*broadcast)(void*, host_exec const&, std::span<std::byte>, int);
    void (*exchange)(void*, host_exec const&, std::span<std::byte const>, int, std::span<std::byte>, int);
    void (*agree)(void*, std::uint64_t, void const*, std::string (*)(void const*));
  };
  [[noreturn]] static void lacks(char const* what) {
    detail::fail(detail::sentence("the communicator has no ", what, " for host memory, which this call needs"));
  }
  template <class C, bool MaySum>
  static constexpr table table_of = {
      [](void* c, host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
        if constexpr (can_all_gather<C, host_exec>)
          static_cast<C*>(c)->all_gather(ex, send, receive);
        else
          lacks("all_gather");
      },
      [](void* c, host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
        if constexpr (can_all_to_all<C, host_exec>)
          static_cast<C*>(c)->all_to_all(ex, send, receive);
        else
          lacks("all_to_all");
      },
      [](void* c, host_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
        if constexpr (MaySum && can_all_reduce<C, host_exec>)
          static_cast<C*>(c)->all_reduce(ex, data, n, type, op);
        else
          lacks("all_reduce");
      },
      [](void* c, host_exec const& ex, std::span<std::byte> data, int root) {
        if constexpr (can_broadcast<C, host_exec>)
          static_cast<C*>(c)->broadcast(ex, data, root);
        else
          lacks("broadcast");
      },
      [](void* c, host_exec const& ex, std::span<std::byte const> send, int to, std::span<std::byte> receive,
         int from) {
        if constexpr (can_exchange<C, host_exec>)
          static_cast<C*>(c)->exchange(ex, send, to, receive, from);
        else
          lacks("exchange");
      },
      [](void* c, std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
        if constexpr (can_agree<C>) static_cast<C*>(c)->agree(fingerprint, what, describe);
      }};

  void* object_;
  table const* table_;
  int rank_, size_;
};

CCOMP_END
