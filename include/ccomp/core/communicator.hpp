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
/// Messages of a transfer: bytes to another rank, and bytes from one.
struct outgoing_message {
  int to;
  std::span<std::byte const> data;
};
struct incoming_message {
  int from;
  std::span<std::byte> data;
};
namespace detail {
inline int partner_of(outgoing_message const& m) { return m.to; }
inline int partner_of(incoming_message const& m) { return m.from; }
/// Refuses messages that no transfer may have: to this rank itself, to none of the group, two to one rank.
template <class Message>
void expect_partners(char const* call, std::span<Message const> messages, int rank, int ranks) {
  constexpr auto verb = std::same_as<Message, outgoing_message> ? "sends to" : "receives from";
  for (std::size_t i = 0; i < messages.size(); ++i) {
    int const with = partner_of(messages[i]);
    expects(0 <= with && with < ranks,
            [&] { return sentence(call, ": rank ", rank, " of a group of ", ranks, " ", verb, " rank ", with); });
    expects(with != rank, [&] { return sentence(call, ": rank ", rank, " ", verb, " itself"); });
    for (std::size_t k = 0; k < i; ++k)
      expects(partner_of(messages[k]) != with,
              [&] { return sentence(call, ": rank ", rank, " ", verb, " rank ", with, " twice in one call"); });
  }
}
}  // namespace detail
/// Sends and receives all messages at once. Only ranks that have messages for each other need to call it. Each call has at
/// most one message to a rank and one from it, and none to itself; its receiver expects as many bytes. Messages from one rank
/// to another arrive in the order of the calls.
template <class C, class Exec>
concept can_transfer = communicator<C> && requires(C& c, Exec const& ex, std::span<outgoing_message const> out,
                                                   std::span<incoming_message const> in) { c.transfer(ex, out, in); };
/// An exchange that is on its way; 0: none is.
struct exchange_handle {
  int number = 0;
};
/// Exchanges that go on while the ranks compute. start_all_to_all, start_all_gather, start_all_reduce and start_exchange take
/// the arguments of the primitives and a channel: ranks may start the exchanges of several channels in any order.
/// arrived(handle) moves all exchanges on and tells whether one is done; it then forgets the handle. rest() pauses where
/// there is nothing to compute, and throws timeout if nothing arrives. give_up(): what is on its way is not waited for any
/// more, because an exception ends the call. A communicator with `queues = true` orders exchanges by streams: arrived() returns
/// true at once, and what the caller queues then comes after the exchange.
template <class C, class Exec>
concept can_start = communicator<C> && requires(C& c, Exec const& ex, std::span<std::byte const> send,
                                                std::span<std::byte> receive, exchange_handle h) {
  { c.start_all_to_all(ex, send, receive, 0) } -> std::same_as<exchange_handle>;
  { c.start_all_gather(ex, send, receive, 0) } -> std::same_as<exchange_handle>;
  {
    c.start_all_reduce(ex, receive.data(), std::size_t{}, wire_type::float32, wire_op::sum, 0)
  } -> std::same_as<exchange_handle>;
  { c.start_exchange(ex, send, 0, receive, 0, 0) } -> std::same_as<exchange_handle>;
  { c.arrived(h) } -> std::same_as<bool>;
  c.rest();
  c.give_up();
};
/// Ranks that code a tensor in slices: how many bytes collectives send another rank at a time, the same on all ranks.
template <class C, class Exec>
concept has_slices = requires(C const& c, Exec const& ex) {
  { c.slice_bytes(ex) } -> std::same_as<std::size_t>;
};

/// Ranks that may put a checksum into every slot of a collective, and check it before they use the payloads: on all of
/// them or on none.
template <class C>
concept has_checksums = requires(C const& c) {
  { c.checksums() } -> std::same_as<bool>;
};

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
      : object_(&c),
        table_(&table_of<C, MaySum>),
        rank_(c.rank()),
        size_(c.size()),
        slice_bytes_(slices_of(c)),
        checksums_(checksums_of(c)) {}

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
  void transfer(host_exec const& ex, std::span<outgoing_message const> out, std::span<incoming_message const> in) {
    table_->transfer(object_, ex, out, in);
  }
  void agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    table_->agree(object_, fingerprint, what, describe);
  }

  // Where the communicator cannot start exchanges, they are done at once.
  exchange_handle start_all_gather(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive,
                                   int channel) {
    if (table_->starting) return table_->starting->all_gather(object_, ex, send, receive, channel);
    all_gather(ex, send, receive);
    return {};
  }
  exchange_handle start_all_to_all(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive,
                                   int channel) {
    if (table_->starting) return table_->starting->all_to_all(object_, ex, send, receive, channel);
    all_to_all(ex, send, receive);
    return {};
  }
  exchange_handle start_all_reduce(host_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op,
                                   int channel) {
    if (table_->starting) return table_->starting->all_reduce(object_, ex, data, n, type, op, channel);
    all_reduce(ex, data, n, type, op);
    return {};
  }
  exchange_handle start_exchange(host_exec const& ex, std::span<std::byte const> send, int to,
                                 std::span<std::byte> receive, int from, int channel) {
    if (table_->starting) return table_->starting->exchange(object_, ex, send, to, receive, from, channel);
    exchange(ex, send, to, receive, from);
    return {};
  }
  bool arrived(exchange_handle h) { return !table_->starting || table_->starting->arrived(object_, h); }
  void rest() {
    if (table_->starting) table_->starting->rest(object_);
  }
  void give_up() {
    if (table_->starting) table_->starting->give_up(object_);
  }
  [[nodiscard]] std::size_t slice_bytes(host_exec const&) const { return slice_bytes_; }
  [[nodiscard]] bool checksums() const { return checksums_; }

 private:
  struct starting_table {
    exchange_handle (*all_gather)(void*, host_exec const&, std::span<std::byte const>, std::span<std::byte>, int);
    exchange_handle (*all_to_all)(void*, host_exec const&, std::span<std::byte const>, std::span<std::byte>, int);
    exchange_handle (*all_reduce)(void*, host_exec const&, void*, std::size_t, wire_type, wire_op, int);
    exchange_handle (*exchange)(void*, host_exec const&, std::span<std::byte const>, int, std::span<std::byte>, int,
                                int);
    bool (*arrived)(void*, exchange_handle);
    void (*rest)(void*);
    void (*give_up)(void*);
  };
  template <class C> static std::size_t slices_of(C const& c) {
    if constexpr (has_slices<C, host_exec>)
      return c.slice_bytes(host_exec{});
    else
      return static_cast<std::size_t>(-1);
  }
  template <class C> static bool checksums_of(C const& c) {
    if constexpr (has_checksums<C>)
      return c.checksums();
    else
      return false;
  }
  template <class C>
  static constexpr starting_table starting_table_of = {
      [](void* c, host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive, int channel) {
        return static_cast<C*>(c)->start_all_gather(ex, send, receive, channel);
      },
      [](void* c, host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive, int channel) {
        return static_cast<C*>(c)->start_all_to_all(ex, send, receive, channel);
      },
      [](void* c, host_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op, int channel) {
        return static_cast<C*>(c)->start_all_reduce(ex, data, n, type, op, channel);
      },
      [](void* c, host_exec const& ex, std::span<std::byte const> send, int to, std::span<std::byte> receive, int from,
         int channel) { return static_cast<C*>(c)->start_exchange(ex, send, to, receive, from, channel); },
      [](void* c, exchange_handle h) { return static_cast<C*>(c)->arrived(h); },
      [](void* c) { static_cast<C*>(c)->rest(); },
      [](void* c) { static_cast<C*>(c)->give_up(); }};
  template <class C> static constexpr starting_table const* starting_of() {
    if constexpr (can_start<C, host_exec>)
      return &starting_table_of<C>;
    else
      return nullptr;
  }

  struct table {
    void (*all_gather)(void*, host_exec const&, std::span<std::byte const>, std::span<std::byte>);
    void (*all_to_all)(void*, host_exec const&, std::span<std::byte const>, std::span<std::byte>);
    void (*all_reduce)(void*, host_exec const&, void*, std::size_t, wire_type, wire_op);
    void (*broadcast)(void*, host_exec const&, std::span<std::byte>, int);
    void (*exchange)(void*, host_exec const&, std::span<std::byte const>, int, std::span<std::byte>, int);
    void (*transfer)(void*, host_exec const&, std::span<outgoing_message const>, std::span<incoming_message const>);
    void (*agree)(void*, std::uint64_t, void const*, std::string (*)(void const*));
    starting_table const* starting;
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
      [](void* c, host_exec const& ex, std::span<outgoing_message const> out, std::span<incoming_message const> in) {
        if constexpr (can_transfer<C, host_exec>)
          static_cast<C*>(c)->transfer(ex, out, in);
        else
          lacks("transfer");
      },
      [](void* c, std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
        if constexpr (can_agree<C>) static_cast<C*>(c)->agree(fingerprint, what, describe);
      },
      starting_of<C>()};

  void* object_;
  table const* table_;
  int rank_, size_;
  std::size_t slice_bytes_;
  bool checksums_;
};

CCOMP_END
