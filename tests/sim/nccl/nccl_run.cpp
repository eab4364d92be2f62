// Calls on their way from a stream to their peers.
#include "nccl_world.hpp"

#include <algorithm>

namespace nccl_sim {

batch::~batch() {
  for (auto const& p : parts) {
    if (p.before) static_cast<void>(cudaEventDestroy(p.before));
    if (p.after) static_cast<void>(cudaEventDestroy(p.after));
  }
}

void world::kill(ncclResult_t result, std::string const& text) {
  if (error == ncclSuccess) {
    error = result;
    why = text;
  }
  collectives.clear();
  messages.clear();
  state::get().changed.notify_all();
}

void world::leave(int rank) {
  gone[static_cast<std::size_t>(rank)] = true;
  bool waiting = !collectives.empty();
  for (auto const& [route, ends] : messages)
    if (std::get<0>(route) == rank || std::get<1>(route) == rank) waiting = true;
  if (waiting) kill(ncclRemoteError, "rank " + std::to_string(rank) + " has left");
}

namespace {

bytes read(void const* p, std::size_t n) {
  bytes b(n);
  if (n > 0) std::memcpy(b.data(), p, n);
  return b;
}
void write(void* p, std::byte const* from, std::size_t n) {
  if (n > 0) std::memcpy(p, from, n);
}

/// All ranks are there.
void exchange(world& w, std::vector<operation*> const& all) {
  operation const& first = *all[0];
  for (operation* const o : all) {
    o->done = true;
    if (o->what != first.what || o->count != first.count || o->type != first.type || o->extra != first.extra) {
      w.kill(ncclInvalidUsage, "the ranks disagree about a collective, its count, type, operation or root");
      return;
    }
  }
  std::size_t const b = first.count * width(first.type);
  switch (first.what) {
    case kind::all_gather: {
      bytes every;
      for (operation const* o : all) {
        auto const one = read(o->in, b);
        every.insert(every.end(), one.begin(), one.end());
      }
      for (operation const* o : all) write(o->out, every.data(), every.size());
      break;
    }
    case kind::broadcast: {
      auto const one = read(all[static_cast<std::size_t>(first.extra)]->in, b);
      for (operation const* o : all) write(o->out, one.data(), b);
      break;
    }
    default: {
      bool const whole = first.what == kind::all_reduce;
      std::vector<bytes> in;
      for (operation const* o : all) in.push_back(read(o->in, whole ? b : b * all.size()));
      auto const sum = reduce(in, first.type, first.extra);
      if (sum.size() != in[0].size()) {
        w.kill(ncclInvalidArgument, "nccl_sim has no such reduction");
        return;
      }
      for (std::size_t r = 0; r < all.size(); ++r) write(all[r]->out, sum.data() + (whole ? 0 : r * b), b);
    }
  }
}

/// A call has begun on its stream.
void arrive(ncclComm& comm, operation& o) {
  world& w = *comm.group;
  if (w.error != ncclSuccess) return;
  auto missing = [&](int rank) {
    bool const left = w.gone[static_cast<std::size_t>(rank)];
    if (left) w.kill(ncclRemoteError, "rank " + std::to_string(rank) + " has left");
    return left;
  };
  if (o.what == kind::send || o.what == kind::receive) {
    bool const sends = o.what == kind::send;
    auto const route = sends ? std::tuple(comm.rank, o.extra, o.turn) : std::tuple(o.extra, comm.rank, o.turn);
    auto& [send, receive] = w.messages[route];
    (sends ? send : receive) = &o;
    if (!send || !receive) {
      missing(o.extra);
      return;
    }
    std::size_t const b = send->count * width(send->type);
    if (b == receive->count * width(receive->type)) {
      auto const data = read(send->in, b);
      write(receive->out, data.data(), b);
    }
    bool const fits = b == receive->count * width(receive->type);
    send->done = receive->done = true;
    w.messages.erase(route);
    if (!fits) w.kill(ncclInvalidUsage, "a send and its receive differ in size");
  } else {
    auto& all = w.collectives[o.turn];
    all.resize(static_cast<std::size_t>(w.ranks));
    all[static_cast<std::size_t>(comm.rank)] = &o;
    for (int r = 0; r < w.ranks; ++r)
      if (!all[static_cast<std::size_t>(r)]) {
        if (missing(r)) return;  // `all` is gone
      }
    if (std::find(all.begin(), all.end(), nullptr) != all.end()) return;
    auto const ready = std::move(all);
    w.collectives.erase(o.turn);
    exchange(w, ready);
  }
  state::get().changed.notify_all();
}

void take_turn(ncclComm& comm, operation& o) {
  if (o.what == kind::send)
    o.turn = comm.next_send[o.extra]++;
  else if (o.what == kind::receive)
    o.turn = comm.next_receive[o.extra]++;
  else
    o.turn = comm.next_collective++;
}

bool over(std::pair<comm_ref, operation> const& call) {
  auto const& comm = *call.first;
  return call.second.done || comm.dead || comm.error != ncclSuccess || comm.group->error != ncclSuccess;
}

/// Everything before the batch is done on all of its streams.
void run(hold& held, std::vector<std::pair<comm_ref, operation>>& calls) {
  auto& s = state::get();
  for (auto& [comm, o] : calls)
    if (!comm->dead && comm->error == ncclSuccess) arrive(*comm, o);
  auto all_over = [&] { return std::all_of(calls.begin(), calls.end(), over); };
  if (!s.changed.wait_for(held, s.patience, all_over))
    for (auto const& call : calls)
      if (!over(call)) call.first->group->kill(ncclRemoteError, "a rank never joined in");
  // Nobody may keep a pointer to calls that end here.
  for (auto const& call : calls)
    if (!call.second.done) call.first->group->kill(ncclRemoteError, "a rank has failed");
}

void CUDART_CB run_part(void* data) {
  auto& s = state::get();
  hold held(s.lock);
  auto const b = s.queued.at(data);
  if (b->captured) {
    auto calls = b->calls;
    for (auto& [comm, o] : calls) take_turn(*comm, o);
    run(held, calls);
    return;
  }
  if (!b->started) {
    b->started = true;
    held.unlock();
    for (auto const& p : b->parts)
      if (p.before) static_cast<void>(cudaEventSynchronize(p.before));
    held.lock();
    run(held, b->calls);
    b->finished = true;
    s.changed.notify_all();
  }
  s.changed.wait(held, [&] { return b->finished; });
  s.queued.erase(data);
  held.unlock();  // the batch's events go without the lock
}

}  // namespace

ncclResult_t launch(std::vector<std::pair<comm_ref, operation>> calls, std::vector<cudaStream_t> const& streams) {
  auto& s = state::get();
  auto const b = std::make_shared<batch>();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    int const device = calls[i].first->device;
    bool const known = std::any_of(b->parts.begin(), b->parts.end(), [&](batch::part const& p) {
      return p.stream == streams[i] && (p.stream != nullptr || p.device == device);
    });
    if (!known) b->parts.push_back({streams[i], device});
  }
  for (auto& p : b->parts) {
    on_device const scope(p.device);
    auto status = cudaStreamCaptureStatusNone;
    if (cudaStreamIsCapturing(p.stream, &status) != cudaSuccess)
      return fail(ncclUnhandledCudaError, "that is no stream, or another one captures");
    if (status != cudaStreamCaptureStatusNone) b->captured = true;
  }
  if (b->captured && b->parts.size() > 1) return fail(ncclInvalidUsage, "nccl_sim captures groups of one stream only");
  {
    hold const held(s.lock);
    if (!b->captured)
      for (auto& [comm, o] : calls) take_turn(*comm, o);
    b->calls = std::move(calls);
  }
  if (!b->captured)
    for (auto& p : b->parts) {
      on_device const scope(p.device);
      static_cast<void>(cudaEventCreateWithFlags(&p.before, cudaEventDisableTiming));
      static_cast<void>(cudaEventCreateWithFlags(&p.after, cudaEventDisableTiming));
      static_cast<void>(cudaEventRecord(p.before, p.stream));
    }
  for (auto const& p : b->parts) {
    on_device const scope(p.device);
    void* data = nullptr;
    {
      hold const held(s.lock);
      data = reinterpret_cast<void*>(++s.last_id);
      s.queued[data] = b;
    }
    if (cudaLaunchHostFunc(p.stream, run_part, data) != cudaSuccess)
      return fail(ncclUnhandledCudaError, "the stream takes no work");
    if (p.after) static_cast<void>(cudaEventRecord(p.after, p.stream));
  }
  return ncclSuccess;
}

void complete(comm_ref const& comm) {
  auto& s = state::get();
  std::vector<std::shared_ptr<batch>> mine;
  {
    hold const held(s.lock);
    for (auto const& [data, b] : s.queued)
      if (!b->captured && std::any_of(b->calls.begin(), b->calls.end(), [&](auto const& c) { return c.first == comm; }))
        mine.push_back(b);
  }
  for (auto const& b : mine)
    for (auto const& p : b->parts) static_cast<void>(cudaEventSynchronize(p.after));
}

}  // namespace nccl_sim
