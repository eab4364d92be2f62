#pragma once
/// mpi_communicator for device memory. Including this header gives its calls for a cuda_exec: directly where MPI is
/// CUDA-aware, else staged through pinned host memory.

#include <ccomp/comm/mpi.hpp>
#include <ccomp/comm/mpi_device.hpp>
#include <ccomp/engine/cuda/checksum.cuh>
#include <ccomp/engine/cuda/typed_sum.cuh>

CCOMP_BEGIN
namespace detail {

/// Memory:  staged, pinned host memory for what is sent and received; directly, device memory for sums and short
///          messages. Both stay with the communicator and only grow
/// Throws:  invalid_argument for host memory, a stream of another device, and a stream that records a graph; timeout if
///          the stream is not done before the communicator's deadline
template <> class mpi_memory<cuda_exec> {
 public:
  mpi_memory(cuda_exec const& ex, mpi_link& link, char const* call)
      : ex_(ex), link_(link), call_(call), device_(device_of(ex, link, call)), direct_(is_direct(link.options())) {
    device_.wait_for_last(call, link.options().deadline);
  }

  template <class F> void lend(std::span<std::byte const> send, std::span<std::byte> receive, F const& f) {
    expect_buffer("send", send);
    expect_buffer("receive", receive);
    if (direct_) {
      f(send, receive);
    } else {
      bool const one = send.data() == receive.data() && send.size() == receive.size();
      auto const in = device_.pinned(mpi_device::incoming, receive.size());
      auto const out = one ? in : device_.pinned(mpi_device::outgoing, send.size());
      queue_copy(send, out);
      device_.wait(ex_, call_, link_.options().deadline);
      f(out, in);
      queue_copy(in, receive);
    }
    device_.note_last(ex_);
  }
  /// Staged, the messages lie one after another in pinned memory.
  template <class F>
  void lend(std::span<outgoing_message const> out, std::span<incoming_message const> in, F const& f) {
    for (auto const& m : out) expect_buffer("what is sent", m.data);
    for (auto const& m : in) expect_buffer("what is received", m.data);
    if (direct_) {
      f(out, in);
    } else {
      std::vector<outgoing_message> sent(out.begin(), out.end());
      std::vector<incoming_message> received(in.begin(), in.end());
      auto const outgoing = device_.pinned(mpi_device::outgoing, bytes_of(out)),
                 incoming = device_.pinned(mpi_device::incoming, bytes_of(in));
      std::size_t at = 0;
      for (auto& m : sent) {
        std::span<std::byte> const here{outgoing.data() + at, m.data.size()};
        queue_copy(m.data, here);
        m.data = here;
        at += here.size();
      }
      at = 0;
      for (auto& m : received) {
        m.data = {incoming.data() + at, m.data.size()};
        at += m.data.size();
      }
      device_.wait(ex_, call_, link_.options().deadline);
      f(std::span<outgoing_message const>(sent), std::span<incoming_message const>(received));
      for (std::size_t i = 0; i < in.size(); ++i) queue_copy(received[i].data, in[i].data);
    }
    device_.note_last(ex_);
  }
  void copy(std::span<std::byte const> from, std::span<std::byte> to) const {
    direct_ ? queue_copy(from, to) : host().copy(from, to);
  }
  void settle() const {
    if (direct_) device_.wait(ex_, call_, link_.options().deadline);
  }
  [[nodiscard]] std::span<std::byte> scratch(std::size_t bytes) {
    return direct_ ? device_.scratch(ex_, bytes) : host().scratch(bytes);
  }
  [[nodiscard]] std::uint64_t checksum(std::span<std::byte const> bytes) const {
    if (!direct_) return host().checksum(bytes);
    return device_checksum(ex_, bytes, device_.word(ex_));
  }
  void sum(std::span<std::byte> vectors, std::size_t stride, std::size_t n, wire_type type, wire_op op,
           std::byte* out) const {
    if (!direct_) return host().sum(vectors, stride, n, type, op, out);
    typed_sum(ex_, {vectors.data(), stride, link_.size(), out, n, type, op});
  }

 private:
  [[nodiscard]] mpi_memory<host_exec> host() const { return {on_host, link_, call_}; }
  static bool is_direct(mpi_options const& options) {
    if (options.device_memory == mpi_device_memory::automatic) return mpi_takes_device_memory();
    return options.device_memory == mpi_device_memory::direct;
  }
  template <class Message> static std::size_t bytes_of(std::span<Message const> messages) {
    std::size_t bytes = 0;
    for (auto const& m : messages) bytes += m.data.size();
    return bytes;
  }
  static mpi_device& device_of(cuda_exec const& ex, mpi_link& link, char const* call) {
    expect_device(ex, call);
    expects(!ex.capturing(), [&] {
      return sentence(call, ": the stream records a graph, in which MPI cannot run; use nccl_communicator there");
    });
    auto& held = link.device();
    if (!held || static_cast<mpi_device*>(held.get())->device() != ex.device()) held = std::make_shared<mpi_device>(ex);
    return *static_cast<mpi_device*>(held.get());
  }
  void expect_buffer(char const* what, std::span<std::byte const> b) const {
    if (b.empty()) return;
    expects(b.data() != nullptr, [&] { return sentence(call_, ": ", what, " is null and should hold ", b.size()); });
    expect_device_memory(ex_, b.data(), call_, what);
  }
  void queue_copy(std::span<std::byte const> from, std::span<std::byte> to) const {
    if (from.empty() || from.data() == to.data()) return;
    check_cuda(cudaMemcpyAsync(to.data(), from.data(), from.size(), cudaMemcpyDefault, ex_.stream()),
               "cudaMemcpyAsync");
  }

  static constexpr host_exec on_host{};
  cuda_exec const& ex_;
  mpi_link& link_;
  char const* call_;
  mpi_device& device_;
  bool direct_;
};

}  // namespace detail
CCOMP_END
