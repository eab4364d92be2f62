#pragma once
/// What ranks send one another: slots, each with a header that tells which call it belongs to, then one payload a
/// tensor.

#include <ccomp/collective/job.hpp>

CCOMP_BEGIN
namespace detail {

struct slot_header {
  std::uint64_t fingerprint, sequence;
};
static_assert(sizeof(slot_header) == 16);

/// Equal slots one after another, or the same part of each.
struct slot_row {
  std::byte* data = nullptr;
  std::size_t stride = 0, count = 1;

  [[nodiscard]] std::byte* of(std::size_t i) const { return data + i * stride; }
  [[nodiscard]] slot_row part(std::size_t offset) const { return {data + offset, stride, count}; }
};

/// How a tensor is cut: `count` pieces of `size` values, of which the last ones may be short or empty. Random bits are
/// drawn for whole groups, so a piece counts its values from `first_stride` times its number.
struct pieces {
  std::size_t n, size, count;
  std::uint64_t first_stride;

  [[nodiscard]] std::size_t first(std::size_t i) const { return std::min(n, i * size); }
  [[nodiscard]] std::size_t length(std::size_t i) const { return first(i + 1) - first(i); }
};
inline pieces whole(std::size_t n) { return {n, n, 1, 0}; }
/// For W ranks: equal chunks of whole granules.
inline pieces chunks_for(program p, std::size_t n, std::size_t ranks) {
  std::size_t const size = round_up(ceil_div(n, ranks), granule(p));
  return {n, size, ranks, size};
}

/// What every rank must bring alike, as one number, and as text for when they do not.
struct call_identity {
  char const* name;
  std::string_view strategy;
  collective_call const* call;
  int ranks;
  int root = -1;
  bool with_step = true;

  [[nodiscard]] std::uint64_t number() const {
    std::uint64_t h = hash_bytes(name, hash_bytes(strategy));
    h = hash64(hash64(h, detail::fingerprint(call->stages)), with_step ? call->at : step{});
    h = hash64(hash64(h, static_cast<std::uint64_t>(ranks)), static_cast<std::uint64_t>(root + 1));
    return tensors(*this, hash64(h, (call->mean ? 1u : 0u) + (call->reselect ? 2u : 0u)));
  }
  /// What is short comes first, since a communicator may cut the text; a number stands for tensors that are not shown.
  static std::string describe(void const* self) {
    auto const& me = *static_cast<call_identity const*>(self);
    auto const& jobs = me.call->jobs;
    std::string t = std::string(me.name) + '(' + (me.call->mean ? "mean" : "sum") + ", " + std::string(me.strategy);
    if (me.call->reselect) t += " with reselection";
    if (me.root >= 0) t += ", root " + std::to_string(me.root);
    if (me.with_step) t += ", step " + std::to_string(me.call->at.number);
    constexpr std::size_t most_shown = 4;
    if (jobs.size() > most_shown)
      t +=
          ", " + std::to_string(jobs.size()) + " tensors with the checksum " + std::to_string(tensors(me, 0) % 1000000);
    t += ", " + detail::text(me.call->stages);
    for (std::size_t i = 0; i < std::min(jobs.size(), most_shown); ++i)
      t += ", n = " + std::to_string(jobs[i].data.n) + ' ' + std::string(element_name(jobs[i].data.type)) + " id " +
           std::to_string(jobs[i].id);
    return t + (jobs.size() > most_shown ? ", ...)" : ")");
  }

 private:
  static std::uint64_t tensors(call_identity const& me, std::uint64_t h) {
    for (auto const& j : me.call->jobs)
      h = hash64(hash64(hash64(h, j.data.n), static_cast<std::uint64_t>(j.data.type)), j.id);
    return h;
  }
};

/// From here on a failure leaves the residuals in doubt.
inline void mark_in_use(collective_call const& call) {
  for (auto const& j : call.jobs)
    if (j.about_to_change) j.about_to_change(j.keeper);
  for (auto const& j : call.jobs)
    if (j.valid) *j.valid = false;
}

}  // namespace detail
CCOMP_END
