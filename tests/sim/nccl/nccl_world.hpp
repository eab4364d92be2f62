#pragma once
/// The stand-in's inside: one lock, the ranks of a communicator, the calls that wait for their peers.

#include "nccl_sim.hpp"
#include "nccl_sum.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace nccl_sim {

enum class kind { all_gather, all_reduce, reduce_scatter, broadcast, send, receive };

struct operation {
  kind what{};
  void const* in = nullptr;
  void* out = nullptr;
  std::size_t count = 0;
  ncclDataType_t type{};
  int extra = 0;  // reduction, root or peer
  std::uint64_t turn = 0;
  bool done = false;
};

/// What the ranks of a communicator share.
struct world {
  explicit world(int n) : ranks(n), present(static_cast<std::size_t>(n)), gone(static_cast<std::size_t>(n)) {}

  int ranks;
  int joined = 0;
  std::vector<bool> present, gone;
  ncclResult_t error = ncclSuccess;  // every rank sees it
  std::string why;
  // Calls that have begun and wait for their peers, by turn.
  std::map<std::uint64_t, std::vector<operation*>> collectives;
  std::map<std::tuple<int, int, std::uint64_t>, std::pair<operation*, operation*>> messages;  // send, receive

  [[nodiscard]] bool complete() const { return joined == ranks; }
  /// The end: whoever waits is let go.
  void kill(ncclResult_t result, std::string const& text);
  void leave(int rank);
};

/// What the ranks of a communicator bring to a split.
struct split_turn {
  struct part {
    bool here = false;
    int color = 0, key = 0;
    ncclComm* child = nullptr;
  };
  std::vector<part> parts;
  int arrived = 0;
};

}  // namespace nccl_sim

struct ncclComm {
  std::shared_ptr<nccl_sim::world> group;  // none while a split is under way
  int rank = 0, device = 0;
  bool blocking = true;
  int polls = 0;  // how often it still says "in progress"
  bool finalized = false, dead = false;
  ncclResult_t error = ncclSuccess;
  std::uint64_t next_collective = 0, next_split = 0;
  std::map<int, std::uint64_t> next_send, next_receive;
  std::pair<ncclComm_t*, ncclComm_t> unborn{};  // where a split will write its result, and what
  std::set<void*> registered;

  [[nodiscard]] bool ready() const { return group && group->complete(); }
};

namespace nccl_sim {

using hold = std::unique_lock<std::mutex>;
using comm_ref = std::shared_ptr<ncclComm>;

/// Calls that start together: those of one group, or one. Its part of each stream is one host function on it.
struct batch {
  struct part {
    cudaStream_t stream;
    int device;
    cudaEvent_t before = nullptr, after = nullptr;
  };
  std::vector<std::pair<comm_ref, operation>> calls;
  std::vector<part> parts;
  bool captured = false;  // runs whenever the graph does, in turns of that time
  bool started = false, finished = false;

  ~batch();
};

struct state {
  static state& get();

  std::mutex lock;
  std::condition_variable changed;
  std::chrono::milliseconds patience{20000};
  int polls = 3;
  std::map<std::string, std::vector<ncclResult_t>> failures;
  std::map<std::string, int> calls;
  std::map<ncclComm_t, comm_ref> comms;
  std::map<std::string, std::shared_ptr<world>> worlds;
  std::map<std::pair<world*, std::uint64_t>, std::shared_ptr<split_turn>> splits;
  std::map<void*, std::shared_ptr<batch>> queued;  // by the data pointer of their host function
  std::set<void*> memory;
  std::uintptr_t last_id = 0;
};

/// Makes a device current for a while.
class on_device {
 public:
  explicit on_device(int device) {
    static_cast<void>(cudaGetDevice(&before_));
    static_cast<void>(cudaSetDevice(device));
  }
  on_device(on_device const&) = delete;
  on_device& operator=(on_device const&) = delete;
  ~on_device() { static_cast<void>(cudaSetDevice(before_)); }

 private:
  int before_ = 0;
};

/// Counts the call; a result if a test wants it to fail.
std::optional<ncclResult_t> planned(char const* function);

/// Null if the handle is of no communicator, or of one that is gone. Wants the lock.
comm_ref find(ncclComm_t);

/// This thread's.
std::string& last_error();

/// Notes what ncclGetLastError says, and returns the result.
ncclResult_t fail(ncclResult_t, std::string const& why);

/// Gives the calls their turns and queues them on their streams.
ncclResult_t launch(std::vector<std::pair<comm_ref, operation>> calls, std::vector<cudaStream_t> const& streams);

/// Runs what is queued on any stream for this communicator.
void complete(comm_ref const&);

}  // namespace nccl_sim
