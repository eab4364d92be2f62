#pragma once
/// The description of one call of a collective, for any engine; how ranks compare it; and the slots that they send to
/// each other, each with a header that tells which call it belongs to.

#include <ccomp/core/chain.hpp>

#include <algorithm>

CCOMP_BEGIN
namespace detail {

struct collective_call {
  char const* name;
  program stages;
  std::span<tensor_job const> jobs;
  bool mean = true;
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

  [[nodiscard]] std::uint64_t number() const {
    std::uint64_t h = hash_bytes(call->name, hash_bytes(strategy));
    h = hash64(hash64(h, detail::fingerprint(call->stages)), with_step ? call->at : step{});
    h = hash64(hash64(h, static_cast<std::uint64_t>(ranks)), static_cast<std::uint64_t>(root + 1));
    return tensors(hash_bytes(setting, hash64(h, call->mean ? 1u : 0u)));
  }
  /// Short parts come first, because a communicator may cut the text. A number stands for tensors that are not shown.
  static std::string describe(void const* self);

 private:
  [[nodiscard]] std::uint64_t tensors(std::uint64_t h) const {
    for (auto const& j : call->jobs)
      h = hash64(hash64(hash64(h, j.data.n), static_cast<std::uint64_t>(j.data.type)), j.id);
    return h;
  }
};

#if CCOMP_DEFINITIONS
[[gnu::cold]] CCOMP_FUNCTION std::string call_identity::describe(void const* self) {
  auto const& me = *static_cast<call_identity const*>(self);
  auto const& jobs = me.call->jobs;
  std::string t = sentence(me.call->name, "(", me.call->mean ? "mean" : "sum", ", ", me.strategy);
  if (!me.setting.empty()) t += sentence(" ", me.setting);
  if (me.root >= 0) t += sentence(", root ", me.root);
  if (me.with_step) t += sentence(", step ", me.call->at.number);
  constexpr std::size_t most_shown = 4;
  if (jobs.size() > most_shown)
    t += sentence(", ", jobs.size(), " tensors with the checksum ", me.tensors(0) % 1000000);
  for (auto const& s : me.call->stages)
    if (auto const more = checksums_text(*s.facts->description, s.stage); !more.empty()) t += sentence(", ", more);
  t += sentence(", ", detail::text(me.call->stages));
  for (std::size_t i = 0; i < std::min(jobs.size(), most_shown); ++i)
    t += sentence(", n = ", jobs[i].data.n, " ", element_name(jobs[i].data.type), " id ", jobs[i].id);
  return t + (jobs.size() > most_shown ? ", ...)" : ")");
}
#endif

}  // namespace detail

namespace detail {

struct slot_header {
  std::uint64_t fingerprint, sequence;
};
static_assert(sizeof(slot_header) == 16);

}  // namespace detail

/// Slots of equal size, one after another, or the same part of each slot.
struct slot_row {
  std::byte* data = nullptr;
  std::size_t stride = 0, count = 1;

  [[nodiscard]] std::byte* of(std::size_t i) const { return data + i * stride; }
  [[nodiscard]] slot_row part(std::size_t offset) const { return {data + offset, stride, count}; }
};

/// How a tensor is cut: `count` chunks of `size` values, of which the last ones may be short or empty. Random bits are
/// drawn for whole groups, so a chunk counts its values from `first_stride` times its number.
struct tensor_cut {
  std::size_t n, size, count;
  std::uint64_t first_stride;

  [[nodiscard]] std::size_t first(std::size_t i) const { return std::min(n, i * size); }
  [[nodiscard]] std::size_t length(std::size_t i) const { return first(i + 1) - first(i); }
};

namespace detail {

/// Chunks for W ranks: of equal size, in whole granules.
inline tensor_cut chunks_for(program p, std::size_t n, std::size_t ranks) {
  std::size_t const size = round_up(ceil_div(n, ranks), granule(p));
  return {n, size, ranks, size};
}

}  // namespace detail
CCOMP_END
