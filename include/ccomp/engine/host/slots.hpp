#pragma once
/// What ranks send one another: a header that tells which call it belongs to, then one payload a tensor.

#include <ccomp/collective/job.hpp>
#include <ccomp/comm/communicator.hpp>

CCOMP_BEGIN
namespace detail {

struct slot_header {
  std::uint64_t fingerprint, sequence;
};
static_assert(sizeof(slot_header) == 16);

inline void write_header(std::byte* slot, slot_header const& h) { std::memcpy(slot, &h, sizeof h); }
inline void check_header(std::byte const* slot, slot_header const& want, int rank, char const* call) {
  slot_header h;
  std::memcpy(&h, slot, sizeof h);
  expects<rank_mismatch>(h.fingerprint == want.fingerprint && h.sequence == want.sequence, [&] {
    return std::string(call) + ": rank " + std::to_string(rank) + " sent bytes of another call (fingerprint " +
           std::to_string(h.fingerprint) + ", step " + std::to_string(h.sequence) + "; here " +
           std::to_string(want.fingerprint) + ", step " + std::to_string(want.sequence) + ")";
  });
}

/// How a tensor is cut for W ranks: equal chunks of whole granules; the last ones may be short or empty.
struct chunking {
  std::size_t n, chunk;
  chunking(program p, std::size_t size, int ranks)
      : n(size), chunk(round_up(ceil_div(size, static_cast<std::size_t>(ranks)), granule(p))) {}
  [[nodiscard]] std::size_t first(int r) const { return std::min(n, static_cast<std::size_t>(r) * chunk); }
  [[nodiscard]] std::size_t size(int r) const { return first(r + 1) - first(r); }
};

/// What every rank must bring alike, as one number, and as text for when they do not.
struct call_identity {
  char const* name;
  std::string_view strategy;
  collective_call const* call;
  int ranks;
  int root = -1;

  [[nodiscard]] std::uint64_t number() const {
    std::uint64_t h = hash_bytes(name, hash_bytes(strategy));
    h = hash64(hash64(h, detail::fingerprint(call->stages)), call->at.number);
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

inline std::size_t collective_scratch(collective_call const& call, int ranks) {
  std::size_t most = 0;
  for (auto const& j : call.jobs)
    most = std::max({most, scratch_bytes(call.stages, j.data.n),
                     reduce_scratch_bytes(call.stages, chunking(call.stages, j.data.n, ranks).chunk)});
  return most;
}

}  // namespace detail
CCOMP_END
