#pragma once
/// The primitives of mpi_communicator, written once for any memory. Part of comm/mpi.hpp.

#include <ccomp/comm/mpi_link.hpp>
#include <ccomp/core/communicator.hpp>
#include <ccomp/engine/host/checksum.hpp>
#include <ccomp/engine/host/typed_sum.hpp>

#include <algorithm>
#include <cstring>

CCOMP_BEGIN
namespace detail {

/// The memory of an exec, as mpi_primitives wants it. comm/mpi.cuh has that of a cuda_exec.
template <class Exec> class mpi_memory;
template <class Exec>
concept has_mpi_memory = requires { sizeof(mpi_memory<Exec>); };

template <> class mpi_memory<host_exec> {
 public:
  mpi_memory(host_exec const& ex, mpi_link& link, char const*) : ex_(ex), link_(link) {}

  /// `f(send, receive)` with memory that MPI can use. `send` is read, `receive` written; both may be the same.
  template <class F> void lend(std::span<std::byte const> send, std::span<std::byte> receive, F const& f) const {
    f(send, receive);
  }
  template <class F>
  void lend(std::span<outgoing_message const> out, std::span<incoming_message const> in, F const& f) const {
    f(out, in);
  }
  /// Bytes within this rank.
  static void copy(std::span<std::byte const> from, std::span<std::byte> to) {
    if (!from.empty() && from.data() != to.data()) std::memmove(to.data(), from.data(), from.size());
  }
  /// Waits until MPI may read and write what was copied and summed so far.
  static void settle() {}
  /// So many bytes; what they held is lost.
  [[nodiscard]] std::span<std::byte> scratch(std::size_t bytes) const { return link_.scratch(bytes); }
  [[nodiscard]] std::uint64_t checksum(std::span<std::byte const> bytes) const { return detail::checksum(ex_, bytes); }
  /// The sum, or the maximum, of the ranks' vectors, which lie one after another, `stride` bytes apart.
  void sum(std::span<std::byte> vectors, std::size_t stride, std::size_t n, wire_type type, wire_op op,
           std::byte* out) const {
    std::vector<void const*> sources(static_cast<std::size_t>(link_.size()));
    for (std::size_t r = 0; r < sources.size(); ++r) sources[r] = vectors.data() + r * stride;
    typed_sum(ex_, sources, n, type, op, out);
  }

 private:
  host_exec ex_;
  mpi_link& link_;
};

/// `call`: who asks, for what is thrown. `channel`: 0, or that of an exchange that is started.
template <class Memory> class mpi_primitives {
 public:
  mpi_primitives(mpi_link& link, Memory& memory, char const* call, int channel = 0)
      : link_(link), memory_(memory), call_(call), channel_(channel) {}

  /// Short ones, and those of the communicator itself, go by way of scratch memory: after a failure MPI may still use the
  /// memory of a call, and callers hold single numbers on their stack.
  void all_gather(std::span<std::byte const> send, std::span<std::byte> receive, mpi_tag tag = mpi_tag::all_gather) {
    constexpr std::size_t short_bytes = std::size_t{64} << 10;
    std::size_t const slot = send.size();
    expect_bytes("receive", receive.size(), slot);
    bool const own = tag != mpi_tag::all_gather;
    auto const all = own || receive.size() <= short_bytes ? memory_.scratch(receive.size()) : receive;
    memory_.copy(send, part_of(all, slot, rank()));
    memory_.settle();
    link_.with_partners(call_, tag, channel_, part_to_all(part_of(all, slot, rank()), all));
    memory_.copy(all, receive);
  }
  void all_to_all(std::span<std::byte const> send, std::span<std::byte> receive) {
    std::size_t const slot = send.size() / index(ranks());
    expect_bytes("send", send.size(), slot);
    expect_bytes("receive", receive.size(), slot);
    memory_.copy(part_of(send, slot, rank()), part_of(receive, slot, rank()));
    memory_.settle();
    link_.with_partners(call_, mpi_tag::all_to_all, channel_, parts_between(send, receive, slot));
  }
  /// Short vectors are gathered and summed by every rank. Of longer ones each rank sums one part, then takes the others'.
  void all_reduce(std::span<std::byte> data, wire_type type, wire_op op) {
    expect_op(type, op);
    sum_plan const plan(data, wire_bytes(type), link_);
    auto const scratch = memory_.scratch(plan.scratch_bytes());
    memory_.copy(plan.mine(), plan.slot(scratch, rank()));
    memory_.settle();
    auto const vectors = checked(link_.checksums(), plan.vectors(scratch));
    link_.with_partners(call_, mpi_tag::all_to_all, channel_, vectors.post());
    vectors.verify();
    memory_.sum(scratch, plan.stride, plan.mine().size() / wire_bytes(type), type, op, plan.mine().data());
    if (plan.all_of_it) return;
    memory_.settle();
    auto const sums = checked(link_.checksums(), plan.sums());
    link_.with_partners(call_, mpi_tag::all_gather, channel_, sums.post());
    sums.verify();
  }
  /// Short messages go along a binomial tree. Longer ones are cut into one part per rank, which the ranks then gather.
  void broadcast(std::span<std::byte> data, int root) {
    expect_rank("the root", root);
    constexpr std::size_t short_bytes = std::size_t{64} << 10;
    memory_.settle();
    if (data.size() <= short_bytes || ranks() == 2)
      along_tree(data, root);
    else
      in_parts(data, root);
  }
  void exchange(std::span<std::byte const> send, int to, std::span<std::byte> receive, int from) {
    expect_partners(send, to, receive, from);
    if (to == rank()) return memory_.copy(send, receive);
    memory_.settle();
    link_.transfer(call_, mpi_tag::exchange, channel_, [&](mpi_messages& m) {
      m.receive(receive, from);
      m.send(send, to);
    });
  }
  void transfer(std::span<outgoing_message const> out, std::span<incoming_message const> in) {
    memory_.settle();
    link_.transfer(call_, mpi_tag::transfer, channel_, [&](mpi_messages& m) {
      for (auto const& one : in) m.receive(one.data, one.from);
      for (auto const& one : out) m.send(one.data, one.to);
    });
  }
  void send(std::span<std::byte const> data, int to) {
    expect_other("the receiver", to);
    memory_.settle();
    link_.transfer(call_, mpi_tag::send, channel_, [&](mpi_messages& m) { m.send(data, to); });
  }
  void receive(std::span<std::byte> data, int from) {
    expect_other("the sender", from);
    memory_.settle();
    link_.transfer(call_, mpi_tag::send, channel_, [&](mpi_messages& m) { m.receive(data, from); });
  }

  // The same, but they return when the messages are on their way. The result: the number of the flight.
  int start_all_gather(std::span<std::byte const> send, std::span<std::byte> receive) {
    std::size_t const slot = send.size();
    expect_bytes("receive", receive.size(), slot);
    memory_.copy(send, part_of(receive, slot, rank()));
    return link_.start(call_, mpi_tag::all_gather, channel_,
                       [&](mpi_link::flight& f) { post_all(link_, f, part_to_all(send, receive)); });
  }
  int start_all_to_all(std::span<std::byte const> send, std::span<std::byte> receive) {
    std::size_t const slot = send.size() / index(ranks());
    expect_bytes("send", send.size(), slot);
    expect_bytes("receive", receive.size(), slot);
    memory_.copy(part_of(send, slot, rank()), part_of(receive, slot, rank()));
    return link_.start(call_, mpi_tag::all_to_all, channel_,
                       [&](mpi_link::flight& f) { post_all(link_, f, parts_between(send, receive, slot)); });
  }
  int start_exchange(std::span<std::byte const> send, int to, std::span<std::byte> receive, int from) {
    expect_partners(send, to, receive, from);
    if (to == rank()) {
      memory_.copy(send, receive);
      return 0;
    }
    return link_.start(call_, mpi_tag::exchange, channel_, [&](mpi_link::flight& f) {
      f.messages.receive(receive, from);
      f.messages.send(send, to);
    });
  }
  int start_all_reduce(std::span<std::byte> data, wire_type type, wire_op op) {
    expect_op(type, op);
    sum_plan const plan(data, wire_bytes(type), link_);
    return link_.start(call_, mpi_tag::all_to_all, channel_, [&](mpi_link::flight& f) {
      f.scratch.resize(std::max(f.scratch.size(), plan.scratch_bytes()));
      std::span<std::byte> const scratch = f.scratch;
      memory_.copy(plan.mine(), plan.slot(scratch, rank()));
      auto const vectors = checked(f.checksums, plan.vectors(scratch));
      post_all(link_, f, vectors.post());
      f.then = [plan, type, op, memory = memory_, &link = link_, vectors](mpi_link::flight& now) {
        vectors.verify();
        memory.sum(now.scratch, plan.stride, plan.mine().size() / wire_bytes(type), type, op, plan.mine().data());
        if (plan.all_of_it) return false;
        link.go_on(now, mpi_tag::all_gather);
        checked_exchange<decltype(plan.sums())> const sums(link, memory, now.call, now.checksums, plan.sums());
        post_all(link, now, sums.post());
        now.then = [sums](mpi_link::flight&) {
          sums.verify();
          return false;
        };
        return true;
      };
    });
  }

 private:
  [[nodiscard]] int rank() const { return link_.rank(); }
  [[nodiscard]] int ranks() const { return link_.size(); }
  static std::size_t index(int r) { return static_cast<std::size_t>(r); }
  template <class Byte> static std::span<Byte> part_of(std::span<Byte> all, std::size_t slot, int r) {
    return {all.data() + index(r) * slot, slot};  // not subspan(): g++ warns of its count that means "the rest"
  }
  /// Of a sum over ranks: which values each rank sums.
  struct sum_plan {
    std::span<std::byte> data;
    std::size_t part, stride;  // bytes
    int rank, ranks;
    bool all_of_it;  // every rank sums all

    sum_plan(std::span<std::byte> d, std::size_t width, mpi_link const& link)
        : data(d), rank(link.rank()), ranks(link.size()), all_of_it(d.size() <= short_bytes) {
      std::size_t const n = data.size() / width;
      part = width * (all_of_it ? n : round_up(ceil_div(n, index(ranks)), group));
      stride = pad16(mine().size());
    }
    [[nodiscard]] std::span<std::byte> values(int r) const {
      std::size_t const first = all_of_it ? 0 : std::min(data.size(), index(r) * part);
      return data.subspan(first, std::min(data.size() - first, part));
    }
    [[nodiscard]] std::span<std::byte> mine() const { return values(rank); }
    [[nodiscard]] std::size_t scratch_bytes() const { return stride * index(ranks); }
    /// What comes from rank r.
    [[nodiscard]] std::span<std::byte> slot(std::span<std::byte> scratch, int r) const {
      return scratch.subspan(index(r) * stride, mine().size());
    }
    /// What the ranks send each other: the values that each sums, then the sums.
    [[nodiscard]] auto vectors(std::span<std::byte> scratch) const {
      return [*this, scratch](int r, bool sent) { return sent ? values(r) : slot(scratch, r); };
    }
    [[nodiscard]] auto sums() const {
      return [*this](int r, bool sent) { return sent ? mine() : values(r); };
    }

   private:
    static constexpr std::size_t short_bytes = std::size_t{16} << 10, group = 128;
  };
  /// An exchange in which a checksum follows the bytes of each message, if the link's options ask for it. `part(r, sent)`: the
  /// bytes for rank r, or from it.
  template <class Part> class checked_exchange {
   public:
    checked_exchange(mpi_link& link, Memory const& memory, char const* call, mpi_checksums& sums, Part const& part)
        : link_(link), memory_(memory), call_(call), sums_(sums), part_(part), on_(link.options().checksums) {
      if (!on_) return;
      sums_.resize(link_.size());
      std::span<std::byte const> before;  // often all ranks get the same bytes
      std::uint64_t sum = 0;
      each_other([&](int r) {
        std::span<std::byte const> const bytes = part_(r, true);
        if (before.data() != bytes.data() || before.size() != bytes.size() || sum == 0) sum = memory_.checksum(bytes);
        before = bytes;
        sums_.sent[index(r)] = sum;
      });
    }
    [[nodiscard]] auto post() const {
      return [*this](mpi_messages& m, int to, int from) {
        m.receive(part_(from, false), from);
        m.send(part_(to, true), to);
        if (!on_) return;
        m.receive(sums_.from(from), from);
        m.send(sums_.to(to), to);
      };
    }
    void verify() const {
      if (!on_) return;
      each_other([&](int r) {
        if (memory_.checksum(part_(r, false)) != sums_.received[index(r)]) link_.fail_damaged(call_, r);
      });
    }

   private:
    template <class F> void each_other(F const& f) const {
      for (int r = 0; r < link_.size(); ++r)
        if (r != link_.rank()) f(r);
    }
    mpi_link& link_;
    Memory memory_;
    char const* call_;
    mpi_checksums& sums_;
    Part part_;
    bool on_;
  };
  template <class Part> [[nodiscard]] checked_exchange<Part> checked(mpi_checksums& sums, Part const& part) const {
    return {link_, memory_, call_, sums, part};
  }
  /// Part `to` of `send` to rank `to`, part `from` of `receive` from rank `from`.
  static auto parts_between(std::span<std::byte const> send, std::span<std::byte> receive, std::size_t slot) {
    return [=](mpi_messages& m, int to, int from) {
      m.receive(part_of(receive, slot, from), from);
      m.send(part_of(send, slot, to), to);
    };
  }
  static auto part_to_all(std::span<std::byte const> send, std::span<std::byte> receive) {
    return [=](mpi_messages& m, int to, int from) {
      m.receive(part_of(receive, send.size(), from), from);
      m.send(send, to);
    };
  }
  /// To and from all partners at once.
  template <class Post> static void post_all(mpi_link const& link, mpi_link::flight& f, Post const& post) {
    link.each_partner(1, link.size(), [&](int to, int from) { post(f.messages, to, from); });
  }
  void expect_op(wire_type type, wire_op op) const {
    expects(op == wire_op::sum || type > wire_type::bfloat16,
            [&] { return sentence(call_, ": the maximum is defined for integers"); });
  }
  void expect_partners(std::span<std::byte const> send, int to, std::span<std::byte> receive, int from) const {
    expect_rank("the receiver", to);
    expect_rank("the sender", from);
    expects((to == rank()) == (from == rank()), [&] {
      return sentence(call_, ": a rank that sends to itself receives from itself; this rank is ", rank(),
                      ", it sends to ", to, " and receives from ", from);
    });
    expects(to != rank() || send.size() == receive.size(), [&] {
      return sentence(call_, ": this rank sends ", send.size(), " bytes to itself and expects ", receive.size());
    });
  }
  void expect_bytes(char const* what, std::size_t got, std::size_t each) const {
    expects(each <= static_cast<std::size_t>(-1) / index(ranks()) && got == each * index(ranks()),
            [&] { return sentence(call_, ": ", what, " has ", got, " bytes and needs ", ranks(), " times ", each); });
  }
  void expect_rank(char const* what, int r) const {
    expects(0 <= r && r < ranks(),
            [&] { return sentence(call_, ": ", what, " is rank ", r, " of a group of ", ranks()); });
  }
  void expect_other(char const* what, int r) const {
    expect_rank(what, r);
    expects(r != rank(), [&] { return sentence(call_, ": ", what, " is this rank itself; use exchange"); });
  }
  /// The rank at place p of the tree sends to the places p + 1, p + 2, p + 4, ... below its own power of two.
  void along_tree(std::span<std::byte> data, int root) {
    int const place = (rank() - root + ranks()) % ranks();  // the root is at place 0
    int reach = 1;
    while (reach < ranks() && (place & reach) == 0) reach *= 2;
    if (place != 0)
      link_.transfer(call_, mpi_tag::broadcast, channel_,
                     [&](mpi_messages& m) { m.receive(data, (rank() - reach + ranks()) % ranks()); });
    link_.transfer(call_, mpi_tag::broadcast, channel_, [&](mpi_messages& m) {
      for (int step = reach / 2; step > 0; step /= 2)
        if (place + step < ranks()) m.send(data, (rank() + step) % ranks());
    });
  }
  void in_parts(std::span<std::byte> data, int root) {
    std::size_t const part = ceil_div(data.size(), index(ranks()));
    auto const bytes = [&](int r) {
      std::size_t const first = std::min(data.size(), index(r) * part);
      return data.subspan(first, std::min(data.size() - first, part));
    };
    link_.transfer(call_, mpi_tag::broadcast, channel_, [&](mpi_messages& m) {
      if (rank() != root) return m.receive(bytes(rank()), root);
      for (int r = 0; r < ranks(); ++r)
        if (r != root) m.send(bytes(r), r);
    });
    link_.with_partners(call_, mpi_tag::all_gather, channel_, [&](mpi_messages& m, int to, int from) {
      if (rank() != root) m.receive(bytes(from), from);  // the root has all
      if (to != root) m.send(bytes(rank()), to);
    });
  }

  mpi_link& link_;
  Memory& memory_;
  char const* call_;
  int channel_;
};

}  // namespace detail
CCOMP_END
