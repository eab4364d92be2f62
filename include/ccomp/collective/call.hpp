#pragma once
/// The description of one call of a collective, for any engine; how ranks compare it; and the slots that they send to
/// each other, each with a header that tells which call it belongs to.

#include <ccomp/core/chain.hpp>
#include <ccomp/core/checksum.hpp>

#include <algorithm>
#include <optional>

CCOMP_BEGIN
namespace detail {

struct collective_call {
  char const* name;
  program stages;
  std::span<tensor_job> jobs;
  bool mean = true;
  std::optional<float> weight{};          // of this rank
  bool keeps_input = false;               // the jobs' values are the caller's and only read
  std::span<std::size_t const> counts{};  // set: what ranks compare instead of the size of their own tensor
  step at{};
  bool feedback = false;              // the jobs have residuals,
  residual_keeper* keeper = nullptr;  //   and this is told of their change; null: they do not
};

/// What must be the same on every rank: as one number, and as text for the error message.
struct call_identity {
  collective_call const* call;
  std::string_view strategy;
  int ranks;
  int root = -1;
  std::string_view setting{};  // of the strategy, where it has one that ranks must share
  bool with_step = true;
  bool checksums = false;

  [[nodiscard]] std::uint64_t number() const {
    constexpr std::uint64_t wire_version = 2;
    std::uint64_t h = hash64(hash_bytes(call->name, hash_bytes(strategy)), wire_version);
    h = hash64(hash64(h, detail::fingerprint(call->stages)), with_step ? call->at : step{});
    h = hash64(hash64(h, static_cast<std::uint64_t>(ranks)), static_cast<std::uint64_t>(root + 1));
    unsigned const flags = (call->mean ? 1u : 0u) + (call->weight ? 2u : 0u) + (checksums ? 4u : 0u);
    return tensors(hash_bytes(setting, hash64(h, flags)));
  }
  /// Short parts come first, because a communicator may cut the text. A number stands for tensors that are not shown.
  static std::string describe(void const* self);

 private:
  [[nodiscard]] std::uint64_t tensors(std::uint64_t h) const {
    for (std::size_t const n : call->counts) h = hash64(h, n);
    for (auto const& j : call->jobs) {
      std::size_t const n = call->counts.empty() ? j.data.n : call->counts.size();
      h = hash64(hash64(hash64(h, n), static_cast<std::uint64_t>(j.data.type)), j.id);
    }
    return h;
  }
  [[nodiscard]] std::string size_text(tensor_job const& j) const {
    if (call->counts.empty()) return sentence(j.data.n);
    std::string t = sentence(call->counts[0]);
    for (std::size_t const n : call->counts.subspan(1)) t += sentence(" + ", n);
    return t;
  }
};

/// What the two ranks of a send and a receive both know. The step is in the header besides.
inline std::uint64_t number_between(collective_call const& call, int ranks, int from, int to, bool checksums) {
  collective_call both = call;
  both.name = "send";
  std::string const ends = sentence(from, " to ", to);
  return call_identity{&both, "transfer", ranks, -1, ends, false, checksums}.number();
}

#if CCOMP_DEFINITIONS
[[gnu::cold]] CCOMP_FUNCTION std::string call_identity::describe(void const* self) {
  auto const& me = *static_cast<call_identity const*>(self);
  auto const& jobs = me.call->jobs;
  std::string t = sentence(me.call->name, "(", me.call->mean ? "mean" : "sum", ", ", me.strategy);
  if (!me.setting.empty()) t += sentence(" ", me.setting);
  if (me.call->weight) t += ", weighted";
  if (me.checksums) t += ", with checksums";
  if (me.root >= 0) t += sentence(", root ", me.root);
  if (me.with_step) t += sentence(", step ", me.call->at.number);
  constexpr std::size_t most_shown = 4;
  if (jobs.size() > most_shown)
    t += sentence(", ", jobs.size(), " tensors with the checksum ", me.tensors(0) % 1000000);
  for (auto const& s : me.call->stages)
    if (auto const more = checksums_text(*s.facts->description, s.stage); !more.empty()) t += sentence(", ", more);
  t += sentence(", ", detail::text(me.call->stages));
  for (std::size_t i = 0; i < std::min(jobs.size(), most_shown); ++i)
    t += sentence(", n = ", me.size_text(jobs[i]), " ", element_name(jobs[i].data.type), " id ", jobs[i].id);
  return t + (jobs.size() > most_shown ? ", ...)" : ")");
}
#endif

/// What a slot begins with. `checksum`: 0, or the sum (core/checksum.hpp) of the slot without its last two fields.
struct slot_header {
  std::uint64_t fingerprint, sequence, checksum, taken;  // taken: 0, and the receiver's

  /// What header and length contribute to the checksum of a slot of so many bytes; its payloads contribute the words from
  /// `words` on.
  [[nodiscard]] CCOMP_HD std::uint64_t own_sum(std::uint64_t bytes) const {
    return mix64(bytes + 1) + checksum_term(fingerprint, 0) + checksum_term(sequence, 1);
  }
  static constexpr std::size_t words = 4;
};
static_assert(sizeof(slot_header) == 8 * slot_header::words);

}  // namespace detail

/// Slots of equal size, one after another, or the same part of each slot.
struct slot_row {
  std::byte* data = nullptr;
  std::size_t stride = 0, count = 1;
  std::size_t bytes = 0;  // of a slot; 0: those of the stride

  [[nodiscard]] std::size_t size() const { return bytes > 0 ? bytes : stride; }
  [[nodiscard]] std::byte* of(std::size_t i) const { return data + i * stride; }
  [[nodiscard]] slot_row part(std::size_t offset) const { return {data + offset, stride, count}; }
};

/// How a tensor is cut: `count` chunks of `size` values, of which the last ones may be short or empty. Random bits are
/// drawn for whole groups, so a chunk counts its values from `first_stride` times its number, and from `start`. A slice has a
/// piece of every chunk: at most `piece` values from `offset` on.
struct tensor_cut {
  std::size_t n, size, count;
  std::uint64_t first_stride;
  std::size_t offset = 0, piece = static_cast<std::size_t>(-1);
  std::uint64_t start = 0;

  /// The values that the cut has of a whole chunk.
  [[nodiscard]] std::size_t most() const { return std::min(piece, size - offset); }
  [[nodiscard]] std::size_t first(std::size_t i) const { return std::min(n, i * size + offset); }
  [[nodiscard]] std::size_t length(std::size_t i) const { return std::min(n, i * size + offset + most()) - first(i); }
  [[nodiscard]] std::uint64_t counted_from(std::size_t i) const { return start + i * first_stride + offset; }
};

namespace detail {

/// Chunks for W ranks: of equal size, in whole granules.
inline tensor_cut chunks_for(program p, std::size_t n, std::size_t ranks) {
  std::size_t const size = round_up(ceil_div(n, ranks), granule(p));
  return {n, size, ranks, size};
}

}  // namespace detail
CCOMP_END
