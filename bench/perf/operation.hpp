#pragma once

#include <ccomp/collective/all_to_all.hpp>
#include <ccomp/collective/allgather.hpp>
#include <ccomp/collective/allreduce.hpp>
#include <ccomp/collective/broadcast.hpp>
#include <ccomp/collective/reduce_scatter.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace perf {

enum class strategy { automatic, gather, two_shot, ring, in_flight };

// What is measured: a call's arguments.
template <class Exec, class Comm, class T> struct call {
  Exec const& ex;
  Comm& comm;
  ccomp::workspace<Exec>& ws;
  std::span<T> input, output;  // one span where the operation works in place
  ccomp::reduction op = ccomp::reduction::sum;
  int root = 0;
  strategy how = strategy::automatic;
  std::uint64_t step = 0;

  std::span<std::byte const> send() const { return std::as_bytes(input); }
  std::span<std::byte> receive() const { return std::as_writable_bytes(output); }
};

// Where an output's value comes from: a place of one rank's input, or of all (rank -1), which are summed.
struct origin {
  int rank;
  std::size_t place;
};

// `count`: the values that a call is given per rank, in nccl-tests' sense. Sizes are those of the longer buffer.
struct operation_facts {
  std::string_view name;
  bool gives_all = true;  // the input has count values of each rank; otherwise count
  bool gets_all = true;   // the same of the output
  bool cut = false;       // the buffer that has values of each rank is count times the ranks long
  bool in_place = true;
  bool reduces = true;
  bool rooted = false;
  bool same_output = true;  // on all ranks
  bool strategies = false;  // the operation takes one
};

struct allreduce {
  static constexpr operation_facts facts{.name = "allreduce", .strategies = true};
  static double bus_factor(double ranks) { return 2 * (ranks - 1) / ranks; }
  static origin from(std::size_t i, std::size_t, int, int) { return {-1, i}; }

  template <class Call, class C> static ccomp::collective_report compressed(Call const& c, C&& compressor) {
    std::array<ccomp::tensor_view, 1> const tensors{ccomp::tensor_view(c.output, 0)};
    auto const by = [&](auto how) {
      return ccomp::allreduce(c.ex, c.comm, compressor, tensors, c.ws, {.op = c.op, .at = ccomp::step(c.step)}, how);
    };
    switch (c.how) {
      case strategy::gather:
        return by(ccomp::gather{});
      case strategy::two_shot:
        return by(ccomp::two_shot{});
      case strategy::ring:
        return by(ccomp::ring{});
      case strategy::in_flight:
        return by(ccomp::in_flight{});
      default:
        return by(ccomp::automatic{});
    }
  }
  template <class Call> static bool has_primitive(Call const& c) { return c.op == ccomp::reduction::sum; }
  template <class Call> static ccomp::collective_report primitive(Call const& c) {
    using T = typename decltype(c.output)::element_type;
    c.comm.all_reduce(c.ex, c.output.data(), c.output.size(), ccomp::wire_type_of(ccomp::element_type_of<T>),
                      ccomp::wire_op::sum);
    return {"all_reduce", ccomp::detail::all_reduce_bytes(c.output.size_bytes(), c.comm.size()), c.output.size_bytes()};
  }
};

struct allgather {
  static constexpr operation_facts facts{
      .name = "allgather", .gives_all = false, .cut = true, .in_place = false, .reduces = false};
  static double bus_factor(double ranks) { return (ranks - 1) / ranks; }
  static origin from(std::size_t i, std::size_t count, int, int) { return {static_cast<int>(i / count), i % count}; }

  template <class Call, class C> static ccomp::collective_report compressed(Call const& c, C&& compressor) {
    return ccomp::allgather(c.ex, c.comm, compressor, c.input, c.output, c.ws, {.at = ccomp::step(c.step)});
  }
  template <class Call> static bool has_primitive(Call const&) { return true; }
  template <class Call> static ccomp::collective_report primitive(Call const& c) {
    c.comm.all_gather(c.ex, c.send(), c.receive());
    return {"all_gather", c.receive().size() - c.send().size(), c.send().size()};
  }
};

struct reduce_scatter {
  static constexpr operation_facts facts{
      .name = "reduce_scatter", .gets_all = false, .cut = true, .in_place = false, .same_output = false};
  static double bus_factor(double ranks) { return (ranks - 1) / ranks; }
  static origin from(std::size_t i, std::size_t count, int me, int) {
    return {-1, static_cast<std::size_t>(me) * count + i};
  }

  template <class Call, class C> static ccomp::collective_report compressed(Call const& c, C&& compressor) {
    return ccomp::reduce_scatter(c.ex, c.comm, compressor, c.input, c.output, c.ws,
                                 {.op = c.op, .at = ccomp::step(c.step)});
  }
  template <class Call> static bool has_primitive(Call const&) { return false; }
  template <class Call> static ccomp::collective_report primitive(Call const&) { return {}; }
};

struct broadcast {
  static constexpr operation_facts facts{.name = "broadcast", .reduces = false, .rooted = true};
  static double bus_factor(double) { return 1; }
  static origin from(std::size_t i, std::size_t, int, int root) { return {root, i}; }

  template <class Call, class C> static ccomp::collective_report compressed(Call const& c, C&& compressor) {
    return ccomp::broadcast(c.ex, c.comm, compressor, c.output, c.root, c.ws, {.at = ccomp::step(c.step)});
  }
  template <class Call> static bool has_primitive(Call const&) { return true; }
  template <class Call> static ccomp::collective_report primitive(Call const& c) {
    c.comm.broadcast(c.ex, c.receive(), c.root);
    bool const sends = c.comm.rank() == c.root;
    return {"broadcast", sends ? static_cast<std::size_t>(c.comm.size() - 1) * c.receive().size() : 0,
            c.receive().size()};
  }
};

struct all_to_all {
  static constexpr operation_facts facts{
      .name = "all_to_all", .cut = true, .in_place = false, .reduces = false, .same_output = false};
  static double bus_factor(double ranks) { return (ranks - 1) / ranks; }
  static origin from(std::size_t i, std::size_t count, int me, int) {
    return {static_cast<int>(i / count), static_cast<std::size_t>(me) * count + i % count};
  }

  template <class Call, class C> static ccomp::collective_report compressed(Call const& c, C&& compressor) {
    return ccomp::all_to_all(c.ex, c.comm, compressor, c.input, c.output, c.ws, {.at = ccomp::step(c.step)});
  }
  template <class Call> static bool has_primitive(Call const&) { return true; }
  template <class Call> static ccomp::collective_report primitive(Call const& c) {
    c.comm.all_to_all(c.ex, c.send(), c.receive());
    auto const ranks = static_cast<std::size_t>(c.comm.size());
    return {"all_to_all", c.send().size() / ranks * (ranks - 1), c.send().size()};
  }
};

// A new operation is a type like these, and its name here. MPI's and NCCL's own: mpi_rank.hpp, cuda/nccl_rank.cuh.
template <class... Operation> struct operation_list {
  // Calls f(Operation{}) of that name; false if there is none.
  template <class F> static bool visit(std::string_view name, F const& f) {
    return ((name == Operation::facts.name && (f(Operation{}), true)) || ...);
  }
  static std::string names() {
    std::string all;
    ((all += (all.empty() ? "" : ", ") + std::string(Operation::facts.name)), ...);
    return all;
  }
};
using operations = operation_list<allreduce, allgather, reduce_scatter, broadcast, all_to_all>;

}
