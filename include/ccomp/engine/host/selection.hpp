#pragma once
/// Exact selection of the k largest magnitudes in one trip through the array.
///
/// A sample gives a bound that somewhat more than k values reach; one pass gathers those, the candidates; the k-th key
/// is found among them, and they are thinned out to the k wanted. Where the sample misleads (or a value repeats so
/// often that the candidates would not fit), histograms of the whole array put the bound right, at two to four times
/// the cost. The result is exact and the same for any number of threads: the sample decides how fast, never what.

#include <ccomp/core/sampled_bound.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/core/workspace.hpp>
#include <ccomp/engine/host/compact.hpp>
#include <ccomp/engine/host/parallel.hpp>
#include <ccomp/engine/host/radix.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <span>

CCOMP_BEGIN
namespace detail {

/// How a selection of k of n values goes about it: a function of n and k alone.
struct selection_plan {
  std::size_t n = 0, k = 0;
  std::size_t sample = 0;      // values looked at first; 0: every value is a candidate
  std::size_t low_rank = 0;    // the bound is the low_rank-th largest of the sample
  std::size_t high_rank = 0;   // the k-th largest is most likely below the high_rank-th of the sample; 0: no idea
  std::size_t most_equal = 0;  // more of the sample at or above the bound mean that it repeats
  std::size_t room = 0;        // candidates that fit

  selection_plan(std::size_t values, std::size_t wanted) : n(values), k(wanted), room(values) {
    if (n <= 2048) return;
    sample = std::clamp<std::size_t>(n / 32, 128, std::size_t{1} << 14);
    double const s = static_cast<double>(sample), per_sample = static_cast<double>(n) / s;
    double const mean = static_cast<double>(k) / per_sample;
    // Five standard deviations, and a little more where the distribution is no bell: a miss in a million calls.
    double const low = std::ceil(mean + 5 * std::sqrt(mean) + 8), high = mean - 5 * std::sqrt(mean) - 8;
    if (low >= s) {
      sample = 0;
      return;
    }
    low_rank = static_cast<std::size_t>(low);
    high_rank = high < 1 ? 0 : static_cast<std::size_t>(high);
    most_equal = static_cast<std::size_t>(low + 2 * std::sqrt(low));
    double const most = std::ceil((low + 7 * std::sqrt(low) + 8) * per_sample);
    room = most < static_cast<double>(n) ? static_cast<std::size_t>(most) : n;
  }
};

/// Where the candidates of one tile lie, and what becomes of them.
struct candidate_tile {
  static constexpr std::uint32_t not_stored = 0xffffffffu;
  std::uint32_t start;          // in the pool
  std::uint32_t count;          // values that reach the bound
  std::uint32_t ties;           // values equal to the k-th largest
  std::uint32_t above;          // values larger than it
  std::uint32_t selected_ties;  // how many of `ties` belong to the result
  std::uint32_t place;          // of the tile's first value in the result
};

/// Candidates lie tile by tile in a common pool, in whatever order the threads came; the tiles know where. So no
/// distribution of large values over the array needs more room than another.
struct candidates {
  candidate_tile* tiles;
  std::size_t tile_count, room;
  std::uint32_t* index;
  float* value;

  static std::size_t bytes(std::size_t n, std::size_t room) {
    return scratch::bytes_for<candidate_tile>(ceil_div(n, tile_values)) + scratch::bytes_for<std::uint32_t>(room) +
           scratch::bytes_for<float>(room);
  }
  candidates(scratch& memory, std::size_t n, std::size_t fitting)
      : tiles(memory.take<candidate_tile>(ceil_div(n, tile_values))),
        tile_count(ceil_div(n, tile_values)),
        room(fitting),
        index(memory.take<std::uint32_t>(fitting)),
        value(memory.take<float>(fitting)) {}
};

struct collected {
  std::size_t count = 0, ties = 0;
};

/// Gathers the values with keys from `bound` on; with `count_ties` also counts those equal to bound - 1.
inline collected collect(host_exec const& ex, instruction_set isa, std::span<float const> in, std::uint32_t bound,
                         bool count_ties, candidates const& c) {
  std::atomic<std::size_t> stored{0}, equal{0};
  parallel_ranges(ex, c.tile_count, tile_values, [&](std::size_t begin, std::size_t end) {
    tile_offsets offsets;
    std::size_t ties = 0;
    for (std::size_t t = begin; t < end; ++t) {
      std::size_t const first = t * tile_values, n = std::min(tile_values, in.size() - first);
      float const* const x = in.data() + first;
      std::size_t const count = offsets_reaching(isa, x, n, bound, offsets);
      candidate_tile& tile = c.tiles[t];
      tile = {candidate_tile::not_stored, static_cast<std::uint32_t>(count), 0, 0, 0, 0};
      if (count_ties) {
        std::size_t here = 0;
        run_narrow(isa, [&] { here = count_equal(x, n, bound - 1); });
        tile.ties = static_cast<std::uint32_t>(here);
        ties += here;
      }
      if (count == 0) continue;
      std::size_t const start = stored.fetch_add(count, std::memory_order_relaxed);
      if (start + count > c.room) continue;
      tile.start = static_cast<std::uint32_t>(start);
      run_narrow(isa, [&] {
        std::uint32_t* CCOMP_RESTRICT const index = c.index + start;
        float* CCOMP_RESTRICT const value = c.value + start;
        auto const base = static_cast<std::uint32_t>(first);
        for (std::size_t j = 0; j < count; ++j) {
          index[j] = base + offsets[j];
          value[j] = x[offsets[j]];
        }
      });
    }
    equal.fetch_add(ties, std::memory_order_relaxed);
  });
  return {stored.load(), equal.load()};
}

/// So many values of the array, where `sample_place` says.
inline void draw_sample(host_exec const& ex, instruction_set isa, std::span<float const> in, std::size_t count,
                        float* out) {
  parallel_ranges(ex, count, 4, [&](std::size_t begin, std::size_t end) {
    run_narrow(isa, [=] {
      for (std::size_t i = begin; i < end; ++i) out[i] = in[sample_place(i, in.size(), count)];
    });
  });
}

/// The bound for `collect`: values from `low` on are candidates, except that a `tied` low is counted, not gathered.
struct selection_bound {
  std::uint32_t low = 0;
  bool tied = false;
  std::uint32_t end = key_end;  // the k-th largest key is most likely below this

  [[nodiscard]] std::uint32_t first_key() const { return tied ? low + 1 : low; }
};

inline selection_bound sampled_bound(host_exec const& ex, instruction_set isa, std::span<float const> in,
                                     selection_plan const& plan, float* sample) {
  if (plan.sample == 0) return {};
  draw_sample(ex, isa, in, plan.sample, sample);
  host_exec const alone{1, isa};
  selection_bound b;
  b.low = kth_key(alone, isa, sample, plan.sample, plan.low_rank).low;
  if (plan.high_rank > 0) b.end = kth_key(alone, isa, sample, plan.sample, plan.high_rank, {b.low, key_end}).end;
  std::size_t reaching = 0;
  run_narrow(isa, [&] { reaching = b.low == 0 ? plan.sample : count_above(sample, plan.sample, b.low - 1); });
  b.tied = reaching > plan.most_equal;
  return b;
}

/// The bound by exact counts, for arrays that mislead the sample.
inline selection_bound counted_bound(host_exec const& ex, instruction_set isa, std::span<float const> in,
                                     selection_plan const& plan) {
  key_range r;
  do r = narrow_range(ex, isa, in.data(), in.size(), plan.k, r);
  while (!r.exact() && r.above + r.inside > plan.room);
  return {r.low, r.above + r.inside > plan.room, r.end};
}

/// Writes the candidates that belong to the result: keys above `key`, and the first `ties` equal to it, of which it
/// counts down. Returns how many.
inline std::size_t thin_out(instruction_set isa, std::uint32_t const* index, float const* value, std::size_t count,
                            std::uint32_t key, std::size_t& ties, std::uint32_t* out_index, float* out_value) {
  std::uint32_t selected_index[tile_values + 1];  // without a branch, what is not selected is written, too
  float selected_value[tile_values + 1];
  std::size_t selected = 0;
  run_narrow(isa, [&] {
    std::size_t at = 0, left = ties;
    for (std::size_t j = 0; j < count; ++j) {
      std::uint32_t const k = magnitude_key(value[j]);
      bool const tie = (k == key) & (left > 0);
      selected_index[at] = index[j];
      selected_value[at] = value[j];
      left -= tie;
      at += (k > key) | tie;
    }
    selected = at;
    ties = left;
  });
  std::memcpy(out_index, selected_index, selected * sizeof(std::uint32_t));
  std::memcpy(out_value, selected_value, selected * sizeof(float));
  return selected;
}

/// The candidates of a tile that found no room in the pool, gathered again.
struct tile_rescan {
  std::uint32_t index[tile_values];
  float value[tile_values];
  std::size_t count;

  tile_rescan(instruction_set isa, std::span<float const> in, std::size_t t, std::uint32_t bound) {
    tile_offsets offsets;
    std::size_t const first = t * tile_values, n = std::min(tile_values, in.size() - first);
    count = offsets_reaching(isa, in.data() + first, n, bound, offsets);
    for (std::size_t j = 0; j < count; ++j) {
      index[j] = static_cast<std::uint32_t>(first) + offsets[j];
      value[j] = in[first + offsets[j]];
    }
  }
};

/// Scratch of `select_largest`.
inline std::size_t selection_bytes(selection_plan const& plan) {
  return candidates::bytes(plan.n, plan.room) + scratch::bytes_for<float>(plan.sample);
}

/// The k values of largest magnitude, by index; NaN ranks above Inf, of equals the smaller index wins. 1 <= k <= n.
inline void select_largest(host_exec const& ex, std::span<float const> in, std::size_t k, scratch memory,
                           std::uint32_t* out_index, float* out_value) {
  instruction_set const isa = resolve_isa(ex);
  if (k == in.size())
    return parallel_ranges(ex, k, 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) out_index[i] = static_cast<std::uint32_t>(i);
      std::memcpy(out_value + begin, in.data() + begin, (end - begin) * sizeof(float));
    });
  selection_plan const plan(in.size(), k);
  candidates const c(memory, plan.n, plan.room);
  float* const sample = memory.take<float>(plan.sample);

  selection_bound bound = sampled_bound(ex, isa, in, plan, sample);
  collected found = collect(ex, isa, in, bound.first_key(), bound.tied, c);
  if (found.count > c.room || found.count + found.ties < k) {
    bound = counted_bound(ex, isa, in, plan);
    found = collect(ex, isa, in, bound.first_key(), bound.tied, c);
  }

  // Either the k-th largest is among the candidates, or it is the bound that repeats.
  bool const pooled = found.count >= k;
  key_range kth{bound.low, bound.low + 1, found.count, found.ties};
  if (pooled) {
    std::uint32_t const first_key = bound.first_key();
    kth = kth_key(ex, isa, c.value, found.count, k, {first_key, std::max(bound.end, first_key + 1)});
  }
  std::uint32_t const key = kth.low;
  std::size_t const ties = k - kth.above;
  auto const write_tile = [&](std::size_t t, std::size_t& ties_left, std::size_t place) -> std::size_t {
    candidate_tile const& tile = c.tiles[t];
    if (pooled || tile.ties == 0 || ties_left == 0) {
      if (tile.count == 0) return 0;
      return thin_out(isa, c.index + tile.start, c.value + tile.start, tile.count, key, ties_left, out_index + place,
                      out_value + place);
    }
    tile_rescan const again(isa, in, t, key);
    return thin_out(isa, again.index, again.value, again.count, key, ties_left, out_index + place, out_value + place);
  };

  // A team costs more than it saves while the candidates are few.
  std::size_t const work = ceil_div(found.count, 2 * c.tile_count) + (pooled ? 0 : tile_values);
  if (team_size(ex, c.tile_count * work) == 1) {
    std::size_t place = 0, ties_left = ties;
    for (std::size_t t = 0; t < c.tile_count && place < k; ++t) place += write_tile(t, ties_left, place);
    return;
  }
  if (pooled)
    parallel_ranges(ex, c.tile_count, work, [&](std::size_t begin, std::size_t end) {
      run_narrow(isa, [&] {
        for (std::size_t t = begin; t < end; ++t) {
          candidate_tile& tile = c.tiles[t];
          if (tile.count == 0) continue;
          float const* const value = c.value + tile.start;
          tile.ties = static_cast<std::uint32_t>(count_equal(value, tile.count, key));
          tile.above = static_cast<std::uint32_t>(count_above(value, tile.count, key));
        }
      });
    });
  std::size_t place = 0, ties_left = ties;
  for (std::size_t t = 0; t < c.tile_count; ++t) {
    candidate_tile& tile = c.tiles[t];
    tile.place = static_cast<std::uint32_t>(place);
    tile.selected_ties = static_cast<std::uint32_t>(std::min<std::size_t>(tile.ties, ties_left));
    ties_left -= tile.selected_ties;
    place += (pooled ? tile.above : tile.count) + tile.selected_ties;
  }
  parallel_ranges(ex, c.tile_count, work, [&](std::size_t begin, std::size_t end) {
    for (std::size_t t = begin; t < end; ++t) {
      std::size_t selected_ties = c.tiles[t].selected_ties;
      write_tile(t, selected_ties, c.tiles[t].place);
    }
  });
}

struct reaching {
  std::size_t selected = 0, left_out = 0;
};

/// The values with keys from `bound` on, by index; of more than `most`, those that are not finite if there are any, and
/// the first from index `start` on, around the end.
inline reaching select_reaching(host_exec const& ex, std::span<float const> in, std::uint32_t bound, std::size_t most,
                                std::size_t start, scratch memory, std::uint32_t* out_index, float* out_value) {
  instruction_set const isa = resolve_isa(ex);
  candidates const c(memory, in.size(), most);
  std::size_t found = collect(ex, isa, in, bound, false, c).count;
  std::size_t const reached = found;
  if (found > most) {
    std::atomic<std::size_t> bad{0};
    parallel_ranges(ex, c.tile_count, tile_values, [&](std::size_t begin, std::size_t end) {
      std::size_t const first = begin * tile_values, n = std::min(end * tile_values, in.size()) - first;
      std::size_t here = 0;
      run_narrow(isa, [&] { here = count_above(in.data() + first, n, inf_bits - 1); });
      bad.fetch_add(here, std::memory_order_relaxed);
    });
    if (bad.load() > 0) {
      bound = inf_bits;
      found = collect(ex, isa, in, bound, false, c).count;
    }
  }

  // In the order of preference the tile of `start` comes twice: its later candidates first, its earlier ones last.
  std::size_t const middle = start / tile_values;
  std::size_t head = 0, head_selected = 0, tail_selected = 0;
  for (std::size_t t = 0; t < c.tile_count; ++t) c.tiles[t].above = c.tiles[t].count;
  if (found > most) {
    tile_rescan const split(isa, in, middle, bound);
    while (head < split.count && split.index[head] < start) ++head;
    std::size_t left = most;
    tail_selected = std::min(left, split.count - head);
    left -= tail_selected;
    for (std::size_t i = 1; i < c.tile_count; ++i) {
      candidate_tile& tile = c.tiles[(middle + i) % c.tile_count];
      tile.above = static_cast<std::uint32_t>(std::min<std::size_t>(tile.count, left));
      left -= tile.above;
    }
    head_selected = left;  // fewer than there are, or all would have fitted
    c.tiles[middle].above = static_cast<std::uint32_t>(head_selected + tail_selected);
  }
  std::size_t place = 0;
  for (std::size_t t = 0; t < c.tile_count; ++t) {
    c.tiles[t].place = static_cast<std::uint32_t>(place);
    place += c.tiles[t].above;
  }
  parallel_ranges(ex, c.tile_count, ceil_div(found, 2 * c.tile_count), [&](std::size_t begin, std::size_t end) {
    for (std::size_t t = begin; t < end; ++t) {
      candidate_tile const& tile = c.tiles[t];
      if (tile.above == 0) continue;
      auto const copy = [&](std::uint32_t const* index, float const* value) {
        auto const copy_range = [&](std::size_t from, std::size_t m, std::size_t to) {
          std::memcpy(out_index + to, index + from, m * sizeof(std::uint32_t));
          std::memcpy(out_value + to, value + from, m * sizeof(float));
        };
        if (found > most && t == middle) {
          copy_range(0, head_selected, tile.place);
          copy_range(head, tail_selected, tile.place + head_selected);
        } else {
          copy_range(0, tile.above, tile.place);
        }
      };
      if (tile.start != candidate_tile::not_stored) {
        copy(c.index + tile.start, c.value + tile.start);
      } else {
        tile_rescan const again(isa, in, t, bound);
        copy(again.index, again.value);
      }
    }
  });
  return {place, reached - place};
}

}  // namespace detail
CCOMP_END
