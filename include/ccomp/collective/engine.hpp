#pragma once
/// The engine runs the passes and sends the bytes of one call of a collective. Collectives and strategies are written
/// once, for any engine: the host engine works at once, the CUDA engine queues on a stream.

#include <ccomp/collective/call.hpp>
#include <ccomp/core/communicator.hpp>
#include <ccomp/core/workspace.hpp>

#include <vector>

CCOMP_BEGIN

/// What a collective did.
struct collective_report {
  std::string_view strategy;
  std::size_t bytes_sent = 0;       // by this rank, to other ranks
  std::size_t payload_bytes = 0;    // of this rank's own encoding
  std::size_t workspace_bytes = 0;  // held by the workspace afterwards
  std::size_t overflowed = 0;  // values that reached a threshold and found no room in this rank's payloads, counted
                               // on the host; for a cuda_exec `workspace::check()` returns them
  bool feedback = false;       // error feedback took part: this rank's residual was added and has taken up the rest
};

namespace detail {

/// The part that is the same for every exec.
template <class Exec> class engine_base {
 public:
  using exec = Exec;
  static constexpr std::size_t header_bytes = sizeof(slot_header);

  engine_base(collective_call const& call, workspace<Exec>& ws) : call_(call), ws_(ws) {}

  [[nodiscard]] std::span<tensor_job const> jobs() const { return call_.jobs; }
  /// The call's compressor, stage by stage.
  [[nodiscard]] program chain() const { return call_.stages; }
  /// The chain that encodes a sum of so many payloads. Values that were selected once are not selected again.
  [[nodiscard]] sum_program sum_chain(std::size_t payloads) const { return {call_.stages, payloads}; }
  [[nodiscard]] bool feedback() const { return call_.feedback; }

  /// The largest payload of n values of the job, in bytes.
  [[nodiscard]] std::size_t payload_bytes(tensor_job const& j, std::size_t n) const {
    return payload_bytes(j, n, call_.stages);
  }
  [[nodiscard]] std::size_t payload_bytes(tensor_job const& j, std::size_t n, program coded) const {
    return capacity(coded, n, j.data.type);
  }
  [[nodiscard]] static tensor_cut whole(tensor_job const& j) { return {j.data.n, j.data.n, 1, 0}; }
  /// Equal chunks for so many ranks. No block crosses the border of a chunk.
  [[nodiscard]] tensor_cut chunks(tensor_job const& j, std::size_t ranks) const {
    return chunks_for(call_.stages, j.data.n, ranks);
  }

  /// The memory of the call; its old content is lost. Call it before `begin`, because it may fail.
  [[nodiscard]] std::span<std::byte> reserve(std::size_t bytes) const { return ws_.reserve(bytes, call_.name); }
  [[nodiscard]] collective_report report(std::string_view strategy, std::size_t sent, std::size_t payload) const {
    return {strategy, sent, payload, ws_.size()};
  }

  /// Of an allreduce by a stage that brings its own rounds.
  [[nodiscard]] collective_report rounds_report(std::size_t sent) const {
    std::size_t payload = 0;
    for (auto const& j : call_.jobs) payload += payload_bytes(j, j.data.n);
    return report("rounds", sent, payload);
  }
  [[nodiscard]] std::vector<std::size_t> sizes() const {
    std::vector<std::size_t> n;
    for (auto const& j : call_.jobs) n.push_back(j.data.n);
    return n;
  }

 protected:
  void prepare_residuals() const {
    if (call_.keeper) call_.keeper->prepare();
  }

  collective_call const& call_;
  workspace<Exec>& ws_;
};

/// The part that is the communicator's. `Comm`: a communicator_ref, or a reference to a communicator.
template <class Exec, class Comm> class communicating_engine : public engine_base<Exec> {
 public:
  communicating_engine(Exec const& ex, Comm comm, collective_call const& call, workspace<Exec>& ws)
      : engine_base<Exec>(call, ws), ex_(ex), comm_(comm) {}

  [[nodiscard]] std::size_t rank() const { return static_cast<std::size_t>(comm_.rank()); }
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(comm_.size()); }

  [[nodiscard]] std::span<std::byte> reserve(std::size_t bytes) {
    std::size_t const begin = this->call_.weight ? round_up(bytes, apart) : bytes;
    auto const memory = this->ws_.reserve(begin + weights_bytes() + copies_bytes(), this->call_.name);
    weights_ = memory.subspan(begin);
    return memory.first(bytes);
  }

  void all_gather(std::span<std::byte const> send, std::span<std::byte> receive) {
    comm_.all_gather(ex_, send, receive);
  }
  void all_to_all(std::span<std::byte const> send, std::span<std::byte> receive) {
    comm_.all_to_all(ex_, send, receive);
  }
  void all_reduce(void* data, std::size_t n, wire_type type, wire_op op) { comm_.all_reduce(ex_, data, n, type, op); }
  void broadcast(std::span<std::byte> data, int root) { comm_.broadcast(ex_, data, root); }
  void exchange(std::span<std::byte const> send, int to, std::span<std::byte> receive, int from) {
    comm_.exchange(ex_, send, to, receive, from);
  }
  void transfer(std::span<outgoing_message const> out, std::span<incoming_message const> in) {
    comm_.transfer(ex_, out, in);
  }

  exchange_handle start_all_gather(std::span<std::byte const> send, std::span<std::byte> receive, int channel) {
    if constexpr (starts) return comm_.start_all_gather(ex_, send, receive, channel);
    all_gather(send, receive);
    return {};
  }
  exchange_handle start_all_to_all(std::span<std::byte const> send, std::span<std::byte> receive, int channel) {
    if constexpr (starts) return comm_.start_all_to_all(ex_, send, receive, channel);
    all_to_all(send, receive);
    return {};
  }
  exchange_handle start_all_reduce(void* data, std::size_t n, wire_type type, wire_op op, int channel) {
    if constexpr (starts) return comm_.start_all_reduce(ex_, data, n, type, op, channel);
    all_reduce(data, n, type, op);
    return {};
  }
  exchange_handle start_exchange(std::span<std::byte const> send, int to, std::span<std::byte> receive, int from,
                                 int channel) {
    if constexpr (starts) return comm_.start_exchange(ex_, send, to, receive, from, channel);
    exchange(send, to, receive, from);
    return {};
  }
  /// The exec's stream waits for exchanges, and the host does not.
  static constexpr bool queues = requires { requires std::remove_cvref_t<Comm>::queues; };
  [[nodiscard]] bool arrived(exchange_handle h) {
    if constexpr (starts)
      return h.number == 0 || comm_.arrived(h);
    else
      return true;
  }
  void rest() {
    if constexpr (starts) comm_.rest();
  }
  void give_up() {
    if constexpr (starts) comm_.give_up();
  }
  /// Whether slots bear checksums; the same on all ranks.
  [[nodiscard]] bool checksums() const {
    if constexpr (has_checksums<std::remove_cvref_t<Comm>>)
      return comm_.checksums();
    else
      return false;
  }
  /// What a rank sends another of a slice, at most; the same on all ranks.
  [[nodiscard]] std::size_t slice_bytes() const {
    if constexpr (has_slices<std::remove_cvref_t<Comm>, Exec>)
      return comm_.slice_bytes(ex_);
    else
      return static_cast<std::size_t>(-1);
  }

 protected:
  /// A mean with weights is a sum of weighted values.
  [[nodiscard]] bool divides() const { return this->call_.mean && !this->call_.weight; }
  [[nodiscard]] float divisor() const { return divides() ? static_cast<float>(comm_.size()) : 1.0f; }
  /// Who draws random bits for the job in this call.
  [[nodiscard]] pass_options at(tensor_job const& j) const {
    return {this->call_.at, j.id, static_cast<std::uint32_t>(comm_.rank())};
  }

  /// For a call with weights: room for one per rank, and for one more.
  [[nodiscard]] std::span<std::byte> weights_memory() const { return weights_.first((ranks() + 1) * sizeof(float)); }
  /// The jobs go on with values that are weighted: `f(job, where these go)` for each. The caller's own place, unless these
  /// are only read.
  template <class F> void each_weighted(F const& f) {
    std::size_t at = weights_bytes();
    for (auto& j : this->call_.jobs) {
      void* const to = this->call_.keeps_input ? weights_.data() + at : j.data.data;
      f(j, values{to, j.data.type, j.data.n});
      j.data.data = to;
      at += copy_bytes(j);
    }
  }

  static constexpr bool starts = can_start<std::remove_cvref_t<Comm>, Exec>;
  Exec const& ex_;
  Comm comm_;

 private:
  static constexpr std::size_t apart = 256;
  [[nodiscard]] std::size_t weights_bytes() const {
    return this->call_.weight ? round_up((ranks() + 1) * sizeof(float), apart) : 0;
  }
  [[nodiscard]] static std::size_t copy_bytes(tensor_job const& j) {
    return round_up(j.data.n * element_bytes(j.data.type), apart);
  }
  [[nodiscard]] std::size_t copies_bytes() const {
    std::size_t bytes = 0;
    if (this->call_.weight && this->call_.keeps_input)
      for (auto const& j : this->call_.jobs) bytes += copy_bytes(j);
    return bytes;
  }

  std::span<std::byte> weights_{};
};

/// The engine that serves an exec. A header specialises it (host_engine.hpp, device_engine.cuh):
///   template <class C> static auto stages_of(C const&): the chain as the engine wants it;
///   template <bool Feedback, bool MaySum, class C, class Comm>
///   static auto make(Exec const&, Comm&, C const&, collective_call const&, workspace<Exec>&): a collective_engine
template <class Exec> struct engine_for;
template <class Exec>
concept has_engine = requires { sizeof(engine_for<Exec>); };

}  // namespace detail

/// What strategies may call, in addition to engine_base. All memory is memory of the engine's exec.
///
///   rank, ranks
///   begin(strategy, root, setting)   the ranks compare the call; from here on residuals may change, and values are those
///                                    that the rank's weight makes of them
///   write_headers(slots), check_headers(slots, first_rank)   each slot begins with one
///   seal(slots)                                     once their payloads are written: the checksum, where there is one
///   encode(job, cut, slots, spare)                  chunk i into slot i; returns the bytes used, where it knows_lengths
///   decode(job, chain, out, cut, slots, room, spare)   slot i, a payload of `chain`, into chunk i of `out`
///   sum(job, out, first, slots, room, spare)        the sum of all slots into `out`, divided as the call says
///   reduce(job, sums, cut, i, slots, room, to, spare)  the sum of all slots, chunk i, encoded by `sums`; what that leaves
///                                                   out joins this rank's residual
///   encode_scratch, decode_scratch, sum_scratch, reduce_scratch   bytes of `spare` that each takes
///   prescale(log2)                                  float16 carriers that are written from now on hold x 2^log2
///   begin_between(from, to)                         begin, of a call of two ranks: the receiver compares the headers
///   all_gather, all_to_all, all_reduce, broadcast, exchange, transfer   the communicator's
///   start_all_gather, start_all_to_all, start_all_reduce, start_exchange, arrived, rest, give_up   the same, while others are on
///                                                                                         their way (slices.hpp)
///   step_bytes, compare_steps(memory)               for calls that send no headers
///   rounds()                                        allreduce by a stage that has its own
template <class E>
concept collective_engine = std::derived_from<E, detail::engine_base<typename E::exec>> &&
                            requires(E& e, detail::tensor_job const& job, tensor_cut const& cut, detail::program chain,
                                     detail::values const& out, slot_row const& slots, std::span<std::byte const> send,
                                     std::span<std::byte> memory, std::size_t n, std::string_view text) {
                              { e.rank() } -> std::same_as<std::size_t>;
                              { e.ranks() } -> std::same_as<std::size_t>;
                              e.begin(text, int{}, text);
                              e.begin_between(int{}, int{});
                              e.write_headers(slots);
                              e.seal(slots);
                              e.check_headers(slots, n);
                              { e.encode(job, cut, slots, memory) } -> std::same_as<std::size_t>;
                              e.decode(job, chain, out, cut, slots, n, memory);
                              e.sum(job, out, std::uint64_t{}, slots, n, memory);
                              e.reduce(job, chain, cut, n, slots, n, slots, memory);
                              { e.encode_scratch(job, cut) } -> std::same_as<std::size_t>;
                              { e.decode_scratch(job, chain, cut) } -> std::same_as<std::size_t>;
                              { e.sum_scratch(job, n, n) } -> std::same_as<std::size_t>;
                              { e.reduce_scratch(job, chain, n, n) } -> std::same_as<std::size_t>;
                              e.prescale(int{});
                              { e.step_bytes() } -> std::same_as<std::size_t>;
                              e.compare_steps(memory);
                              { e.overflowed() } -> std::same_as<std::size_t>;
                              e.expect_output(out);
                              { E::may_fly } -> std::convertible_to<bool>;
                              { E::must_fly } -> std::convertible_to<bool>;
                              { E::may_have_rounds } -> std::convertible_to<bool>;
                              { E::must_have_rounds } -> std::convertible_to<bool>;
                              { E::knows_lengths } -> std::convertible_to<bool>;
                            };

/// A strategy of allreduce is a type. A value of it is the last argument of allreduce, and its members are its
/// settings. It has (gather.hpp is the shortest one):
///   `static constexpr std::string_view name`
///   `run(Engine& e) const`, a template over the engine of the call. It reserves memory, calls `e.begin(name)`, then
///   encodes, exchanges and decodes. Every rank runs the same body; branches depend only on what all ranks know
///   `fits<Exec, Comm, C>()`, optional, static consteval: returns true, or fails a static_assert with one sentence about
///   the primitives that the communicator needs and the compressors that fit
template <class S>
concept strategy = requires {
  { S::name } -> std::convertible_to<std::string_view>;
};

CCOMP_END
