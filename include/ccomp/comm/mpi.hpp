#pragma once
/// Ranks that are processes, over MPI 3.0 or later (Open MPI, MPICH and their kin).

#include <ccomp/comm/mpi_cores.hpp>
#include <ccomp/comm/mpi_primitives.hpp>

#include <cstdlib>

CCOMP_BEGIN

/// One rank of an MPI communicator. Move-only; used by one thread at a time.
///
/// It sends and receives on a duplicate of the communicator that it is made of, so the user's messages and its own never
/// meet. Construction, split() and every call but send(), receive(), exchange() and transfer() are collective: all ranks make the same
/// calls in the same order. Calls return when they are done.
///
/// Sums:     ours, not MPI's: in rank order, 16-bit floats in float32. So the bits are those of every other communicator,
///           and float16 and bfloat16 need no datatype of MPI
/// Cores:    ranks of one machine share its cores: where OMP_NUM_THREADS is not set, `host_exec{}` takes as many threads
///           as the rank has cores for itself, or its share of those that ranks have in common
/// Threads:  MPI_THREAD_FUNNELED is needed, for the thread that initialised MPI. Other threads need
///           MPI_THREAD_SERIALIZED, and MPI_THREAD_MULTIPLE if several use MPI at the same time
/// Throws:   invalid_argument for wrong arguments: nothing is sent. rank_mismatch if ranks disagree; timeout if a rank
///           does not answer before the deadline, with its number; mpi_error if MPI reports a failure. After one of these
///           other than a rank_mismatch of agree(), every further call throws communicator_error
/// CUDA:     with a cuda_exec (comm/mpi.cuh), the buffers are memory of its device. MPI waits for the stream, and the call
///           returns when the result is queued. It cannot be recorded into a graph
/// Failure:  MPI cannot take back a message that has begun, so after a failure it may still use the memory of the call.
///           Collectives keep their workspace's memory until the program ends; who calls the primitives keeps the
///           buffers until then
class mpi_communicator {
 public:
  /// Collective over `comm`, which stays the caller's.
  explicit mpi_communicator(MPI_Comm comm, mpi_options options = {});

  mpi_communicator(mpi_communicator&&) noexcept = default;
  mpi_communicator& operator=(mpi_communicator&& other) noexcept {
    std::swap(link_, other.link_);
    return *this;
  }
  ~mpi_communicator() { detail::mpi_link::let_go(std::move(link_)); }

  [[nodiscard]] int rank() const noexcept { return link_->rank(); }
  [[nodiscard]] int size() const noexcept { return link_->size(); }
  /// The duplicate that its messages go over.
  [[nodiscard]] MPI_Comm handle() const noexcept { return link_->comm(); }
  /// For collectives: which thread uses it.
  [[nodiscard]] detail::in_use& usage() noexcept { return link_->usage(); }
  /// For collectives: whether MPI may still use the memory of a call that failed.
  [[nodiscard]] bool holds_memory() const noexcept { return link_->holds_memory(); }

  template <detail::has_mpi_memory Exec = host_exec>
  void all_gather(Exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    run(ex, "mpi_communicator::all_gather", send, receive,
        [](auto& now, auto out, auto in) { now.all_gather(out, in); });
  }
  template <detail::has_mpi_memory Exec = host_exec>
  void all_to_all(Exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    run(ex, "mpi_communicator::all_to_all", send, receive,
        [](auto& now, auto out, auto in) { now.all_to_all(out, in); });
  }
  template <detail::has_mpi_memory Exec = host_exec>
  void all_reduce(Exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
    std::span<std::byte> const bytes(static_cast<std::byte*>(data), n * wire_bytes(type));
    run(ex, "mpi_communicator::all_reduce", bytes, bytes,
        [&](auto& now, auto, auto all) { now.all_reduce(all, type, op); });
  }
  template <detail::has_mpi_memory Exec = host_exec>
  void broadcast(Exec const& ex, std::span<std::byte> data, int root) {
    run(ex, "mpi_communicator::broadcast", data, data, [&](auto& now, auto, auto all) { now.broadcast(all, root); });
  }
  /// Only the ranks that send to each other call it, as with MPI_Sendrecv. Buffers do not overlap.
  template <detail::has_mpi_memory Exec = host_exec>
  void exchange(Exec const& ex, std::span<std::byte const> send, int to, std::span<std::byte> receive, int from) {
    run(ex, "mpi_communicator::exchange", send, receive,
        [&](auto& now, auto out, auto in) { now.exchange(out, to, in, from); });
  }
  /// Only the ranks that have messages for each other call it. Returns when the bytes may be changed, which may be before
  /// they are received.
  template <detail::has_mpi_memory Exec = host_exec>
  void transfer(Exec const& ex, std::span<outgoing_message const> out, std::span<incoming_message const> in) {
    constexpr auto call = "mpi_communicator::transfer";
    auto const alone = begin(call);
    detail::expect_partners(call, out, rank(), size());
    detail::expect_partners(call, in, rank(), size());
    detail::mpi_memory<Exec> memory(ex, *link_, call);
    detail::mpi_primitives now(*link_, memory, call);
    memory.lend(out, in, [&](auto sent, auto received) { now.transfer(sent, received); });
  }
  /// The receiver calls receive() with the same number of bytes. Returns when the bytes may be changed, which may be
  /// before they are received.
  template <detail::has_mpi_memory Exec = host_exec>
  void send(Exec const& ex, std::span<std::byte const> data, int to) {
    run(ex, "mpi_communicator::send", data, {}, [&](auto& now, auto out, auto) { now.send(out, to); });
  }
  template <detail::has_mpi_memory Exec = host_exec> void receive(Exec const& ex, std::span<std::byte> data, int from) {
    run(ex, "mpi_communicator::receive", {}, data, [&](auto& now, auto, auto in) { now.receive(in, from); });
  }
  void agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*));

  // Exchanges that go on while the ranks compute (can_start). Host memory stays as it is until they have arrived. With a
  // cuda_exec they are done at once.
  template <detail::has_mpi_memory Exec = host_exec>
  exchange_handle start_all_gather(Exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive,
                                   int channel) {
    return start(
        ex, "mpi_communicator::all_gather", channel, send, receive,
        [](auto& now, auto out, auto in) { return now.start_all_gather(out, in); },
        [](auto& now, auto out, auto in) { now.all_gather(out, in); });
  }
  template <detail::has_mpi_memory Exec = host_exec>
  exchange_handle start_all_to_all(Exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive,
                                   int channel) {
    return start(
        ex, "mpi_communicator::all_to_all", channel, send, receive,
        [](auto& now, auto out, auto in) { return now.start_all_to_all(out, in); },
        [](auto& now, auto out, auto in) { now.all_to_all(out, in); });
  }
  template <detail::has_mpi_memory Exec = host_exec>
  exchange_handle start_all_reduce(Exec const& ex, void* data, std::size_t n, wire_type type, wire_op op, int channel) {
    std::span<std::byte> const bytes(static_cast<std::byte*>(data), n * wire_bytes(type));
    return start(
        ex, "mpi_communicator::all_reduce", channel, bytes, bytes,
        [&](auto& now, auto, auto all) { return now.start_all_reduce(all, type, op); },
        [&](auto& now, auto, auto all) { now.all_reduce(all, type, op); });
  }
  template <detail::has_mpi_memory Exec = host_exec>
  exchange_handle start_exchange(Exec const& ex, std::span<std::byte const> send, int to, std::span<std::byte> receive,
                                 int from, int channel) {
    return start(
        ex, "mpi_communicator::exchange", channel, send, receive,
        [&](auto& now, auto out, auto in) { return now.start_exchange(out, to, in, from); },
        [&](auto& now, auto out, auto in) { now.exchange(out, to, in, from); });
  }
  bool arrived(exchange_handle h) { return h.number == 0 || link_->arrived(h.number); }
  void rest() { link_->rest(); }
  void give_up() noexcept { link_->leave_collective(); }
  [[nodiscard]] bool checksums() const noexcept { return link_->options().checksums; }
  template <class Exec> [[nodiscard]] std::size_t slice_bytes(Exec const&) const noexcept {
    std::size_t const bytes = link_->options().slice_bytes;
    return bytes > 0 ? bytes : static_cast<std::size_t>(-1);
  }

  /// One communicator for all ranks with the same colour, ordered by key, then by rank here. A colour is 0 or more; a
  /// rank with MPI_UNDEFINED gets none.
  [[nodiscard]] std::optional<mpi_communicator> split(int color, int key);

 private:
  explicit mpi_communicator(std::unique_ptr<detail::mpi_link> link) : link_(std::move(link)) {}

  [[nodiscard]] detail::mpi_link::use begin(char const* call) {
    detail::expects(link_ != nullptr, [&] { return detail::sentence(call, ": the communicator was moved away"); });
    return link_->begin(call);
  }
  /// `f(primitives, send, receive)`.
  template <class Exec, class F>
  void run(Exec const& ex, char const* call, std::span<std::byte const> send, std::span<std::byte> receive,
           F const& f) {
    auto const alone = begin(call);
    detail::mpi_memory<Exec> memory(ex, *link_, call);
    detail::mpi_primitives now(*link_, memory, call);
    memory.lend(send, receive, [&](std::span<std::byte const> out, std::span<std::byte> in) { f(now, out, in); });
  }
  /// `begin(primitives, send, receive)` starts an exchange of host memory, `whole` does one of other memory.
  template <class Exec, class Begin, class Whole>
  exchange_handle start(Exec const& ex, char const* call, int channel, std::span<std::byte const> send,
                        std::span<std::byte> receive, Begin const& begin_it, Whole const& whole) {
    auto const alone = begin(call);
    detail::mpi_memory<Exec> memory(ex, *link_, call);
    detail::mpi_primitives now(*link_, memory, call, channel + 1);
    if constexpr (std::same_as<Exec, host_exec>) {
      return {begin_it(now, send, receive)};
    } else {
      memory.lend(send, receive, [&](std::span<std::byte const> out, std::span<std::byte> in) { whole(now, out, in); });
      return {};
    }
  }
  /// Every rank's `mine`, in rank order.
  template <class T> std::vector<T> gathered(T const* mine, std::size_t n, char const* call, detail::mpi_tag tag) {
    std::vector<T> all(n * static_cast<std::size_t>(size()));
    run(host_exec{1}, call, std::as_bytes(std::span(mine, n)), std::as_writable_bytes(std::span(all)),
        [&](auto& now, auto out, auto in) { now.all_gather(out, in, tag); });
    return all;
  }

  std::unique_ptr<detail::mpi_link> link_;
};

inline mpi_communicator::mpi_communicator(MPI_Comm comm, mpi_options options)
    : link_(detail::mpi_link::duplicate(comm, options)) {
  constexpr auto call = "mpi_communicator";
  struct card {  // fits into the shortest message that options allow
    std::uint64_t most, slice, checksums;
    detail::mpi_place place;
  };
  card const mine{options.most_bytes, options.slice_bytes, options.checksums ? 1u : 0u, detail::mpi_place::here()};
  auto const all = gathered(&mine, 1, call, detail::mpi_tag::place);
  std::vector<detail::mpi_place> places;
  for (std::size_t r = 0; r < all.size(); ++r) {
    detail::expects<rank_mismatch>(all[r].most == all[0].most, [&] {
      return detail::sentence(call, ": most_bytes is ", all[0].most, " on rank 0 and ", all[r].most, " on rank ", r);
    });
    detail::expects<rank_mismatch>(all[r].slice == all[0].slice, [&] {
      return detail::sentence(call, ": slice_bytes is ", all[0].slice, " on rank 0 and ", all[r].slice, " on rank ", r);
    });
    detail::expects<rank_mismatch>(all[r].checksums == all[0].checksums, [&] {
      return detail::sentence(call, ": checksums is ", all[0].checksums, " on rank 0 and ", all[r].checksums,
                              " on rank ", r);
    });
    places.push_back(all[r].place);
  }
  if (!std::getenv("OMP_NUM_THREADS"))  // NOLINT(concurrency-mt-unsafe): ccomp never changes the environment
    detail::cores_of_process().store(detail::cores_of(mine.place, places), std::memory_order_relaxed);
}

inline void mpi_communicator::agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
  constexpr auto call = "mpi_communicator::agree";
  auto const all = gathered(&fingerprint, 1, call, detail::mpi_tag::agree);
  auto const other = std::ranges::find_if(all, [&](std::uint64_t f) { return f != all[0]; });
  if (other == all.end()) return;
  constexpr std::size_t text_bytes = 512;
  std::string mine = describe(what);
  mine.resize(text_bytes - 1);
  auto const texts = gathered(mine.c_str(), text_bytes, call, detail::mpi_tag::text);
  auto const r = other - all.begin();
  detail::fail<rank_mismatch>(detail::sentence("the ranks disagree: rank 0 calls ", texts.data(), ", rank ", r,
                                               " calls ", &texts[static_cast<std::size_t>(r) * text_bytes]));
}

inline std::optional<mpi_communicator> mpi_communicator::split(int color, int key) {
  constexpr auto call = "mpi_communicator::split";
  detail::expects(color >= 0 || color == MPI_UNDEFINED,
                  [&] { return detail::sentence(call, ": a colour is 0 or more, or MPI_UNDEFINED, got ", color); });
  // MPI_Comm_split has no deadline: all ranks must have come.
  std::byte const here{};
  static_cast<void>(gathered(&here, 1, call, detail::mpi_tag::place));
  auto const alone = begin(call);
  MPI_Comm made = MPI_COMM_NULL;
  detail::check_mpi(MPI_Comm_split(link_->comm(), color, key, &made), "MPI_Comm_split");
  if (made == MPI_COMM_NULL) return std::nullopt;
  return mpi_communicator(std::make_unique<detail::mpi_link>(made, link_->options(), link_->level()));
}

CCOMP_END
