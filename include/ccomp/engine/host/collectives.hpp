#pragma once
/// The host engine in collectives: passes at once, headers judged as they come.

#include <ccomp/collective/slots.hpp>
#include <ccomp/collective/strategy.hpp>
#include <ccomp/comm/communicator.hpp>
#include <ccomp/exec/reach.hpp>
#include <vector>

CCOMP_BEGIN
namespace detail {

class host_engine {
 public:
  using exec = host_exec;
  static constexpr bool may_fly = true, must_fly = false, may_have_rounds = true, must_have_rounds = false;

  host_engine(host_exec const& ex, communicator_ref const& comm, collective_call const& call, char const* name)
      : ex_(ex), comm_(comm), call_(call), name_(name) {
    for (auto const& j : call.jobs) {
      expect_host_memory(j.data.data, name, "the tensor");
      expect_host_memory(j.residual.data, name, "the residual");
    }
  }

  [[nodiscard]] std::size_t rank() const { return static_cast<std::size_t>(comm_.rank()); }
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(comm_.size()); }

  void begin(call_identity const& identity) {
    header_ = {identity.number(), call_.at.number};
    comm_.agree(header_.fingerprint, &identity, &call_identity::describe);
    mark_in_use(call_);
  }
  /// `begin` compares the steps, too.
  [[nodiscard]] static std::size_t step_bytes() { return 0; }
  void compare_steps(std::span<std::byte>) const {}
  /// From now on float16 carriers hold x * 2^log2; those that `reduce` reads still hold x.
  void prescale(int log2) { prescale_log2_ = log2; }

  void expect_output(values const& out) const { expect_host_memory(out.data, name_, "the output"); }
  void write_headers(slot_row const& slots) const {
    for (std::size_t i = 0; i < slots.count; ++i) std::memcpy(slots.of(i), &header_, sizeof header_);
  }
  /// Slot i comes from rank first_rank + i.
  void check_headers(slot_row const& slots, std::size_t first_rank = 0) const {
    for (std::size_t i = 0; i < slots.count; ++i) {
      slot_header h;
      std::memcpy(&h, slots.of(i), sizeof h);
      expects<rank_mismatch>(h.fingerprint == header_.fingerprint && h.sequence == header_.sequence, [&] {
        return std::string(name_) + ": rank " + std::to_string(first_rank + i) +
               " sent bytes of another call (fingerprint " + std::to_string(h.fingerprint) + ", step " +
               std::to_string(h.sequence) + "; here " + std::to_string(header_.fingerprint) + ", step " +
               std::to_string(header_.sequence) + ")";
      });
    }
  }

  /// Piece i into slot i; returns the bytes used.
  std::size_t encode(tensor_job const& j, pieces const& cut, slot_row const& to, scratch const& spare) {
    std::size_t const room = capacity(call_.stages, cut.size, j.data.type);
    std::size_t used = 0;
    for (std::size_t i = 0; i < cut.count; ++i) {
      std::size_t const bytes =
          detail::encode(call_.stages, context(j, i * cut.first_stride),
                         detail::part(const_values(j.data), cut.first(i), cut.length(i)), j.data.type,
                         detail::part(j.residual, cut.first(i)), {to.of(i), room}, spare);
      overflowed_ += overflow(call_.stages, to.of(i), bytes, cut.length(i), j.data.type);
      used += bytes;
    }
    return used;
  }
  /// Slot i, a payload of `coded`, into piece i of `out`; `room`: bytes of each payload.
  void decode(tensor_job const& j, program coded, values const& out, pieces const& cut, slot_row const& from,
              std::size_t room, scratch const& spare) const {
    for (std::size_t i = 0; i < cut.count; ++i) {
      std::byte const* const one[] = {from.of(i)};
      sum_decoded(coded, context(j, i * cut.first_stride), one, room, j.data.type,
                  detail::part(out, cut.first(i), cut.length(i)), divisor(), spare);
    }
  }
  /// All slots, in their order, into `out`; `first`: where its random bits begin.
  void sum(tensor_job const& j, values const& out, std::uint64_t first, slot_row const& from, std::size_t room,
           scratch const& spare) {
    sum_decoded(call_.stages, context(j, first), sources(from), room, j.data.type, out, divisor(), spare);
  }
  /// The owner's half of two_shot: sums all slots, encodes the sum of its piece by `sums`; what that leaves out joins
  /// its residual.
  void reduce(tensor_job const& j, program sums, pieces const& cut, std::size_t piece, slot_row const& from,
              std::size_t room, slot_row const& to, scratch const& spare) {
    pass_context encode_at = context(j, piece * cut.first_stride), decode_at = encode_at;
    decode_at.prescale_log2 = 0;
    encode_at.phase = 1;
    std::size_t const n = cut.length(piece);
    std::size_t const used = reduce_and_encode(call_.stages, sums, decode_at, encode_at, sources(from), room, n,
                                               j.data.type, detail::part(j.residual, cut.first(piece)),
                                               {to.data, capacity(sums, cut.size, j.data.type)}, spare);
    overflowed_ += overflow(sums, to.data, used, n, j.data.type);
  }

  [[nodiscard]] std::size_t encode_scratch(tensor_job const&, pieces const& cut) const {
    return scratch_bytes(call_.stages, cut.size);
  }
  [[nodiscard]] std::size_t decode_scratch(tensor_job const&, program coded, pieces const& cut) const {
    return scratch_bytes(coded, cut.size);
  }
  [[nodiscard]] std::size_t sum_scratch(tensor_job const&, std::size_t n, std::size_t) const {
    return scratch_bytes(call_.stages, n);
  }
  [[nodiscard]] std::size_t reduce_scratch(tensor_job const&, program sums, std::size_t n, std::size_t) const {
    return reduce_scratch_bytes(call_.stages, sums, n);
  }
  /// Values that found no room in the payloads that this rank has encoded.
  [[nodiscard]] std::size_t overflowed() const { return overflowed_; }

  void all_gather(std::span<std::byte const> send, std::span<std::byte> receive) {
    comm_.all_gather(ex_, send, receive);
  }
  void all_to_all(std::span<std::byte const> send, std::span<std::byte> receive) {
    comm_.all_to_all(ex_, send, receive);
  }
  void all_reduce(void* data, std::size_t n, wire_type type, wire_op op) { comm_.all_reduce(ex_, data, n, type, op); }
  void broadcast(std::span<std::byte> data, int root) { comm_.broadcast(ex_, data, root); }

  /// allreduce by a stage that brings its own rounds.
  collective_report rounds(collective_call const& call, call_identity const& who, workspace<host_exec>& ws) {
    auto const& ops = *call.stages.back().ops->protocol;
    auto const* const stage = call.stages.back().stage;
    std::size_t most = 0, sent = 0, payload = 0;
    for (auto const& j : call.jobs)
      most = std::max(most, ops.scratch_bytes(stage, {j.data.n, comm_.size(), call.stages.size() > 1}));
    auto const memory = ws.reserve(most, who.name);
    begin(who);
    for (auto const& j : call.jobs) {
      reduce_call const one{.in = j.data,
                            .out = j.data,
                            .transforms = call.stages.first(call.stages.size() - 1),
                            .residual = j.residual.data,
                            .residual_type = j.residual.type,
                            .decay = j.residual.decay,
                            .state = j.state,
                            .mean = call.mean,
                            .memory = memory,
                            .at = {call.at, j.id, static_cast<std::uint32_t>(comm_.rank())}};
      sent += ops.reduce(stage, ex_, comm_, one);
      payload += capacity(call.stages, j.data.n, j.data.type);
    }
    return {"rounds", sent, payload, ws.size()};
  }

 private:
  [[nodiscard]] float divisor() const { return call_.mean ? static_cast<float>(comm_.size()) : 1.0f; }
  [[nodiscard]] pass_context context(tensor_job const& j, std::uint64_t first) const {
    pass_context c(ex_, {call_.at, j.id, static_cast<std::uint32_t>(comm_.rank())});
    c.first = first;
    c.prescale_log2 = prescale_log2_;
    return c;
  }
  std::span<std::byte const* const> sources(slot_row const& from) {
    sources_.clear();
    for (std::size_t i = 0; i < from.count; ++i) sources_.push_back(from.of(i));
    return sources_;
  }

  host_exec const& ex_;
  communicator_ref comm_;
  collective_call const& call_;
  char const* name_;
  slot_header header_{};
  int prescale_log2_ = 0;
  std::size_t overflowed_ = 0;
  std::vector<std::byte const*> sources_;
};

/// The engine that serves an exec; another exec brings its own.
template <class Exec> struct collective_engine;
template <> struct collective_engine<host_exec> {
  template <bool Feedback, class C, class Comm>
  static host_engine make(host_exec const& ex, Comm& comm, C const&, collective_call const& call, char const* name,
                          workspace<host_exec>&) {
    return host_engine(ex, communicator_ref(comm), call, name);
  }
};
template <class Exec>
concept has_collectives = requires {
  sizeof(collective_engine<Exec>);
};

}  // namespace detail
CCOMP_END
