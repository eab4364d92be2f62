#pragma once
/// Slices of a call: parts of its tensors that are encoded, sent and decoded by themselves, so that one slice is coded
/// while others travel.

#include <ccomp/collective/engine.hpp>

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

CCOMP_BEGIN

/// What a slice holds of a tensor.
struct slice_part {
  detail::tensor_job const* job;
  tensor_cut cut;
};
using call_slice = std::vector<slice_part>;

namespace detail {

/// Whether a stage codes the tensor as a whole, as one matrix, say: chunks of it would be other matrices.
inline bool stays_whole(program p) {
  return std::ranges::any_of(p, [](stage_ref const& s) { return s.facts->whole; });
}
/// Whether pieces of a tensor, cut between blocks, are coded as they are within the tensor.
inline bool may_slice(program p) {
  return std::ranges::none_of(p, [](stage_ref const& s) { return s.facts->vector || s.facts->whole; });
}
/// a b, or the largest number there is.
inline std::size_t times(std::size_t a, std::size_t b) {
  std::size_t const most = static_cast<std::size_t>(-1);
  return a > most / b ? most : a * b;
}
/// How many slices are on their way at a time.
inline std::size_t lanes_for(std::size_t slices) { return std::min<std::size_t>(slices, 4); }
/// The values of each of the equal pieces of n values, in whole granules, whose payloads have at most `most` bytes.
template <class Engine> std::size_t piece_of(Engine const& e, tensor_job const& j, std::size_t n, std::size_t most) {
  std::size_t const pieces = ceil_div(e.payload_bytes(j, n), most), granule = detail::granule(e.chain());
  if (pieces <= 1) return n;
  std::size_t const piece = round_up(ceil_div(n, pieces), granule);
  return piece > granule && e.payload_bytes(j, piece) > most ? piece - granule : piece;
}
/// `f` of the part that takes most.
template <class F> std::size_t most_of(std::vector<call_slice> const& slices, F const& f) {
  std::size_t most = 0;
  for (auto const& slice : slices)
    for (auto const& part : slice) most = std::max<std::size_t>(most, f(part));
  return most;
}
/// A slot: a header and a payload of each part, `bytes(part)`.
template <class Engine, class F> std::size_t slot_of(Engine const&, call_slice const& slice, F const& bytes) {
  std::size_t all = Engine::header_bytes;
  for (auto const& part : slice) all += bytes(part);
  return all;
}
template <class Engine, class F>
std::size_t longest_slot(Engine const& e, std::vector<call_slice> const& slices, F const& bytes) {
  std::size_t most = 0;
  for (auto const& slice : slices) most = std::max(most, slot_of(e, slice, bytes));
  return most;
}

}  // namespace detail

/// The call's tensors in slices, whose payloads of one chunk have at most about `most` bytes. `cut_of(job)`: how the strategy
/// cuts a tensor; a slice has a piece of each chunk. Results do not depend on it, because pieces consist of whole blocks.
/// Tensors that cannot be cut that way go as a whole, small ones together.
template <class Engine, class CutOf>
std::vector<call_slice> slices_of(Engine const& e, std::size_t most, CutOf const& cut_of) {
  std::vector<call_slice> slices(1);
  std::size_t room = most;
  for (auto const& j : e.jobs()) {
    tensor_cut part = cut_of(j);
    part.piece = detail::may_slice(e.chain()) ? detail::piece_of(e, j, part.size, most) : part.size;
    do {
      std::size_t const bytes = e.payload_bytes(j, part.most());
      if (bytes > room && !slices.back().empty()) {
        slices.emplace_back();
        room = most;
      }
      slices.back().push_back({&j, part});
      room -= std::min(room, bytes);
      part.offset += part.piece;
    } while (part.offset < part.size);
  }
  return slices;
}

/// Runs `step(slice, lane, k)`, k = 0, 1, ..., for every slice, until it returns nothing; otherwise it has started an
/// exchange, and the next step comes when that is done. So many slices are on their way at a time, each with a lane's
/// memory of its own. Without a communicator that can start exchanges, one slice comes after the other. Where exchanges are
/// queued, all lanes begin a slice before the oldest goes on.
template <class Engine, class Step> void in_lanes(Engine& e, std::size_t slices, std::size_t lanes, Step const& step) {
  struct travelling {
    std::size_t slice, lane;
    int step;
    exchange_handle exchange;
  };
  constexpr bool queued = requires { requires Engine::queues; };
  std::vector<travelling> busy;  // the oldest slice first
  std::vector<std::size_t> free(lanes);
  std::iota(free.rbegin(), free.rend(), std::size_t{0});
  try {
    for (std::size_t begun = 0; begun < slices || !busy.empty();) {
      bool const begins = queued && begun < slices && !free.empty();
      auto const here =
          begins ? busy.end() : std::ranges::find_if(busy, [&](auto const& t) { return e.arrived(t.exchange); });
      if (here != busy.end()) {
        here->exchange = {};
        if (auto const next = step(here->slice, here->lane, ++here->step)) {
          here->exchange = *next;
          if (queued) std::rotate(here, here + 1, busy.end());  // the others' exchanges were queued before this one
        } else {
          free.push_back(here->lane);
          busy.erase(here);
        }
      } else if (begun < slices && !free.empty()) {
        std::size_t const lane = free.back(), slice = begun++;
        if (auto const next = step(slice, lane, 0)) {
          busy.push_back({slice, lane, 0, *next});
          free.pop_back();
        }
      } else {
        e.rest();
      }
    }
  } catch (...) {
    e.give_up();  // other slices are still on their way
    throw;
  }
}

CCOMP_END
