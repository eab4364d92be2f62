#pragma once
/// The simulated runtime's inside: one lock, streams, captures, memory.

#include "cudart_sim.hpp"

#include <cuda_runtime_api.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace cudart_sim {

using hold = std::unique_lock<std::mutex>;
using work = std::function<void()>;
using stream_ref = std::shared_ptr<CUstream_st>;

/// A point in a stream.
struct mark {
  bool done = false;
  std::chrono::steady_clock::time_point when;
};

struct task {
  work run;                     // may be empty
  std::shared_ptr<mark> sets;   // done after it
  std::shared_ptr<mark> waits;  // must be done before it, in `other`
  stream_ref other;
};

/// What a graph does: all captured work in the order of the calls, which respects every dependency.
struct graph_body {
  std::vector<work> steps;
  std::vector<void*> memory;       // allocated by the graph, freed with it
  std::vector<CUevent_st*> noted;  // events that every launch records
  ~graph_body();
};

struct capture {
  unsigned long long id = 0;
  cudaStreamCaptureMode mode{};
  std::thread::id thread;
  CUstream_st* origin = nullptr;
  std::vector<stream_ref> streams;  // of them all but the origin must be joined at the end
  bool invalid = false;
  std::shared_ptr<graph_body> body = std::make_shared<graph_body>();
};

}  // namespace cudart_sim

struct CUstream_st : std::enable_shared_from_this<CUstream_st> {
  int device = 0;
  bool legacy = false;
  bool blocking = true;  // waits for the legacy stream and is waited for
  unsigned flags = 0;
  int priority = 0;
  unsigned long long number = 0;  // no other stream has it, ever
  std::deque<cudart_sim::task> queue;
  bool busy = false;
  std::optional<std::thread::id> held_by;
  std::shared_ptr<cudart_sim::capture> recording;
  std::size_t recorded = 0;  // steps of the capture
  std::size_t joined = 0;    // of these, waited for by another stream of the capture
};

struct CUevent_st {
  int device = 0;
  unsigned flags = 0;
  std::shared_ptr<cudart_sim::mark> last;
  cudart_sim::stream_ref stream;
  std::weak_ptr<cudart_sim::capture> recording;  // of the last record
  bool captured = false;
  std::size_t position = 0;
};

struct CUgraph_st {
  std::shared_ptr<cudart_sim::graph_body> body;
};
struct CUgraphExec_st {
  std::shared_ptr<cudart_sim::graph_body> body;
};

namespace cudart_sim {

struct allocation {
  std::size_t size = 0;
  cudaMemoryType type{};
  int device = 0;
  bool registered = false;      // the caller's own memory, pinned by cudaHostRegister
  bool free_queued = false;     // cudaFreeAsync has been called
  graph_body* graph = nullptr;  // captured: lives as long as the graph
};

class runtime {
 public:
  static runtime& get();

  std::mutex lock;
  std::condition_variable changed;
  int devices;
  counters counts{};
  std::vector<std::string> kernels;
  std::set<std::pair<int, void const*>> loaded;  // kernels, by device
  cudaError_t broken = cudaSuccess;              // what every call returns
  std::map<std::string, std::deque<cudaError_t>> failures;
  std::map<std::uintptr_t, allocation> memory;
  std::list<stream_ref> streams;  // created and not destroyed
  std::list<stream_ref> orphans;  // destroyed with work in their queue
  std::list<stream_ref> gone;     // destroyed; kept, so that no other stream gets their handle
  unsigned long long last_stream = 0;
  std::map<int, stream_ref> legacy_streams;
  std::vector<CUevent_st*> events;
  std::vector<std::shared_ptr<capture>> captures;
  unsigned long long last_capture = 0;

  // All of these want the lock.
  /// Null: unknown handle. A stream that was destroyed ends the program: what CUDA does then is not defined.
  CUstream_st* stream(cudaStream_t, char const* call);
  bool knows(cudaEvent_t) const;
  cudaError_t enqueue(CUstream_st&, work);
  void push(CUstream_st&, task);
  std::shared_ptr<mark> mark_end(CUstream_st&);
  /// Runs the stream's work on this thread until it is empty or `until` is done.
  cudaError_t drain(hold&, stream_ref, std::shared_ptr<mark> until = nullptr);
  cudaError_t drain_device(hold&, int device, char const* call);
  /// As drain, for calls that make the host wait.
  cudaError_t wait(hold&, CUstream_st&, char const* call, std::shared_ptr<mark> until = nullptr);
  /// One task, for polling; false if none could run.
  bool step(hold&, stream_ref);

  std::map<std::uintptr_t, allocation>::iterator find(void const*);
  /// What calls that a capture forbids return: invalidates the capture that does.
  cudaError_t forbidden_in_capture();
  cudaError_t forbidden_for(CUstream_st const&);
  /// Lets go of all the capture's streams; the error that its end reports.
  cudaError_t end(capture&);

 private:
  runtime();
  void run_front(hold&, CUstream_st&);
};

extern thread_local int current_device;
extern thread_local cudaError_t last_error;
extern thread_local cudaStreamCaptureMode thread_mode;

cudaError_t planned_failure(runtime&, char const* name);

/// The frame of every call: takes the lock, lets planned failures happen, keeps the error for cudaGetLastError.
template <class Body> cudaError_t api(char const* name, Body body) {
  runtime& r = runtime::get();
  hold held(r.lock);
  cudaError_t error = r.devices == 0 ? cudaErrorNoDevice : planned_failure(r, name);
  if (error == cudaSuccess) error = r.broken;
  if (error == cudaSuccess) error = body(r, held);
  if (error != cudaSuccess) last_error = error;
  return error;
}

}  // namespace cudart_sim
