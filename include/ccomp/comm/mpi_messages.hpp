#pragma once
/// Messages between two ranks that are under way, and waiting for them with a deadline. Part of comm/mpi.hpp.

#include <ccomp/comm/mpi_error.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <span>
#include <thread>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// Pauses between two looks at messages: none at first, because a short message is there soon; then as short as the
/// system can sleep, so that ranks that share cores do not take them from those that compute.
class mpi_pause {
 public:
  using clock = std::chrono::steady_clock;

  explicit mpi_pause(std::chrono::milliseconds limit) : limit_(limit) {}

  /// False once the time is over.
  bool once_more() {
    if (++looks_ <= looks_without_pause) return true;
    if (looks_ <= looks_without_sleep) {
      std::this_thread::yield();
      return true;
    }
    auto const now = clock::now();
    if (looks_ == looks_without_sleep + 1) begin_ = now;
    // In milliseconds, because the limit may be the largest number there is.
    if (std::chrono::duration_cast<std::chrono::milliseconds>(now - begin_) >= limit_) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(10));
    return true;
  }

 private:
  static constexpr std::uint64_t looks_without_pause = 50, looks_without_sleep = 200;
  std::chrono::milliseconds limit_;
  std::uint64_t looks_ = 0;
  clock::time_point begin_{};
};

/// What one call sends to and receives from other ranks.
///
/// MPI counts bytes by an int. Longer messages go in parts of `most` bytes, and the last part is shorter than that. So a
/// rank that expects another number of bytes gets a part of another length, and is told.
class mpi_messages {
 public:
  mpi_messages() = default;
  mpi_messages(mpi_messages const&) = delete;
  mpi_messages& operator=(mpi_messages const&) = delete;

  /// Begins a call whose messages bear this tag; those before it are done.
  void begin(MPI_Comm comm, int tag, std::size_t most) {
    comm_ = comm;
    tag_ = tag;
    most_ = most;
    requests_.clear();
    parts_.clear();
  }
  /// The bytes stay as they are until the messages are done.
  void send(std::span<std::byte const> data, int to) {
    each_part(data.size(), [&](std::size_t at, int bytes) {
      check_mpi(MPI_Isend(data.data() + at, bytes, MPI_BYTE, to, tag_, comm_, add(to, bytes, false)), "MPI_Isend");
    });
  }
  void receive(std::span<std::byte> data, int from) {
    each_part(data.size(), [&](std::size_t at, int bytes) {
      check_mpi(MPI_Irecv(data.data() + at, bytes, MPI_BYTE, from, tag_, comm_, add(from, bytes, true)), "MPI_Irecv");
    });
  }

  /// Moves the messages on; true once all are done.
  ///
  /// Throws: rank_mismatch if a rank sends another number of bytes; mpi_error
  bool test(char const* call) {
    if (requests_.empty()) return true;
    auto const count = static_cast<int>(requests_.size());
    indices_.resize(requests_.size());
    statuses_.resize(requests_.size());
    int done = 0;
    int const result = MPI_Testsome(count, requests_.data(), &done, indices_.data(), statuses_.data());
    if (result != MPI_SUCCESS && result != MPI_ERR_IN_STATUS) check_mpi(result, "MPI_Testsome");
    if (done == MPI_UNDEFINED) return true;
    for (std::size_t i = 0; i < static_cast<std::size_t>(done); ++i)
      check(parts_[static_cast<std::size_t>(indices_[i])], statuses_[i], result == MPI_ERR_IN_STATUS, call);
    return done == count || std::ranges::all_of(requests_, [](MPI_Request r) { return r == MPI_REQUEST_NULL; });
  }

  /// The ranks whose messages are not done: `rank 2`, or `ranks 2, 5`.
  [[nodiscard]] std::string missing() const {
    std::vector<int> ranks;
    for (std::size_t i = 0; i < requests_.size(); ++i)
      if (requests_[i] != MPI_REQUEST_NULL) ranks.push_back(parts_[i].rank);
    std::ranges::sort(ranks);
    auto const twice = std::ranges::unique(ranks);
    ranks.erase(twice.begin(), twice.end());
    std::string text = ranks.size() == 1 ? "rank" : "ranks";
    for (std::size_t i = 0; i < ranks.size(); ++i) text += sentence(i == 0 ? " " : ", ", ranks[i]);
    return text;
  }

  /// Takes the messages back after a failure. False if MPI still uses the memory of one: it cannot take back what has
  /// begun.
  [[nodiscard]] bool cancel() noexcept {
    bool free = true;
    // The last first: a message that comes meanwhile would meet the next receive, which may be shorter.
    for (std::size_t i = requests_.size(); i-- > 0;) {
      if (requests_[i] == MPI_REQUEST_NULL) continue;
      int done = 0;
      if (parts_[i].receives && MPI_Cancel(&requests_[i]) == MPI_SUCCESS)
        for (int look = 0; look < 100 && !done; ++look)
          if (MPI_Test(&requests_[i], &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) break;
      free = free && done;
    }
    requests_.clear();
    parts_.clear();
    return free;
  }

 private:
  struct part {
    int rank, bytes;
    bool receives;
  };

  template <class F> void each_part(std::size_t bytes, F const& f) const {
    std::size_t at = 0;
    for (; bytes - at >= most_; at += most_) f(at, static_cast<int>(most_));
    f(at, static_cast<int>(bytes - at));
  }
  MPI_Request* add(int rank, int bytes, bool receives) {
    parts_.push_back({rank, bytes, receives});
    return &requests_.emplace_back(MPI_REQUEST_NULL);
  }
  static void check(part const& p, MPI_Status const& status, bool has_error, char const* call) {
    if (has_error && status.MPI_ERROR != MPI_SUCCESS && status.MPI_ERROR != MPI_ERR_PENDING) {
      int kind = MPI_SUCCESS;
      static_cast<void>(MPI_Error_class(status.MPI_ERROR, &kind));
      if (kind == MPI_ERR_TRUNCATE)
        fail<rank_mismatch>(sentence(call, ": rank ", p.rank, " sent more bytes than this rank expects"));
      fail<mpi_error>(sentence(call, ", rank ", p.rank, ": ", mpi_text(status.MPI_ERROR)));
    }
    if (!p.receives) return;
    int bytes = 0;
    check_mpi(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
    expects<rank_mismatch>(bytes == p.bytes, [&] {
      return sentence(call, ": rank ", p.rank, " sent ", bytes, " bytes where this rank expects ", p.bytes);
    });
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int tag_ = 0;
  std::size_t most_ = 1;
  std::vector<MPI_Request> requests_;
  std::vector<part> parts_;
  std::vector<int> indices_;
  std::vector<MPI_Status> statuses_;
};

}  // namespace detail
CCOMP_END
