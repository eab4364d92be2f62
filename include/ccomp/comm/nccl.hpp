#pragma once
/// Ranks that are GPUs, over NCCL 2.18 or later. It contains no kernels, so any C++ compiler can compile this header.

#include <ccomp/comm/nccl_agreement.hpp>
#include <ccomp/comm/nccl_flights.hpp>
#include <ccomp/core/exclusive.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <span>

CCOMP_BEGIN

/// Options for the construction of a communicator.
struct nccl_options {
  /// NCCL's own settings. With `config.blocking = 0`, construction has a deadline. Otherwise NCCL decides how long it
  /// waits for ranks that do not come.
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  /// How long a non-blocking communicator may be in progress, and how long agree() waits for the other ranks.
  std::chrono::milliseconds deadline = std::chrono::minutes(10);
};

class nccl_group;

/// One rank of an NCCL communicator, owned or borrowed. Move-only; used by one thread at a time.
///
/// Collectives take memory of the communicator's device and return at once; their work runs on ex.stream(). Every rank
/// makes the same calls in the same order. A call that throws invalid_argument has queued nothing. Empty buffers make
/// no call.
///
/// Throws invalid_argument for wrong sizes, host memory, or a stream of another device; nccl_error if NCCL reports a
/// failure; timeout after a deadline. After a failure (other than wrong arguments) or a timeout, an owned communicator
/// is aborted, a borrowed one is left to its owner, and every further call throws communicator_error.
///
/// The destructor of an owned communicator never waits and never throws. It aborts, unless finalize() was called. So
/// other ranks do not hang when this one ends by an exception, but work still in flight is lost.
class nccl_communicator : public nccl_flights<nccl_communicator> {
 public:
  /// `agree` compares a fingerprint with the other ranks once, not at every call.
  static constexpr bool agrees_once = true;

  /// Borrows the handle: the caller owns it, and destroys it after this object.
  explicit nccl_communicator(ncclComm_t borrowed, std::chrono::milliseconds deadline = std::chrono::minutes(10))
      : nccl_communicator(borrowed, false, deadline) {}

  /// Owns the communicator. Collective: all `size` ranks bring the same id, and each its own rank and device.
  nccl_communicator(ncclUniqueId const& id, int rank, int size, int device, nccl_options options = {})
      : nccl_communicator(make(id, rank, size, device, options), true, options.deadline) {}

  nccl_communicator(nccl_communicator&&) noexcept = default;
  nccl_communicator& operator=(nccl_communicator&&) noexcept = default;

  /// A new id. One rank makes it and sends it to all.
  [[nodiscard]] static ncclUniqueId unique_id() {
    ncclUniqueId id;
    detail::check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
    return id;
  }
  /// One communicator per device, in this thread; rank r is devices[r]. Their collectives need an nccl_group in one
  /// thread; agree() needs one thread per rank.
  [[nodiscard]] static std::vector<nccl_communicator> init_all(
      std::span<int const> devices, std::chrono::milliseconds deadline = std::chrono::minutes(10)) {
    detail::expects(!devices.empty(), "nccl_communicator::init_all: needs at least 1 device");
    std::vector<ncclComm_t> made(devices.size());
    detail::check_nccl(ncclCommInitAll(made.data(), static_cast<int>(devices.size()), devices.data()),
                       "ncclCommInitAll");
    std::vector<nccl_communicator> all;
    all.reserve(made.size());
    try {
      for (auto* const comm : made) all.push_back(nccl_communicator(comm, true, deadline));
    } catch (...) {  // the one that failed is aborted, the next ones have no owner yet
      for (std::size_t i = all.size() + 1; i < made.size(); ++i) detail::ignore_error(ncclCommAbort(made[i]));
      throw;
    }
    return all;
  }

  [[nodiscard]] int rank() const { return handle("nccl_communicator::rank").rank(); }
  /// For collectives: which thread uses it.
  [[nodiscard]] detail::in_use& usage() noexcept { return in_use_; }
  [[nodiscard]] int size() const { return handle("nccl_communicator::size").size(); }
  [[nodiscard]] int device() const { return handle("nccl_communicator::device").device(); }
  [[nodiscard]] bool owned() const { return handle("nccl_communicator::owned").owned(); }
  /// For calls of NCCL's own; null once the communicator was aborted.
  [[nodiscard]] ncclComm_t get() const { return handle("nccl_communicator::get").get(); }

  /// Shapes: send [b bytes], receive [size() b bytes], in rank order.
  void all_gather(cuda_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    constexpr auto call = "nccl_communicator::all_gather";
    auto& comm = usable(ex, call);
    auto const alone = use(call);
    expect_bytes(call, "receive", receive.size(), send.size(), times(comm));
    if (send.empty()) return;
    expect_device(ex, call, send, receive);
    comm.settle(ncclAllGather(send.data(), receive.data(), send.size(), ncclInt8, comm.get(), ex.stream()),
                "ncclAllGather");
  }
  /// Slot r of `send` goes to rank r, into slot rank() of its `receive`. Sends and receives are one group; not in
  /// place.
  ///
  /// Shapes: send and receive [size() slots of equal size]
  void all_to_all(cuda_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive);

  /// Element-wise over ranks, in place, data [n]. NCCL computes the sums: in its own order and, for 16-bit types, with
  /// its own roundings, which depend on the number of ranks, the network and NCCL's version. All ranks get the same
  /// bits.
  ///
  /// Throws invalid_argument for int16, which NCCL does not have.
  void all_reduce(cuda_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
    constexpr auto call = "nccl_communicator::all_reduce";
    auto& comm = usable(ex, call);
    auto const alone = use(call);
    auto const wire = detail::nccl_type(type, call);
    if (n == 0) return;
    expect_device(ex, call, {data, n, "data"});
    comm.settle(ncclAllReduce(data, data, n, wire, detail::nccl_op(op), comm.get(), ex.stream()), "ncclAllReduce");
  }
  /// Part r of the sum (or maximum) goes to rank r: send [size() n], receive [n]. Sums as in all_reduce.
  void reduce_scatter(cuda_exec const& ex, void const* send, void* receive, std::size_t n, wire_type type, wire_op op) {
    constexpr auto call = "nccl_communicator::reduce_scatter";
    auto& comm = usable(ex, call);
    auto const alone = use(call);
    auto const wire = detail::nccl_type(type, call);
    if (n == 0) return;
    expect_device(ex, call, {send, n, "send"}, {receive, n, "receive"});
    comm.settle(ncclReduceScatter(send, receive, n, wire, detail::nccl_op(op), comm.get(), ex.stream()),
                "ncclReduceScatter");
  }
  /// The bytes of rank `root` go to all ranks; the number of bytes is the same on every rank.
  void broadcast(cuda_exec const& ex, std::span<std::byte> data, int root) {
    constexpr auto call = "nccl_communicator::broadcast";
    auto& comm = usable(ex, call);
    auto const alone = use(call);
    expect_rank(comm, call, "root", root);
    if (data.empty()) return;
    expect_device(ex, call, {data.data(), data.size(), "data"});
    comm.settle(ncclBroadcast(data.data(), data.data(), data.size(), ncclInt8, root, comm.get(), ex.stream()),
                "ncclBroadcast");
  }
  /// Sends to one rank, which receives the same number of bytes. Sends that cross, or that go to the own rank, need an
  /// nccl_group.
  void send(cuda_exec const& ex, std::span<std::byte const> data, int to) {
    constexpr auto call = "nccl_communicator::send";
    auto& comm = usable(ex, call);
    auto const alone = use(call);
    expect_rank(comm, call, "the receiver", to);
    if (data.empty()) return;
    expect_device(ex, call, {data.data(), data.size(), "data"});
    comm.settle(ncclSend(data.data(), data.size(), ncclInt8, to, comm.get(), ex.stream()), "ncclSend");
  }
  void receive(cuda_exec const& ex, std::span<std::byte> data, int from) {
    constexpr auto call = "nccl_communicator::receive";
    auto& comm = usable(ex, call);
    auto const alone = use(call);
    expect_rank(comm, call, "the sender", from);
    if (data.empty()) return;
    expect_device(ex, call, {data.data(), data.size(), "data"});
    comm.settle(ncclRecv(data.data(), data.size(), ncclInt8, from, comm.get(), ex.stream()), "ncclRecv");
  }

  /// Sends to one rank and receives from one rank at the same time, in one group; not in place. All ranks of a ring may
  /// do it at once.
  void exchange(cuda_exec const& ex, std::span<std::byte const> send, int to, std::span<std::byte> receive, int from);

  /// Sends and receives all messages in one group. Only the ranks that have messages for each other call it.
  void transfer(cuda_exec const& ex, std::span<outgoing_message const> out, std::span<incoming_message const> in);

  /// Throws nccl_error if NCCL has noticed a failure of this rank, another one or the network. Never waits.
  /// Whether the slots of collectives bear checksums; not at first. Choose the same on all ranks. Each call then waits for the
  /// stream before it uses what it received, and cannot be recorded into a graph.
  void use_checksums(bool on = true) noexcept { checksums_ = on; }
  [[nodiscard]] bool checksums() const noexcept { return checksums_; }
  void check() { usable("nccl_communicator::check").check("nccl_communicator::check"); }

  /// Waits until the stream is done. Throws like check() if a rank fails meanwhile, and timeout if the stream is not
  /// done in time.
  void wait(cuda_exec const& ex, std::chrono::milliseconds limit) {
    constexpr auto call = "nccl_communicator::wait";
    auto& comm = usable(ex, call);
    expect_no_group(call);
    detail::expects(!ex.capturing(), "nccl_communicator::wait: the stream records a graph, so nothing runs on it");
    comm.wait(ex.stream(), limit, call);
  }
  /// For as long as the communicator's deadline.
  void wait(cuda_exec const& ex) { wait(ex, handle("nccl_communicator::wait").deadline()); }

  /// Collective: throws rank_mismatch on every rank unless all ranks bring the same number, which stands for the call
  /// they are about to make. The first time, it waits for the other ranks and allocates. A number that was agreed on
  /// costs a look-up only, so ranks must ask in the same order.
  void agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    ask(fingerprint, what, describe, "nccl_communicator::agree");
  }
  /// The same before a call on a stream. While the stream records a graph, ranks cannot be compared: throws
  /// invalid_argument.
  void agree(cuda_exec const& ex, std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    constexpr auto call = "nccl_communicator::agree";
    usable(ex, call);
    auto const alone = use(call);
    if (agreement_->knows(fingerprint)) return;
    detail::expects(!ex.capturing(), [&] {
      return detail::sentence(call, ": the stream records a graph, and the ranks have not agreed on ", describe(what),
                              "; make the same call once before the capture, or prepare() it on every rank");
    });
    ask(fingerprint, what, describe, call);
  }
  /// The same ahead of time, so that a later call of that kind neither waits nor allocates.
  void prepare(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    ask(fingerprint, what, describe, "nccl_communicator::prepare");
  }

  /// Collective: one communicator for all ranks with the same colour, ordered by key, then by rank here. It is always
  /// owned. A rank with NCCL_SPLIT_NOCOLOR gets none. Without a config, it takes the config of this communicator.
  [[nodiscard]] std::optional<nccl_communicator> split(int color, int key, ncclConfig_t const* config = nullptr);

  /// Collective, owned communicators only: waits for work in flight, so that the destructor has nothing to abort. No
  /// call is possible afterwards.
  void finalize() {
    expect_no_group("nccl_communicator::finalize");
    usable("nccl_communicator::finalize").finalize();
  }

 private:
  friend class nccl_group;
  friend class nccl_registration;

  nccl_communicator(ncclComm_t comm, bool owned, std::chrono::milliseconds deadline)
      : handle_(std::make_shared<detail::nccl_handle>(comm, owned, deadline)),
        agreement_(std::make_unique<detail::nccl_agreement>()) {}

  static ncclComm_t make(ncclUniqueId const& id, int rank, int size, int device, nccl_options& options) {
    detail::expects(0 <= rank && rank < size,
                    [&] { return detail::sentence("nccl_communicator: rank ", rank, " of a group of ", size); });
    expect_no_group("nccl_communicator");
    detail::device_scope const scope(device);
    detail::nccl_newborn born;
    return born.finish(ncclCommInitRankConfig(born.slot(), size, id, rank, &options.config), options.deadline,
                       "ncclCommInitRankConfig");
  }

  detail::nccl_handle& handle(char const* call) const {
    detail::expects(handle_ != nullptr, [&] { return detail::sentence(call, ": the communicator was moved away"); });
    return *handle_;
  }
  detail::nccl_handle& usable(char const* call) const {
    handle(call).expect_usable(call);
    return *handle_;
  }
  detail::nccl_handle& usable(cuda_exec const& ex, char const* call) const {
    auto& comm = usable(call);
    detail::expects(ex.device() == comm.device(), [&] {
      return detail::sentence(call, ": the communicator belongs to device ", comm.device(), ", the stream to device ",
                              ex.device());
    });
    return comm;
  }
  /// Used by this thread alone. check() and wait() only read the communicator, so another thread may call them.
  [[nodiscard]] detail::exclusive_use use(char const* call) { return {in_use_, call, "nccl_communicator"}; }
  static std::size_t times(detail::nccl_handle const& comm) { return static_cast<std::size_t>(comm.size()); }

  static void expect_bytes(char const* call, char const* what, std::size_t got, std::size_t each, std::size_t ranks) {
    bool const fits = each <= static_cast<std::size_t>(-1) / ranks && got == each * ranks;
    detail::expects(fits, [&] {
      return detail::sentence(call, ": ", what, " has ", got, " bytes and needs ", ranks, " times ", each);
    });
  }
  static void expect_rank(detail::nccl_handle const& comm, char const* call, char const* what, int r) {
    detail::expects(0 <= r && r < comm.size(),
                    [&] { return detail::sentence(call, ": ", what, " is rank ", r, " of a group of ", comm.size()); });
  }
  static void expect_no_group(char const* call) {
    detail::expects(detail::open_nccl_groups() == 0, [&] {
      return detail::sentence(call, ": an nccl_group is open, in which nothing has started yet; end() it first");
    });
  }
  /// A buffer by its name.
  struct buffer {
    void const* data;
    std::size_t size;
    char const* name;
  };
  static void expect_device(cuda_exec const& ex, char const* call, buffer const& b) {
    detail::expects(b.data != nullptr,
                    [&] { return detail::sentence(call, ": ", b.name, " is null and should hold ", b.size); });
    detail::expect_device_memory(ex, b.data, call, b.name);
  }
  static void expect_device(cuda_exec const& ex, char const* call, buffer const& send, buffer const& receive) {
    expect_device(ex, call, send);
    expect_device(ex, call, receive);
  }
  static void expect_device(cuda_exec const& ex, char const* call, std::span<std::byte const> send,
                            std::span<std::byte> receive) {
    expect_device(ex, call, {send.data(), send.size(), "send"}, {receive.data(), receive.size(), "receive"});
  }
  void ask(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*), char const* call) {
    auto& comm = usable(call);
    auto const alone = use(call);
    if (agreement_->knows(fingerprint)) return;
    expect_no_group(call);
    agreement_->ask(comm, fingerprint, describe(what), call);
  }

  std::shared_ptr<detail::nccl_handle> handle_;  // shared with registrations, which look whether it is still there
  std::unique_ptr<detail::nccl_agreement> agreement_;
  bool checksums_ = false;
  detail::in_use in_use_;
};

/// Calls between its construction and end() start together: sends and receives that cross, or the collectives of
/// several communicators of one thread. A group belongs to this thread, and groups nest.
///
/// If an exception leaves the group, it is closed, and the calls made in it so far are started, because NCCL cannot
/// take them back.
class nccl_group {
 public:
  explicit nccl_group(nccl_communicator& comm) : nccl_group(std::span(&comm, 1)) {}
  /// Takes all communicators that are called in it. Do not move them before end().
  explicit nccl_group(std::span<nccl_communicator> comms) : comms_(comms) {
    for (auto const& comm : comms) static_cast<void>(comm.usable("nccl_group"));
    detail::check_nccl(ncclGroupStart(), "ncclGroupStart");
    ++detail::open_nccl_groups();
  }
  nccl_group(nccl_group const&) = delete;
  nccl_group& operator=(nccl_group const&) = delete;
  ~nccl_group() {
    if (open_) detail::ignore_error(close());
  }

  /// Starts the calls. Throws nccl_error if NCCL refuses them, and timeout if a non-blocking communicator is still in
  /// progress at its deadline.
  void end() {
    detail::expects(open_, "nccl_group::end: the group has ended");
    auto const result = close();
    if (detail::open_nccl_groups() > 0 || result == ncclSuccess) {
      detail::check_nccl(result, "ncclGroupEnd");
      return;
    }
    detail::expects<nccl_error>(!comms_.empty(), [&] { return detail::nccl_text(result, "ncclGroupEnd"); });
    // One of several may be the one that failed; all are asked before the first exception leaves.
    std::exception_ptr first;
    for (auto& comm : comms_) {
      try {
        comm.usable("nccl_group::end").settle(result, "ncclGroupEnd");
      } catch (...) {
        if (!first) first = std::current_exception();
      }
    }
    if (first) std::rethrow_exception(first);
  }

 private:
  ncclResult_t close() {
    open_ = false;
    --detail::open_nccl_groups();
    auto const result = ncclGroupEnd();
    for (auto const& comm : comms_)
      if (comm.handle_) comm.handle_->bury();
    return result;
  }

  std::span<nccl_communicator> comms_;
  bool open_ = true;
};

inline void nccl_communicator::all_to_all(cuda_exec const& ex, std::span<std::byte const> send,
                                          std::span<std::byte> receive) {
  constexpr auto call = "nccl_communicator::all_to_all";
  auto& comm = usable(ex, call);
  auto const alone = use(call);
  std::size_t const ranks = times(comm), slot = send.size() / ranks;
  expect_bytes(call, "send", send.size(), slot, ranks);
  expect_bytes(call, "receive", receive.size(), slot, ranks);
  if (slot == 0) return;
  expect_device(ex, call, send, receive);
  nccl_group group(*this);
  for (int r = 0; r < comm.size(); ++r) {
    std::size_t const at = static_cast<std::size_t>(r) * slot;
    comm.settle(ncclSend(send.data() + at, slot, ncclInt8, r, comm.get(), ex.stream()), "ncclSend");
    comm.settle(ncclRecv(receive.data() + at, slot, ncclInt8, r, comm.get(), ex.stream()), "ncclRecv");
  }
  group.end();
}

inline void nccl_communicator::exchange(cuda_exec const& ex, std::span<std::byte const> send, int to,
                                        std::span<std::byte> receive, int from) {
  constexpr auto call = "nccl_communicator::exchange";
  auto& comm = usable(ex, call);
  auto const alone = use(call);
  expect_rank(comm, call, "the receiver", to);
  expect_rank(comm, call, "the sender", from);
  if (!send.empty()) expect_device(ex, call, {send.data(), send.size(), "send"});
  if (!receive.empty()) expect_device(ex, call, {receive.data(), receive.size(), "receive"});
  if (send.empty() && receive.empty()) return;
  nccl_group group(*this);
  if (!send.empty()) comm.settle(ncclSend(send.data(), send.size(), ncclInt8, to, comm.get(), ex.stream()), "ncclSend");
  if (!receive.empty())
    comm.settle(ncclRecv(receive.data(), receive.size(), ncclInt8, from, comm.get(), ex.stream()), "ncclRecv");
  group.end();
}

inline void nccl_communicator::transfer(cuda_exec const& ex, std::span<outgoing_message const> out,
                                        std::span<incoming_message const> in) {
  constexpr auto call = "nccl_communicator::transfer";
  auto& comm = usable(ex, call);
  auto const alone = use(call);
  detail::expect_partners(call, out, comm.rank(), comm.size());
  detail::expect_partners(call, in, comm.rank(), comm.size());
  auto const has_bytes = [](auto const& m) { return !m.data.empty(); };
  for (auto const& m : out)
    if (has_bytes(m)) expect_device(ex, call, {m.data.data(), m.data.size(), "what is sent"});
  for (auto const& m : in)
    if (has_bytes(m)) expect_device(ex, call, {m.data.data(), m.data.size(), "what is received"});
  if (std::ranges::none_of(out, has_bytes) && std::ranges::none_of(in, has_bytes)) return;
  nccl_group group(*this);
  for (auto const& m : out)
    if (has_bytes(m))
      comm.settle(ncclSend(m.data.data(), m.data.size(), ncclInt8, m.to, comm.get(), ex.stream()), "ncclSend");
  for (auto const& m : in)
    if (has_bytes(m))
      comm.settle(ncclRecv(m.data.data(), m.data.size(), ncclInt8, m.from, comm.get(), ex.stream()), "ncclRecv");
  group.end();
}

inline std::optional<nccl_communicator> nccl_communicator::split(int color, int key, ncclConfig_t const* config) {
  constexpr auto call = "nccl_communicator::split";
  auto& comm = usable(call);
  expect_no_group(call);
  detail::expects(color >= 0 || color == NCCL_SPLIT_NOCOLOR, [&] {
    return detail::sentence(call, ": a colour is 0 or more, or NCCL_SPLIT_NOCOLOR, got ", color);
  });
  detail::device_scope const scope(comm.device());
  detail::nccl_newborn born;
  ncclConfig_t copy = NCCL_CONFIG_INITIALIZER;
  if (config) copy = *config;
  try {
    comm.settle(ncclCommSplit(comm.get(), color, key, born.slot(), config ? &copy : nullptr), "ncclCommSplit");
  } catch (timeout const&) {
    born.forget();
    throw;
  }
  if (!*born.slot()) return std::nullopt;
  nccl_communicator made(born.finish(ncclInProgress, comm.deadline(), "ncclCommSplit"), true, comm.deadline());
  made.use_checksums(checksums_);
  made.use_slices_of(*this);
  return made;
}

CCOMP_END
