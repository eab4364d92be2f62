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

  [[nodiscard]] std::uint64_t number() const {
    std::uint64_t h = hash_bytes(name, hash_bytes(strategy));
    h = hash64(hash64(h, detail::fingerprint(call->stages)), call->at);
    h = hash64(hash64(h, static_cast<std::uint64_t>(ranks)), static_cast<std::uint64_t>(root + 1));
    h = hash64(h, call->mean ? 1 : 0);
    for (auto const& j : call->jobs)
      h = hash64(hash64(hash64(h, j.data.n), static_cast<std::uint64_t>(j.data.type)), j.id);
    return h;
  }
  static std::string describe(void const* self) {
    auto const& me = *static_cast<call_identity const*>(self);
    std::string t = std::string(me.name) + '(' + detail::text(me.call->stages);
    std::size_t shown = 0;
    for (auto const& j : me.call->jobs) {
      if (++shown > 4) {
        t += ", ... " + std::to_string(me.call->jobs.size()) + " tensors";
        break;
      }
      t += ", n = " + std::to_string(j.data.n) + ' ' + std::string(element_name(j.data.type)) + " id " +
           std::to_string(j.id);
    }
    t += me.call->mean ? ", mean" : ", sum";
    if (me.root >= 0) t += ", root " + std::to_string(me.root);
    return t + ", step " + std::to_string(me.call->at.number) + ", " + std::string(me.strategy) + ')';
  }
};

/// From here on a failure leaves the residuals in doubt.
inline void mark_in_use(collective_call const& call) {
  for (auto const& j : call.jobs)
    if (j.valid) *j.valid = false;
}

}  // namespace detail
CCOMP_END
