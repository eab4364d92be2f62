#pragma once
/// thread_communicator for device memory: the ranks are threads of one process, whose streams belong to one GPU or to
/// several. Including this header (ccomp.hpp does under nvcc) gives its calls for a cuda_exec.

#include <ccomp/comm/thread.hpp>
#include <ccomp/comm/thread_device.hpp>
#include <ccomp/engine/cuda/typed_sum.cuh>

#include <algorithm>

CCOMP_BEGIN
namespace detail {

/// The threads meet on the host and show each other memory and events. The copies then wait for each other on the
/// streams. So a call returns once every rank has made it, before any byte has moved.
///
/// Ranks:       any number, each with its own stream or a shared one, on one device or on several
/// Determinism: all_reduce gives the host's bits: rank order, 16-bit floats summed in float
/// Memory:      all_reduce keeps scratch of about n values in the communicator, which only grows
/// Throws:      invalid_argument for wrong sizes, host memory, another device than the stream's, and while the stream
///              records a graph (threads cannot meet in a graph); rank_mismatch on every rank if sizes differ; timeout
///              or communicator_error if a rank does not come or leaves. What other ranks have queued by then runs
///              before what this rank queues on its stream afterwards, so free memory in the order of the stream.
template <> struct thread_transport<cuda_exec> {
  using comm_type = thread_communicator;

  static void all_gather(comm_type& comm, cuda_exec const& ex, std::span<std::byte const> send,
                         std::span<std::byte> receive) {
    constexpr auto call = "thread_communicator::all_gather";
    expect_stream(ex, call);
    expect_bytes(call, receive.size(), index(comm.size()) * send.size());
    expect_buffer(ex, call, "send", send.data(), send.size());
    expect_buffer(ex, call, "receive", receive.data(), receive.size());
    share(comm, ex, send, [&] {
      for (int r = 0; r < comm.size(); ++r) copy(comm, ex, r, 0, receive.data() + index(r) * send.size(), send.size());
    });
  }

  static void all_to_all(comm_type& comm, cuda_exec const& ex, std::span<std::byte const> send,
                         std::span<std::byte> receive) {
    constexpr auto call = "thread_communicator::all_to_all";
    std::size_t const slot = send.size() / index(comm.size());
    expect_stream(ex, call);
    expect_bytes(call, send.size(), index(comm.size()) * slot);
    expect_bytes(call, receive.size(), send.size());
    expect_buffer(ex, call, "send", send.data(), send.size());
    expect_buffer(ex, call, "receive", receive.data(), receive.size());
    share(comm, ex, send, [&] {
      for (int r = 0; r < comm.size(); ++r)
        copy(comm, ex, r, index(comm.rank()) * slot, receive.data() + index(r) * slot, slot);
    });
  }

  static void broadcast(comm_type& comm, cuda_exec const& ex, std::span<std::byte> data, int root) {
    constexpr auto call = "thread_communicator::broadcast";
    expect_stream(ex, call);
    expects(0 <= root && root < comm.size(),
            [&] { return sentence(call, ": root is rank ", root, " of a group of ", comm.size()); });
    expect_buffer(ex, call, "data", data.data(), data.size());
    share(comm, ex, data, [&] {
      if (comm.rank() != root) copy(comm, ex, root, 0, data.data(), data.size());
    });
  }

  static void exchange(comm_type& comm, cuda_exec const& ex, std::span<std::byte const> send, int to,
                       std::span<std::byte> receive, int from) {
    constexpr auto call = "thread_communicator::exchange";
    expect_stream(ex, call);
    comm.expect_rank(to, "the receiver");
    comm.expect_rank(from, "the sender");
    expect_buffer(ex, call, "send", send.data(), send.size());
    expect_buffer(ex, call, "receive", receive.data(), receive.size());
    share(comm, ex, send, [&] { copy(comm, ex, from, 0, receive.data(), receive.size()); }, {to, from, receive.size()});
  }

  /// What a rank shows is read once its stream is ready; its stream then goes on after those that read.
  static void transfer(comm_type& comm, cuda_exec const& ex, std::span<outgoing_message const> out,
                       std::span<incoming_message const> in) {
    constexpr auto call = "thread_communicator::transfer";
    expect_stream(ex, call);
    for (auto const& m : out) expect_buffer(ex, call, "what is sent", m.data.data(), m.data.size());
    for (auto const& m : in) expect_buffer(ex, call, "what is received", m.data.data(), m.data.size());
    auto& mine = state(comm, ex);
    mine.record_ready(ex);
    auto const read = [&](incoming_message const& m, void const* from, void* sender) {
      if (sender != &mine) static_cast<thread_device const*>(sender)->wait_until_ready(ex);
      thread_device::reading const reads(mine, ex);
      if (!m.data.empty())
        check_cuda(cudaMemcpyAsync(m.data.data(), from, m.data.size(), cudaMemcpyDefault, ex.stream()),
                   "cudaMemcpyAsync");
    };
    // What the caller queues now comes after what others read, also if the call fails.
    std::vector<std::shared_ptr<void>> readers;
    try {
      comm.post_mail(call, {comm.rank(), out, in, comm.group_->patience_, comm.transport_, read}, readers);
    } catch (...) {
      for (auto const& reader : readers) static_cast<thread_device const*>(reader.get())->let_finish(ex);
      throw;
    }
    for (auto const& reader : readers) static_cast<thread_device const*>(reader.get())->wait_until_done(ex);
  }

  /// As on the host: each rank sums one part of the vector over all ranks, then takes the others' parts.
  static void all_reduce(comm_type& comm, cuda_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
    constexpr auto call = "thread_communicator::all_reduce";
    std::size_t const width = wire_bytes(type), ranks = index(comm.size());
    expect_stream(ex, call);
    expects(op == wire_op::sum || type > wire_type::bfloat16, "all_reduce: the maximum is defined for integers");
    expect_buffer(ex, call, "data", data, n);
    std::span<std::byte> const bytes{static_cast<std::byte*>(data), n * width};
    std::size_t const part = round_up(ceil_div(n, ranks), 128);  // parts start alike: the kernel reads whole groups
    auto first = [&](int r) { return std::min(n, index(r) * part); };
    auto size = [&](int r) { return std::min(n, first(r) + part) - first(r); };

    std::size_t const mine = size(comm.rank()), stride = pad16(mine * width);
    auto* const sources = state(comm, ex).scratch(ex, ranks * stride);
    share(comm, ex, bytes, [&] {  // nobody else reads this rank's part, so it is written in place
      for (int r = 0; r < comm.size(); ++r)
        copy(comm, ex, r, first(comm.rank()) * width, sources + index(r) * stride, mine * width);
      typed_sum(ex, {sources, stride, comm.size(), bytes.data() + first(comm.rank()) * width, mine, type, op});
    });
    share(comm, ex, bytes, [&] {
      for (int r = 0; r < comm.size(); ++r)
        if (r != comm.rank()) copy(comm, ex, r, first(r) * width, bytes.data() + first(r) * width, size(r) * width);
    });
  }

  static void agree(comm_type& comm, cuda_exec const& ex, std::uint64_t fingerprint, void const* what,
                    std::string (*describe)(void const*)) {
    expect_stream(ex, "thread_communicator::agree");
    comm.agree(fingerprint, what, describe);
  }

 private:
  static std::size_t index(int r) { return static_cast<std::size_t>(r); }

  static void expect_stream(cuda_exec const& ex, char const* call) {
    expect_device(ex, call);
    expects(!ex.capturing(), [&] {
      return sentence(call,
                      ": the stream records a graph, in which the threads of a group cannot meet; "
                      "use nccl_communicator there");
    });
  }
  static void expect_bytes(char const* call, std::size_t got, std::size_t need) {
    expects(got == need, [&] { return sentence(call, ": a buffer has ", got, " bytes and needs ", need); });
  }
  static void expect_buffer(cuda_exec const& ex, char const* call, char const* what, void const* p, std::size_t size) {
    if (size == 0) return;
    expects(p != nullptr, [&] { return sentence(call, ": ", what, " is null and should hold ", size); });
    expect_device_memory(ex, p, call, what);
  }

  static thread_device& state(comm_type& comm, cuda_exec const& ex) {
    auto* now = static_cast<thread_device*>(comm.transport_.get());
    if (!now || now->device() != ex.device()) {
      auto const made = std::make_shared<thread_device>(ex);
      now = made.get();
      comm.transport_ = made;
    }
    return *now;
  }

  /// Rank r's bytes from `offset` on, once they are there.
  static void copy(comm_type& comm, cuda_exec const& ex, int r, std::size_t offset, std::byte* to, std::size_t bytes) {
    auto const* const from = static_cast<std::byte const*>(comm.post(r).send) + offset;
    if (bytes > 0 && to != from)
      check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, ex.stream()), "cudaMemcpyAsync");
  }

  /// Every rank shows a buffer and queues its reading. What a rank queues afterwards waits for all readers.
  template <class F>
  static void share(comm_type& comm, cuda_exec const& ex, std::span<std::byte const> send, F const& read,
                    thread_partners with = {}) {
    auto& mine = state(comm, ex);
    std::vector<std::shared_ptr<void>> all(index(comm.size()));  // a rank may be gone before its events are waited for
    auto const each_other = [&](auto const& f) {
      for (auto const& other : all)
        if (other.get() != &mine) f(*static_cast<thread_device const*>(other.get()));
    };
    mine.record_ready(ex);
    try {
      comm.share(
          send,
          [&] {
            for (int r = 0; r < comm.size(); ++r) all[index(r)] = comm.post(r).transport;
            each_other([&](thread_device const& other) { other.wait_until_ready(ex); });
            thread_device::reading const reads(mine, ex);
            read();
          },
          comm.transport_, with);
    } catch (...) {
      // What the others have queued still reads this rank's memory: what the caller queues now comes after it.
      comm.post(comm.rank()).transport.reset();
      for (auto const& other : all)
        if (other && other.get() != &mine) static_cast<thread_device const*>(other.get())->let_finish(ex);
      throw;
    }
    comm.post(comm.rank()).transport.reset();
    each_other([&](thread_device const& other) { other.wait_until_done(ex); });
  }
};

}  // namespace detail
CCOMP_END
