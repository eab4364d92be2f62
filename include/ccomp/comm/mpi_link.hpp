#pragma once
/// What a rank of an MPI communicator holds: a duplicate of the communicator, and its messages. Part of comm/mpi.hpp.

#include <ccomp/comm/mpi_environment.hpp>
#include <ccomp/comm/mpi_messages.hpp>
#include <ccomp/core/exclusive.hpp>
#include <ccomp/core/function_ref.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

CCOMP_BEGIN

/// How MPI gets at device memory. `automatic`: directly if MPI says that it can (it is CUDA-aware), else staged, through
/// pinned host memory.
enum class mpi_device_memory : std::uint8_t { automatic, direct, staged };

/// Options for the construction of a communicator.
struct mpi_options {
  /// How long one call may take, the wait for ranks that come late included.
  std::chrono::milliseconds deadline = std::chrono::minutes(10);
  /// The most bytes of one message of MPI, 4096 to 2^30; longer ones go in parts. The same on every rank.
  std::size_t most_bytes = std::size_t{1} << 30;
  /// Collectives code tensors in slices, of which a rank sends another at most about so many bytes, so that one slice is
  /// coded while others travel. Messages that MPI sends at once (65536 bytes with Open MPI over TCP) travel best. The same
  /// on every rank; 0: whole tensors.
  std::size_t slice_bytes = 60000;
  /// Slots of collectives, and the values that all_reduce sums, bear checksums, so that bytes that were changed on their way
  /// are found before they are used. The same on every rank.
  bool checksums = true;
  /// For calls with a cuda_exec; ranks may differ.
  mpi_device_memory device_memory = mpi_device_memory::automatic;
};

namespace detail {

/// Calls of different kinds never take each other's messages.
enum class mpi_tag : int { place = 1, agree, text, all_gather, all_to_all, broadcast, exchange, send, transfer };

/// The checksums of what one call sends to each rank, and receives from it.
struct mpi_checksums {
  std::vector<std::uint64_t> sent{}, received{};

  void resize(int ranks) {
    sent.resize(static_cast<std::size_t>(ranks));
    received.resize(static_cast<std::size_t>(ranks));
  }
  [[nodiscard]] std::span<std::byte const> to(int r) const {
    return std::as_bytes(std::span(&sent[static_cast<std::size_t>(r)], 1));
  }
  [[nodiscard]] std::span<std::byte> from(int r) {
    return std::as_writable_bytes(std::span(&received[static_cast<std::size_t>(r)], 1));
  }
};

class mpi_link {
 public:
  /// Collective: all ranks of `comm` come, or it throws timeout.
  static std::unique_ptr<mpi_link> duplicate(MPI_Comm comm, mpi_options const& options);
  /// Owns the communicator.
  mpi_link(MPI_Comm own, mpi_options const& options, int level) : comm_(own), level_(level), options_(options) {
    check_mpi(MPI_Comm_set_errhandler(own, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check_mpi(MPI_Comm_rank(own, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(own, &size_), "MPI_Comm_size");
  }
  mpi_link(mpi_link const&) = delete;
  mpi_link& operator=(mpi_link const&) = delete;
  ~mpi_link() {
    int ended = 0;
    if (broken_.empty() && MPI_Finalized(&ended) == MPI_SUCCESS && !ended) static_cast<void>(MPI_Comm_free(&comm_));
  }
  /// The end of its use. If MPI may still use its memory, it stays until the program ends.
  static void let_go(std::unique_ptr<mpi_link> link) {
    static std::vector<std::unique_ptr<mpi_link>> kept;
    if (link && link->holds_memory_) kept.push_back(std::move(link));
  }

  [[nodiscard]] MPI_Comm comm() const noexcept { return comm_; }
  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  [[nodiscard]] int level() const noexcept { return level_; }
  [[nodiscard]] mpi_options const& options() const noexcept { return options_; }
  [[nodiscard]] in_use& usage() noexcept { return in_use_; }
  [[nodiscard]] bool holds_memory() const noexcept { return holds_memory_; }

  /// Used by this thread alone, and MPI too, unless it may serve several threads.
  class use {
   public:
    use(mpi_link& link, char const* call) : link_(link.in_use_, call, "mpi_communicator") {
      if (link.level_ != MPI_THREAD_MULTIPLE)
        mpi_.emplace(mpi_usage(), call, "MPI, which was initialised without MPI_THREAD_MULTIPLE,");
    }

   private:
    static detail::in_use& mpi_usage() {
      static detail::in_use usage;
      return usage;
    }
    exclusive_use link_;
    std::optional<exclusive_use> mpi_;
  };
  [[nodiscard]] use begin(char const* call) {
    expects<communicator_error>(broken_.empty(),
                                [&] { return sentence(call, ": the communicator has failed before (", broken_, ")"); });
    if (level_ == MPI_THREAD_FUNNELED) static_cast<void>(thread_level(call));
    return {*this, call};
  }

  /// Runs `post`, which puts messages on their way, and waits until they are done. Channels keep exchanges apart; 0 is that
  /// of calls that wait.
  void transfer(char const* call, mpi_tag tag, int channel, function_ref<void(mpi_messages&)> post);
  /// `post(messages, to, from)` for every pair of partners. Not too many at once, or a rank would be flooded by all
  /// others.
  void with_partners(char const* call, mpi_tag tag, int channel, function_ref<void(mpi_messages&, int, int)> post) {
    constexpr int at_once = 16;
    for (int first = 1; first < size_; first += at_once)
      transfer(call, tag, channel, [&](mpi_messages& messages) {
        each_partner(first, first + at_once, [&](int to, int from) { post(messages, to, from); });
      });
  }
  /// `post(to, from)` for the pairs of partners from number `first` on, before number `end`; the first is number 1.
  template <class F> void each_partner(int first, int end, F const& post) const {
    for (int k = first; k < std::min(size_, end); ++k) post((rank_ + k) % size_, (rank_ + size_ - k) % size_);
  }
  /// So many bytes that live as long as the link; what they held is lost.
  [[nodiscard]] std::span<std::byte> scratch(std::size_t bytes) {
    if (scratch_.size() < bytes) scratch_.resize(bytes);
    return std::span(scratch_).first(bytes);
  }
  /// The messages of an exchange that goes on by itself. `then`, once they are done: what follows; true if it has put
  /// more on their way.
  struct flight {
    char const* call = nullptr;
    int channel = 0;
    bool busy = false;
    mpi_messages messages{};
    std::function<bool(flight&)> then{};
    std::vector<std::byte> scratch{};
    mpi_checksums checksums{};
  };
  /// Puts messages on their way by `post(flight)` and returns.
  int start(char const* call, mpi_tag tag, int channel, function_ref<void(flight&)> post);
  /// Moves the messages on; true once those of the flight are done, and all that follows. It may then be used again.
  bool arrived(int number);
  /// Pauses. Throws timeout if nothing arrives for as long as the deadline.
  void rest();
  /// A rank that leaves a collective by an exception no longer makes the calls that the others make.
  void leave_collective() noexcept { give_up("an exception on this rank, within a collective"); }
  /// Of the messages that `then` of this flight begins.
  void go_on(flight& f, mpi_tag tag) { f.messages.begin(comm_, tag_of(tag, f.channel), options_.most_bytes); }

  /// Of calls that wait.
  [[nodiscard]] mpi_checksums& checksums() noexcept { return checksums_; }
  /// Bytes from a rank were changed on their way: the ranks no longer make the same calls.
  [[noreturn]] void fail_damaged(char const* call, int from) {
    std::string const why = sentence(call, ": bytes from rank ", from, " were changed on their way");
    give_up(why);
    fail<payload_error>(why);
  }

  /// What comm/mpi.cuh keeps for a device.
  [[nodiscard]] std::shared_ptr<void>& device() noexcept { return device_; }

 private:
  static int thread_level(char const* call);
  static int tag_of(mpi_tag tag, int channel) {  // MPI has tags up to 32767 at least
    return static_cast<int>(tag) + 16 * (channel % 2048);
  }
  /// After an exception: no message is waited for any more.
  void give_up(std::string const& why) noexcept;
  [[noreturn]] void fail_late(char const* call, std::string const& missing) const;

  MPI_Comm comm_;
  int rank_ = 0, size_ = 1, level_;
  mpi_options options_;
  std::string broken_;
  bool holds_memory_ = false;
  mpi_messages messages_;
  std::vector<std::byte> scratch_;
  mpi_checksums checksums_;
  std::vector<std::unique_ptr<flight>> flights_;
  mpi_pause pause_{options_.deadline};
  std::shared_ptr<void> device_;
  in_use in_use_;
};

inline int mpi_link::thread_level(char const* call) {
  int started = 0, ended = 0, level = MPI_THREAD_SINGLE, is_main = 0;
  check_mpi(MPI_Initialized(&started), "MPI_Initialized");
  check_mpi(MPI_Finalized(&ended), "MPI_Finalized");
  expects(started && !ended, [&] {
    return sentence(
        call, ended ? ": MPI has been finalised" : ": MPI is not initialised; make a ccomp::mpi_environment first");
  });
  check_mpi(MPI_Query_thread(&level), "MPI_Query_thread");
  expects(level >= MPI_THREAD_FUNNELED, [&] {
    return sentence(call, " needs the thread level MPI_THREAD_FUNNELED, because compressors use threads, and MPI was ",
                    "initialised with ", mpi_level_name(level), "; call MPI_Init_thread instead of MPI_Init");
  });
  if (level == MPI_THREAD_FUNNELED) {
    check_mpi(MPI_Is_thread_main(&is_main), "MPI_Is_thread_main");
    expects(is_main, [&] {
      return sentence(call,
                      ": with the thread level MPI_THREAD_FUNNELED only the thread that initialised MPI may call ",
                      "it; initialise MPI with MPI_THREAD_SERIALIZED or MPI_THREAD_MULTIPLE");
    });
  }
  return level;
}

inline std::unique_ptr<mpi_link> mpi_link::duplicate(MPI_Comm comm, mpi_options const& options) {
  constexpr auto call = "mpi_communicator";
  int const level = thread_level(call);
  expects(comm != MPI_COMM_NULL, "mpi_communicator: the communicator is MPI_COMM_NULL");
  constexpr std::size_t least = 4096, most = std::size_t{1} << 30;
  expects(options.most_bytes >= least && options.most_bytes <= most,
          [&] { return sentence(call, ": most_bytes is ", least, " to ", most, ", got ", options.most_bytes); });
  int between = 0;
  check_mpi(MPI_Comm_test_inter(comm, &between), "MPI_Comm_test_inter");
  expects(!between, "mpi_communicator: the communicator is between two groups (an intercommunicator)");

  struct duplication {  // MPI writes here even after the deadline
    MPI_Comm made = MPI_COMM_NULL;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  static std::vector<std::unique_ptr<duplication>> kept;
  auto now = std::make_unique<duplication>();
  check_mpi(MPI_Comm_idup(comm, &now->made, &now->request), "MPI_Comm_idup");
  mpi_pause pause(options.deadline);
  for (int done = 0; !done;) {
    check_mpi(MPI_Test(&now->request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done || pause.once_more()) continue;
    kept.push_back(std::move(now));
    mpi_has_failed() = true;
    fail<timeout>(sentence(call, ": not all ranks have made it within ", options.deadline.count(), " ms"));
  }
  return std::make_unique<mpi_link>(now->made, options, level);
}

inline void mpi_link::fail_late(char const* call, std::string const& missing) const {
  fail<timeout>(sentence(call, ": ", missing, missing.starts_with("ranks") ? " have" : " has", " not answered within ",
                         options_.deadline.count(), " ms"));
}
inline void mpi_link::give_up(std::string const& why) noexcept {
  if (!broken_.empty()) return;
  broken_ = why;
  holds_memory_ = !messages_.cancel();
  for (auto const& f : flights_) holds_memory_ = !f->messages.cancel() || holds_memory_;
  mpi_has_failed() = true;
}

inline void mpi_link::transfer(char const* call, mpi_tag tag, int channel, function_ref<void(mpi_messages&)> post) {
  messages_.begin(comm_, tag_of(tag, channel), options_.most_bytes);
  try {
    post(messages_);
    mpi_pause pause(options_.deadline);
    while (!messages_.test(call))
      if (!pause.once_more()) fail_late(call, messages_.missing());
  } catch (std::exception const& e) {
    give_up(e.what());
    throw;
  }
}

inline int mpi_link::start(char const* call, mpi_tag tag, int channel, function_ref<void(flight&)> post) {
  auto const free = std::ranges::find_if(flights_, [](auto const& f) { return !f->busy; });
  auto const number = free - flights_.begin();
  if (free == flights_.end()) flights_.push_back(std::make_unique<flight>());
  auto& f = *flights_[static_cast<std::size_t>(number)];
  f.call = call;
  f.channel = channel;
  f.then = nullptr;
  f.busy = true;
  try {
    go_on(f, tag);
    post(f);
  } catch (std::exception const& e) {
    give_up(e.what());
    throw;
  }
  return static_cast<int>(number) + 1;
}

inline bool mpi_link::arrived(int number) {
  auto& f = *flights_[static_cast<std::size_t>(number - 1)];
  try {
    if (!f.messages.test(f.call)) return false;
    pause_ = mpi_pause(options_.deadline);
    if (f.then && std::exchange(f.then, nullptr)(f)) return false;
  } catch (std::exception const& e) {
    give_up(e.what());
    throw;
  }
  f.busy = false;
  return true;
}

inline void mpi_link::rest() {
  if (pause_.once_more()) return;
  for (auto const& f : flights_) {
    if (!f->busy) continue;
    try {
      fail_late(f->call, f->messages.missing());
    } catch (std::exception const& e) {
      give_up(e.what());
      throw;
    }
  }
}

}  // namespace detail
CCOMP_END
