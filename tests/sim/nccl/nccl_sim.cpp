// The functions of nccl.h.
#include "nccl_sim.hpp"

#include "nccl_world.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>

using namespace nccl_sim;

namespace {

/// The group that this thread has open.
struct open_group {
  int depth = 0;
  ncclResult_t error = ncclSuccess;
  std::vector<std::pair<comm_ref, operation>> calls;
  std::vector<cudaStream_t> streams;
  std::vector<comm_ref> born;
};
thread_local open_group group;

ncclResult_t no_communicator() { return fail(ncclInvalidArgument, "that is no communicator, or it is gone"); }

/// What ncclCommGetAsyncError says; with `ask` a communicator in progress comes a step further.
ncclResult_t state_of(ncclComm& comm, bool ask) {
  if (comm.error != ncclSuccess) return comm.error;
  if (!comm.ready()) return ncclInProgress;
  if (comm.group->error != ncclSuccess) {
    fail(comm.group->error, comm.group->why);
    return comm.group->error;
  }
  if (comm.polls > 0) {
    if (ask) --comm.polls;
    return ncclInProgress;
  }
  if (auto* const ready = comm.unborn.second; ready && ask) {
    if (!ready->ready()) return ncclInProgress;
    *std::exchange(comm.unborn, {}).first = ready;
  }
  return ncclSuccess;
}

/// Waits until the communicator's ranks are all there; what is in progress stays so.
ncclResult_t born(hold& held, comm_ref const& comm) {
  auto& s = state::get();
  if (!comm->blocking) return ncclInProgress;
  if (s.changed.wait_for(held, s.patience, [&] { return comm->ready() || comm->dead; }) && !comm->dead)
    return ncclSuccess;
  comm->error = ncclSystemError;
  return fail(ncclSystemError, "a rank never came to make the communicator");
}

comm_ref make(bool blocking, int device) {
  auto& s = state::get();
  auto const comm = std::make_shared<ncclComm>();
  comm->device = device;
  comm->blocking = blocking;
  comm->polls = blocking ? 0 : s.polls;
  s.comms[comm.get()] = comm;
  return comm;
}

ncclResult_t init(ncclComm_t* out, int n, ncclUniqueId const& id, int rank, bool blocking) {
  if (n < 1 || rank < 0 || rank >= n) return fail(ncclInvalidArgument, "rank out of range");
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return fail(ncclUnhandledCudaError, "there is no device");
  auto& s = state::get();
  hold held(s.lock);
  auto& w = s.worlds[std::string(id.internal, sizeof id.internal)];
  if (!w) w = std::make_shared<world>(n);
  if (w->ranks != n) return fail(ncclInvalidUsage, "the ranks disagree about their number");
  if (w->present[static_cast<std::size_t>(rank)]) return fail(ncclInvalidUsage, "two ranks have one number");
  w->present[static_cast<std::size_t>(rank)] = true;
  ++w->joined;
  auto const comm = make(blocking, device);
  comm->group = w;
  comm->rank = rank;
  *out = comm.get();
  s.changed.notify_all();
  if (group.depth > 0) {
    group.born.push_back(comm);
    return ncclSuccess;
  }
  auto const result = born(held, comm);
  if (result != ncclSuccess && result != ncclInProgress) {
    s.comms.erase(comm.get());
    *out = nullptr;
  }
  return result;
}

/// The end of the outermost group.
ncclResult_t flush() {
  auto const all = std::exchange(group, {});
  if (auto const result = planned("ncclGroupEnd")) return *result;
  if (all.error != ncclSuccess) return all.error;
  for (auto const& each : all.calls) {
    auto const& comm = each.first;  // clang 16 captures no structured binding under OpenMP
    auto const& o = each.second;
    if (o.extra == comm->rank && (o.what == kind::send || o.what == kind::receive)) {
      auto count = [&](kind k) {
        return std::count_if(all.calls.begin(), all.calls.end(), [&](auto const& c) {
          return c.first == comm && c.second.what == k && c.second.extra == comm->rank;
        });
      };
      if (count(kind::send) != count(kind::receive))
        return fail(ncclInvalidUsage, "a rank sends to itself and does not receive, or the other way round");
    }
  }
  auto result = all.calls.empty() ? ncclSuccess : launch(all.calls, all.streams);
  auto& s = state::get();
  hold held(s.lock);
  for (auto const& comm : all.born)
    if (result == ncclSuccess || result == ncclInProgress) {
      auto const one = born(held, comm);
      if (one != ncclSuccess) result = one;
    }
  for (auto const& [comm, o] : all.calls)
    if (!comm->blocking && result == ncclSuccess) {
      comm->polls = s.polls;
      result = ncclInProgress;
    }
  return result;
}

ncclResult_t submit(char const* function, ncclComm_t handle, operation const& o, cudaStream_t stream) {
  auto check = [&]() -> ncclResult_t {
    if (auto const result = planned(function)) return *result;
    hold const held(state::get().lock);
    auto const comm = find(handle);
    if (!comm) return no_communicator();
    if (comm->finalized) return fail(ncclInvalidArgument, "the communicator was finalized");
    auto const now = state_of(*comm, false);
    if (now == ncclInProgress) return fail(ncclInvalidArgument, "the communicator is still in progress");
    if (now != ncclSuccess) return now;
    if (width(o.type) == 0) return fail(ncclInvalidArgument, "that is no type");
    bool const point = o.what == kind::send || o.what == kind::receive, reduces = !point && o.what != kind::broadcast;
    bool const in_range = reduces ? o.extra >= 0 && o.extra < ncclNumOps : o.extra >= 0 && o.extra < comm->group->ranks;
    if (!in_range) return fail(ncclInvalidArgument, "that is no rank, or no reduction");
    bool const reads = o.what != kind::receive && (o.what != kind::broadcast || o.extra == comm->rank);
    if (o.count > 0 && ((reads && !o.in) || (o.what != kind::send && !o.out)))
      return fail(ncclInvalidArgument, "a buffer is null");
    group.calls.emplace_back(comm, o);
    group.streams.push_back(stream);
    return ncclSuccess;
  };
  auto const result = check();
  if (group.depth == 0) {
    if (result == ncclSuccess) {
      ++group.depth;
      return ncclGroupEnd();
    }
    return result;
  }
  if (result != ncclSuccess) group.error = result;
  return result;
}

/// A split is resolved by the last rank that comes.
void resolve(world& parent, split_turn& turn) {
  std::map<int, std::vector<std::pair<int, int>>> colors;  // key, rank in the parent
  for (int r = 0; r < parent.ranks; ++r) {
    auto const& p = turn.parts[static_cast<std::size_t>(r)];
    if (p.child) colors[p.color].emplace_back(p.key, r);
  }
  for (auto& [color, members] : colors) {
    std::sort(members.begin(), members.end());
    auto const w = std::make_shared<world>(static_cast<int>(members.size()));
    for (auto const& [key, r] : members) {
      auto* const child = turn.parts[static_cast<std::size_t>(r)].child;
      child->rank = w->joined++;
      child->group = w;
    }
  }
  state::get().changed.notify_all();
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}
char const* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case ncclSystemError:
      return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclInternalError:
      return "internal error - please report this issue to the NCCL developers";
    case ncclInvalidArgument:
      return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case ncclInvalidUsage:
      return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
    default:
      return "unknown result code";
  }
}
char const* ncclGetLastError(ncclComm_t) { return last_error().c_str(); }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (auto const result = planned("ncclGetUniqueId")) return *result;
  hold const held(state::get().lock);
  std::memset(id, 0, sizeof *id);
  std::snprintf(id->internal, sizeof id->internal, "nccl_sim %llu",
                static_cast<unsigned long long>(++state::get().last_id));
  return ncclSuccess;
}

// ---- communicators
ncclResult_t ncclCommInitRankConfig(ncclComm_t* out, int n, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (auto const result = planned("ncclCommInitRankConfig")) return *result;
  if (config && (config->magic != 0xcafebeef || config->size != sizeof(ncclConfig_t)))
    return fail(ncclInvalidArgument, "the config was not made with NCCL_CONFIG_INITIALIZER");
  return init(out, n, id, rank, !config || config->blocking != 0);
}
ncclResult_t ncclCommInitRank(ncclComm_t* out, int n, ncclUniqueId id, int rank) {
  if (auto const result = planned("ncclCommInitRank")) return *result;
  return init(out, n, id, rank, true);
}
ncclResult_t ncclCommInitAll(ncclComm_t* out, int n, int const* devices) {
  if (auto const result = planned("ncclCommInitAll")) return *result;
  int available = 0;
  if (cudaGetDeviceCount(&available) != cudaSuccess) return fail(ncclUnhandledCudaError, "there is no device");
  for (int i = 0; i < n; ++i)
    if (int const d = devices ? devices[i] : i; d < 0 || d >= available)
      return fail(ncclInvalidArgument, "no device " + std::to_string(d));
  ncclUniqueId id;
  ncclGetUniqueId(&id);
  ncclGroupStart();
  for (int i = 0; i < n; ++i) {
    on_device const scope(devices ? devices[i] : i);
    init(out + i, n, id, i, true);
  }
  return ncclGroupEnd();
}

ncclResult_t ncclCommSplit(ncclComm_t handle, int color, int key, ncclComm_t* out, ncclConfig_t* config) {
  if (auto const result = planned("ncclCommSplit")) return *result;
  auto& s = state::get();
  hold held(s.lock);
  auto const comm = find(handle);
  if (!comm) return no_communicator();
  if (auto const now = state_of(*comm, false); now != ncclSuccess)
    return now == ncclInProgress ? fail(ncclInvalidArgument, "the communicator is still in progress") : now;
  if (color < 0 && color != NCCL_SPLIT_NOCOLOR) return fail(ncclInvalidArgument, "that is no color");
  *out = nullptr;
  auto const place = std::pair(comm->group.get(), comm->next_split++);
  auto& turn = s.splits[place];
  if (!turn) turn = std::make_shared<split_turn>();
  auto const mine = turn;
  mine->parts.resize(static_cast<std::size_t>(comm->group->ranks));
  comm_ref child;
  if (color != NCCL_SPLIT_NOCOLOR)
    child = make(config && config->blocking != NCCL_CONFIG_UNDEF_INT ? config->blocking != 0 : comm->blocking,
                 comm->device);
  mine->parts[static_cast<std::size_t>(comm->rank)] = {true, color, key, child.get()};
  if (++mine->arrived == comm->group->ranks) {
    resolve(*comm->group, *mine);
    s.splits.erase(place);
  }
  if (!comm->blocking) {
    comm->polls = s.polls;
    if (child) comm->unborn = {out, child.get()};
    return ncclInProgress;
  }
  if (!s.changed.wait_for(held, s.patience, [&] { return mine->arrived == comm->group->ranks || comm->dead; }) ||
      comm->dead) {
    if (child) s.comms.erase(child.get());
    comm->error = ncclSystemError;
    return fail(ncclSystemError, "a rank never came to split the communicator");
  }
  *out = child.get();
  return child && !child->blocking ? ncclInProgress : ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t handle) {
  if (auto const result = planned("ncclCommFinalize")) return *result;
  comm_ref comm;
  {
    hold const held(state::get().lock);
    comm = find(handle);
    if (!comm) return no_communicator();
  }
  complete(comm);
  hold const held(state::get().lock);
  comm->finalized = true;
  if (!comm->blocking) comm->polls = state::get().polls;
  return comm->blocking ? ncclSuccess : ncclInProgress;
}
ncclResult_t ncclCommDestroy(ncclComm_t handle) {
  if (auto const result = planned("ncclCommDestroy")) return *result;
  comm_ref comm;
  {
    hold const held(state::get().lock);
    comm = find(handle);
    if (!comm) return no_communicator();
  }
  complete(comm);
  hold const held(state::get().lock);
  if (comm->group) comm->group->leave(comm->rank);
  state::get().comms.erase(handle);
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t handle) {
  if (auto const result = planned("ncclCommAbort")) return *result;
  hold const held(state::get().lock);
  auto const comm = find(handle);
  if (!comm) return no_communicator();
  comm->dead = true;
  if (comm->group) comm->group->leave(comm->rank);
  state::get().comms.erase(handle);
  state::get().changed.notify_all();
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t handle, ncclResult_t* result) {
  if (auto const planned_result = planned("ncclCommGetAsyncError")) return *planned_result;
  hold const held(state::get().lock);
  auto const comm = find(handle);
  if (!comm) return no_communicator();
  *result = state_of(*comm, true);
  return ncclSuccess;
}
ncclResult_t ncclCommCount(ncclComm_t const handle, int* n) {
  hold const held(state::get().lock);
  auto const comm = find(handle);
  if (!comm || !comm->group) return no_communicator();
  *n = comm->group->ranks;
  return ncclSuccess;
}
ncclResult_t ncclCommUserRank(ncclComm_t const handle, int* rank) {
  hold const held(state::get().lock);
  auto const comm = find(handle);
  if (!comm) return no_communicator();
  *rank = comm->rank;
  return ncclSuccess;
}
ncclResult_t ncclCommCuDevice(ncclComm_t const handle, int* device) {
  if (auto const result = planned("ncclCommCuDevice")) return *result;
  hold const held(state::get().lock);
  auto const comm = find(handle);
  if (!comm) return no_communicator();
  *device = comm->device;
  return ncclSuccess;
}

// ---- groups and calls
ncclResult_t ncclGroupStart() {
  if (auto const result = planned("ncclGroupStart")) return *result;
  ++group.depth;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  if (group.depth == 0) return fail(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  return --group.depth > 0 ? ncclSuccess : flush();
}

ncclResult_t ncclAllGather(void const* in, void* out, size_t n, ncclDataType_t type, ncclComm_t comm, cudaStream_t s) {
  return submit("ncclAllGather", comm, {kind::all_gather, in, out, n, type}, s);
}
ncclResult_t ncclAllReduce(void const* in, void* out, size_t n, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                           cudaStream_t s) {
  return submit("ncclAllReduce", comm, {kind::all_reduce, in, out, n, type, static_cast<int>(op)}, s);
}
ncclResult_t ncclReduceScatter(void const* in, void* out, size_t n, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t s) {
  return submit("ncclReduceScatter", comm, {kind::reduce_scatter, in, out, n, type, static_cast<int>(op)}, s);
}
ncclResult_t ncclBroadcast(void const* in, void* out, size_t n, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t s) {
  return submit("ncclBroadcast", comm, {kind::broadcast, in, out, n, type, root}, s);
}
ncclResult_t ncclSend(void const* in, size_t n, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t s) {
  return submit("ncclSend", comm, {kind::send, in, nullptr, n, type, peer}, s);
}
ncclResult_t ncclRecv(void* out, size_t n, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t s) {
  return submit("ncclRecv", comm, {kind::receive, nullptr, out, n, type, peer}, s);
}

// ---- memory
ncclResult_t ncclMemAlloc(void** out, size_t n) {
  if (auto const result = planned("ncclMemAlloc")) return *result;
  if (cudaMalloc(out, n) != cudaSuccess) return fail(ncclUnhandledCudaError, "there is no such memory");
  hold const held(state::get().lock);
  state::get().memory.insert(*out);
  return ncclSuccess;
}
ncclResult_t ncclMemFree(void* p) {
  {
    hold const held(state::get().lock);
    if (state::get().memory.erase(p) == 0) return fail(ncclInvalidArgument, "that is not from ncclMemAlloc");
  }
  return cudaFree(p) == cudaSuccess ? ncclSuccess : fail(ncclUnhandledCudaError, "cudaFree fails");
}
ncclResult_t ncclCommRegister(ncclComm_t const handle, void* buffer, size_t size, void** out) {
  if (auto const result = planned("ncclCommRegister")) return *result;
  hold const held(state::get().lock);
  auto const comm = find(handle);
  if (!comm) return no_communicator();
  if (!buffer || size == 0) return fail(ncclInvalidArgument, "the buffer is empty");
  *out = reinterpret_cast<void*>(++state::get().last_id);
  comm->registered.insert(*out);
  return ncclSuccess;
}
ncclResult_t ncclCommDeregister(ncclComm_t const handle, void* registration) {
  if (auto const result = planned("ncclCommDeregister")) return *result;
  hold const held(state::get().lock);
  auto const comm = find(handle);
  if (!comm) return no_communicator();
  if (comm->registered.erase(registration) == 0) return fail(ncclInvalidArgument, "that was not registered here");
  return ncclSuccess;
}
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
ncclResult_t ncclCommWindowRegister(ncclComm_t handle, void* buffer, size_t size, ncclWindow_t* out, int) {
  if (auto const result = planned("ncclCommWindowRegister")) return *result;
  return ncclCommRegister(handle, buffer, size, reinterpret_cast<void**>(out));
}
ncclResult_t ncclCommWindowDeregister(ncclComm_t handle, ncclWindow_t window) {
  if (auto const result = planned("ncclCommWindowDeregister")) return *result;
  return ncclCommDeregister(handle, window);
}
#endif

}  // extern "C"
