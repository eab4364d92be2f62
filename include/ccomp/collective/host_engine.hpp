#pragma once
/// The host engine in collectives: passes run at once, and headers are checked when they arrive.

#include <ccomp/collective/engine.hpp>
#include <ccomp/core/communicator.hpp>
#include <ccomp/core/payload.hpp>
#include <ccomp/core/reach.hpp>
#include <ccomp/core/weight.hpp>
#include <ccomp/engine/host/checksum.hpp>
#include <ccomp/engine/host/ops.hpp>
#include <ccomp/engine/host/program_codec.hpp>
#include <ccomp/engine/host/weigh.hpp>

#include <cmath>
#include <vector>

CCOMP_BEGIN
namespace detail {

class host_engine : public communicating_engine<host_exec, communicator_ref> {
 public:
  static constexpr bool may_fly = true, must_fly = false, may_have_rounds = true, must_have_rounds = false,
                        knows_lengths = true;

  host_engine(host_exec const& ex, communicator_ref const& comm, collective_call const& call, workspace<host_exec>& ws)
      : communicating_engine(ex, comm, call, ws) {
    for (auto const& j : call.jobs) {
      expect_host_memory(j.data.data, call.name, "the tensor");
      expect_host_memory(j.residual.data, call.name, "the residual");
    }
  }

  void begin(std::string_view strategy, int root = -1, std::string_view setting = {}) {
    call_identity const identity{&call_, strategy, comm_.size(), root, setting, true, checksums()};
    header_ = {identity.number(), call_.at.number, 0, 0};
    comm_.agree(header_.fingerprint, &identity, &call_identity::describe);
    float const factor = weight_factor();
    prepare_residuals();
    if (call_.weight)
      each_weighted([&](tensor_job const& j, values const& to) { detail::weigh(ex_, j.data, factor, to); });
  }
  void begin_between(int from, int to) {
    header_ = {number_between(call_, comm_.size(), from, to, checksums()), call_.at.number, 0, 0};
    prepare_residuals();
  }
  /// `begin` compares the steps, too.
  [[nodiscard]] static std::size_t step_bytes() { return 0; }
  void compare_steps(std::span<std::byte>) const {}
  /// From now on float16 carriers hold x * 2^log2; those that `reduce` reads still hold x.
  void prescale(int log2) { prescale_log2_ = log2; }

  void expect_output(values const& out) const { expect_host_memory(out.data, call_.name, "the output"); }
  void write_headers(slot_row const& slots) const {
    for (std::size_t i = 0; i < slots.count; ++i) std::memcpy(slots.of(i), &header_, sizeof header_);
  }
  /// Once the payloads are in the slots.
  void seal(slot_row const& slots) const {
    if (!checksums()) return;
    for (std::size_t i = 0; i < slots.count; ++i) {
      slot_header h = header_;
      h.checksum = checksum_of(h, slots.of(i), slots.size());
      std::memcpy(slots.of(i), &h, sizeof h);
    }
  }
  /// Slot i comes from rank first_rank + i.
  void check_headers(slot_row const& slots, std::size_t first_rank = 0) const {
    for (std::size_t i = 0; i < slots.count; ++i) {
      slot_header h;
      std::memcpy(&h, slots.of(i), sizeof h);
      if (checksums()) expect_intact(h, slots, i, first_rank);
      expects<rank_mismatch>(h.fingerprint == header_.fingerprint && h.sequence == header_.sequence, [&] {
        return sentence(call_.name, ": rank ", first_rank + i, " sent bytes of another call (fingerprint ",
                        h.fingerprint, ", step ", h.sequence, "; here ", header_.fingerprint, ", step ",
                        header_.sequence, ")");
      });
    }
  }

  /// Chunk i into slot i; returns the bytes used.
  std::size_t encode(tensor_job const& j, tensor_cut const& cut, slot_row const& to, std::span<std::byte> spare) {
    std::size_t const room = capacity(call_.stages, cut.most(), j.data.type);
    std::size_t used = 0;
    for (std::size_t i = 0; i < cut.count; ++i) {
      std::size_t const bytes =
          detail::encode(call_.stages, context(j, cut.counted_from(i)),
                         detail::part(const_values(j.data), cut.first(i), cut.length(i)), j.data.type,
                         detail::part(j.residual, cut.first(i)), {to.of(i), room}, scratch(spare));
      overflowed_ += overflow(call_.stages, to.of(i), bytes, cut.length(i), j.data.type);
      used += bytes;
    }
    return used;
  }
  /// Slot i, a payload of `coded`, into chunk i of `out`; `room`: bytes of each payload.
  void decode(tensor_job const& j, program coded, values const& out, tensor_cut const& cut, slot_row const& from,
              std::size_t room, std::span<std::byte> spare) const {
    for (std::size_t i = 0; i < cut.count; ++i) {
      std::byte const* const one[] = {from.of(i)};
      sum_decoded(coded, context(j, cut.counted_from(i)), one, room, j.data.type,
                  detail::part(out, cut.first(i), cut.length(i)), divisor(), scratch(spare));
    }
  }
  /// All slots, in their order, into `out`; `first`: where its random bits begin.
  void sum(tensor_job const& j, values const& out, std::uint64_t first, slot_row const& from, std::size_t room,
           std::span<std::byte> spare) {
    sum_decoded(call_.stages, context(j, first), sources(from), room, j.data.type, out, divisor(), scratch(spare));
  }
  /// The owner's half of two_shot: sums all slots and encodes the sum of its chunk by `sums`. What this leaves out is
  /// added to the owner's residual.
  void reduce(tensor_job const& j, program sums, tensor_cut const& cut, std::size_t chunk, slot_row const& from,
              std::size_t room, slot_row const& to, std::span<std::byte> spare) {
    pass_context encode_at = context(j, cut.counted_from(chunk)), decode_at = encode_at;
    decode_at.prescale_log2 = 0;
    encode_at.phase = 1;
    std::size_t const n = cut.length(chunk);
    std::size_t const used = reduce_and_encode(call_.stages, sums, decode_at, encode_at, sources(from), room, n,
                                               j.data.type, detail::part(j.residual, cut.first(chunk)),
                                               {to.data, capacity(sums, cut.most(), j.data.type)}, scratch(spare));
    overflowed_ += overflow(sums, to.data, used, n, j.data.type);
  }

  [[nodiscard]] std::size_t encode_scratch(tensor_job const&, tensor_cut const& cut) const {
    return scratch_bytes(call_.stages, cut.most());
  }
  [[nodiscard]] std::size_t decode_scratch(tensor_job const&, program coded, tensor_cut const& cut) const {
    return scratch_bytes(coded, cut.most());
  }
  [[nodiscard]] std::size_t sum_scratch(tensor_job const&, std::size_t n, std::size_t) const {
    return scratch_bytes(call_.stages, n);
  }
  [[nodiscard]] std::size_t reduce_scratch(tensor_job const&, program sums, std::size_t n, std::size_t) const {
    return reduce_scratch_bytes(call_.stages, sums, n);
  }
  /// Values that had no room in the payloads that this rank has encoded.
  [[nodiscard]] std::size_t overflowed() const { return overflowed_; }

  /// allreduce by a stage that has its own rounds.
  collective_report rounds() {
    auto const& loops = *call_.stages.back().host->rounds;
    auto const* const stage = call_.stages.back().stage;
    auto const transforms = call_.stages.first(call_.stages.size() - 1);
    std::vector<reduce_call> calls;
    for (auto const& j : call_.jobs)
      calls.push_back({.in = j.data,
                       .out = j.data,
                       .transforms = transforms,
                       .residual = j.residual.data,
                       .residual_type = j.residual.type,
                       .decay = j.residual.decay,
                       .state = j.state,
                       .mean = divides(),
                       .at = at(j)});
    auto const sizes = this->sizes();
    auto const memory = reserve(loops.scratch_bytes(stage, {sizes, comm_.size(), !transforms.empty()}));
    begin("rounds", -1, loops.setting(stage, calls));
    return rounds_report(loops.reduce(stage, ex_, comm_, calls, memory));
  }

 private:
  [[nodiscard]] std::uint64_t checksum_of(slot_header const& h, std::byte const* slot, std::size_t bytes) const {
    return h.own_sum(bytes) + checksum_range(ex_, slot, slot_header::words, bytes / 8);
  }
  void expect_intact(slot_header const& h, slot_row const& slots, std::size_t i, std::size_t first_rank) const {
    std::uint64_t const found = checksum_of(h, slots.of(i), slots.size()) + h.taken;
    expects<payload_error>(found == h.checksum, [&] {
      return sentence(call_.name, ": bytes from rank ", first_rank + i,
                      " were changed on their way (their checksum is ", found, ", and ", h.checksum, " was sent)");
    });
  }
  /// What this rank's values count times in the sum.
  [[nodiscard]] float weight_factor() {
    float const mine = call_.weight.value_or(1.0f);
    if (!call_.weight || !call_.mean) return mine;
    std::vector<float> all(ranks());
    comm_.all_gather(ex_, std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
    float const share = weight_share(all.data(), all.size(), rank());
    expects(std::isfinite(share), [&] { return sentence(call_.name, ": the weights of all ranks add up to 0"); });
    return share;
  }
  [[nodiscard]] pass_context context(tensor_job const& j, std::uint64_t first) const {
    pass_context c(ex_, at(j));
    c.first = first;
    c.prescale_log2 = prescale_log2_;
    return c;
  }
  std::span<std::byte const* const> sources(slot_row const& from) {
    sources_.clear();
    for (std::size_t i = 0; i < from.count; ++i) sources_.push_back(from.of(i));
    return sources_;
  }

  slot_header header_{};
  int prescale_log2_ = 0;
  std::size_t overflowed_ = 0;
  std::vector<std::byte const*> sources_;
};

template <> struct engine_for<host_exec> {
  template <class C> static auto stages_of(C const& c) { return host_stages_of(c); }
  template <bool Feedback, bool MaySum, class C, class Comm>
  static host_engine make(host_exec const& ex, Comm& comm, C const&, collective_call const& call,
                          workspace<host_exec>& ws) {
    return host_engine(ex, communicator_ref(comm, std::bool_constant<MaySum>{}), call, ws);
  }
};

}  // namespace detail
CCOMP_END
