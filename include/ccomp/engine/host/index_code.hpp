#pragma once
/// Codes ascending indices and reads them back, in parallel stretches. Bytes from elsewhere are judged as a whole
/// before anyone acts on a single index.

#include <ccomp/core/index_layout.hpp>
#include <ccomp/engine/host/isa.hpp>
#include <ccomp/engine/host/parallel.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <span>
#include <string>

CCOMP_BEGIN
namespace detail {

inline std::uint64_t load_word(std::byte const* row, std::size_t word) {
  std::uint64_t w;
  std::memcpy(&w, row + 8 * word, sizeof w);
  return w;
}
inline void store_word(std::byte* row, std::size_t word, std::uint64_t w) { std::memcpy(row + 8 * word, &w, sizeof w); }

/// Writes all of `side`: l.bytes() bytes.
inline void encode_indices(host_exec const& ex, index_layout const& l, std::span<std::uint32_t const> index,
                           std::byte* side) {
  std::size_t const count = index.size();
  std::uint32_t const* const from = index.data();
  if (l.coding == index_coding::raw) {
    if (count > 0) std::memcpy(side, from, 4 * count);
    if (l.room > count) std::memset(side + 4 * count, 0, 4 * (l.room - count));
    return;
  }
  instruction_set const isa = resolve_isa(ex);
  auto const bits = static_cast<unsigned>(l.low_bits);
  // 64 entries fill whole words of the first row, so that threads never share a word.
  parallel_ranges(ex, ceil_div(l.room, 64), 16, [&](std::size_t begin, std::size_t end) {
    if (l.low_bytes == 0) return;
    run_narrow(isa, [&] {
      std::uint64_t const mask = (std::uint64_t{1} << bits) - 1;
      for (std::size_t group = begin; group < end; ++group) {
        std::size_t const first = std::min(64 * group, count), last = std::min(first + 64, count);
        std::size_t const words = std::min<std::size_t>(bits, l.low_bytes / 8 - group * bits);
        std::uint64_t pending = 0;
        unsigned filled = 0;
        std::size_t word = group * bits, stop = word + words;
        for (std::size_t i = first; i < last; ++i) {
          std::uint64_t const low = from[i] & mask;
          pending |= low << filled;
          filled += bits;
          if (filled < 64) continue;
          store_word(side, word++, pending);
          filled -= 64;
          pending = filled ? low >> (bits - filled) : 0;
        }
        for (; word < stop; pending = 0) store_word(side, word++, pending);
      }
    });
  });
  std::byte* const row = side + l.low_bytes;
  std::size_t const words = l.map_bytes / 8;
  parallel_ranges(ex, words, 8, [&](std::size_t begin, std::size_t end) {
    std::memset(row + 8 * begin, 0, 8 * (end - begin));
    std::size_t const first = first_entry_from(l, from, count, 64 * begin);
    std::size_t const last = first_entry_from(l, from, count, 64 * end);
    if (first == last) return;
    run_narrow(isa, [&] {
      std::size_t word = one_of(l, from, first) / 64;
      std::uint64_t pending = 0;
      for (std::size_t i = first; i < last; ++i) {
        std::size_t const one = one_of(l, from, i);
        if (one / 64 != word) {
          store_word(row, word, pending);
          word = one / 64;
          pending = 0;
        }
        pending |= std::uint64_t{1} << (one % 64);
      }
      store_word(row, word, pending);
    });
  });
}

/// A stretch of coded indices that one thread reads.
struct index_stretch {
  std::size_t entry = 0, end = 0;  // its entries
  std::size_t word = 0;            // packed, bitmap: where their ones begin
  std::uint32_t first = 0, last = 0;

  [[nodiscard]] bool empty() const { return entry == end; }
};

/// Reads a stretch in batches. Values that no list of indices below 2^32 - 1 has come out as 2^32 - 1.
class index_reader {
 public:
  index_reader(index_layout const& l, std::byte const* side, index_stretch const& s)
      : layout_(l), side_(side), entry_(s.entry), end_(s.end), word_(s.word) {
    if (l.map_bytes > 0 && entry_ < end_) ones_ = load_word(side + l.low_bytes, word_);
  }

  [[nodiscard]] std::size_t entry() const { return entry_; }

  /// Up to `most` further indices; 0 at the end.
  std::size_t next(instruction_set isa, std::uint32_t* out, std::size_t most) {
    std::size_t const m = std::min(most, end_ - entry_);
    if (layout_.coding == index_coding::raw)
      std::memcpy(out, side_ + 4 * entry_, 4 * m);
    else if (layout_.per_block > 0)
      run_narrow(isa, [&] { read_in_blocks(out, m); });
    else
      run_narrow(isa, [&] { layout_.coding == index_coding::packed ? read_packed(out, m) : read_bitmap(out, m); });
    entry_ += m;
    return m;
  }

 private:
  /// Where the next one stands. There is one: the stretch was cut by counting them.
  std::size_t next_one(std::byte const* row) {
    while (ones_ == 0) ones_ = load_word(row, ++word_);
    std::size_t const at = 64 * word_ + static_cast<std::size_t>(std::countr_zero(ones_));
    ones_ &= ones_ - 1;
    return at;
  }
  void read_bitmap(std::uint32_t* out, std::size_t m) {
    for (std::size_t i = 0; i < m; ++i)
      out[i] = static_cast<std::uint32_t>(std::min<std::size_t>(next_one(side_), 0xffffffffu));
  }
  void read_in_blocks(std::uint32_t* out, std::size_t m) {
    auto const bits = static_cast<unsigned>(layout_.low_bits);
    std::uint32_t const mask = (1u << bits) - 1;
    std::size_t bit = entry_ * bits, left = layout_.per_block - entry_ % layout_.per_block;
    auto base = static_cast<std::uint32_t>(entry_ / layout_.per_block << bits);
    for (std::size_t i = 0; i < m; ++i, bit += bits, --left) {
      if (left == 0) {
        left = layout_.per_block;
        base += mask + 1;
      }
      auto const shift = static_cast<unsigned>(bit % 64);
      std::uint64_t low = load_word(side_, bit / 64) >> shift;
      if (shift + bits > 64) low |= load_word(side_, bit / 64 + 1) << (64 - shift);
      out[i] = base + (static_cast<std::uint32_t>(low) & mask);
    }
  }
  void read_packed(std::uint32_t* out, std::size_t m) {
    std::byte const* const row = side_ + layout_.low_bytes;
    auto const bits = static_cast<unsigned>(layout_.low_bits);
    std::uint64_t const mask = (std::uint64_t{1} << bits) - 1;
    for (std::size_t i = 0; i < m; ++i) {
      std::uint64_t const high = next_one(row) - (entry_ + i);
      // Eight bytes hold any low part; reading past the first row ends within the second, which is a word at least.
      std::size_t const bit = (entry_ + i) * bits;
      std::uint64_t low;
      std::memcpy(&low, side_ + bit / 8, sizeof low);
      std::uint64_t const whole = (high << bits) | ((low >> (bit % 8)) & mask);
      out[i] = static_cast<std::uint32_t>(std::min<std::uint64_t>(whole, 0xffffffffu));
    }
  }

  index_layout const& layout_;
  std::byte const* side_;
  std::size_t entry_, end_, word_;
  std::uint64_t ones_ = 0;
};

/// Coded indices found to be good: as many as announced, ascending, below n.
class coded_indices {
 public:
  /// Throws payload_error. `weight`: the work on each index, in values. `kept`: where all of them go, if anywhere.
  coded_indices(host_exec const& ex, index_layout const& l, std::span<std::byte const> side, std::size_t count,
                std::size_t weight, std::string_view stage, std::uint32_t* kept = nullptr)
      : layout_(l), side_(side.data()), count_(count), isa_(resolve_isa(ex)) {
    expects<payload_error>(side.size() >= l.bytes(), [&] {
      return sentence(stage, ": the indices need ", l.bytes(), " bytes, the payload has ", side.size());
    });
    parts_ = std::min(team_size(ex, count * weight), most_parts);
    if (l.map_bytes == 0)
      cut_entries();
    else
      cut_ones(stage);
    std::atomic<bool> bad{false};
    run_team(parts_, [&](int part, int) {
      if (!check(stretches_[part], kept)) bad = true;
    });
    bool good = !bad;
    std::uint64_t next = 0;
    for (int p = 0; p < parts_; ++p) {
      index_stretch const& s = stretches_[p];
      if (s.empty()) continue;
      good = good && s.first >= next;
      next = std::uint64_t{s.last} + 1;
    }
    expects<payload_error>(good, [&] {
      return sentence(stage, ": the payload's indices do not ascend below the ", l.n, " values of the tensor");
    });
  }

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] instruction_set isa() const { return isa_; }

  /// Calls `f(entry, indices)` on batches that cover all entries, concurrently.
  template <class F> void visit(F const& f) const {
    run_team(parts_, [&](int part, int) {
      read(stretches_[part], [&](std::size_t entry, std::span<std::uint32_t const> index) { f(entry, index); });
    });
  }
  /// As `visit`, with the range of values [from, to) that each batch is to answer for; together they cover [0, n).
  /// Each batch comes after the values before its last index, while they are still in a cache.
  template <class F> void visit_ranges(F const& f) const {
    std::size_t from[most_parts], to[most_parts], next = layout_.n;
    for (int p = parts_; p-- > 0;) {
      to[p] = next;
      if (!stretches_[p].empty()) next = stretches_[p].first;
      from[p] = next;
    }
    from[0] = 0;
    for (int p = 0, first = 1; p < parts_ && first; ++p) {  // what lies before the first index belongs to its stretch
      first = stretches_[p].empty();
      if (!first) from[p] = 0;
    }
    run_team(parts_, [&](int part, int) {
      std::size_t at = from[part];
      if (stretches_[part].empty()) return;
      read(stretches_[part], [&](std::size_t entry, std::span<std::uint32_t const> index) {
        bool const last = entry + index.size() == stretches_[part].end;
        std::size_t const until = last ? to[part] : std::size_t{index.back()} + 1;
        f(entry, index, at, until);
        at = until;
      });
    });
  }

 private:
  static constexpr int most_parts = 64;
  static constexpr std::size_t batch = 256;

  void cut_entries() {
    auto const parts = static_cast<std::size_t>(parts_);
    for (std::size_t p = 0; p < parts; ++p) stretches_[p] = {count_ * p / parts, count_ * (p + 1) / parts, 0, 0, 0};
  }
  void cut_ones(std::string_view stage) {
    auto const parts = static_cast<std::size_t>(parts_);
    std::size_t const words = layout_.map_bytes / 8;
    std::byte const* const row = side_ + layout_.low_bytes;
    run_team(parts_, [&](int part, int) {
      auto const p = static_cast<std::size_t>(part);
      std::size_t const begin = words * p / parts, end = words * (p + 1) / parts;
      std::size_t ones = 0;
      run_narrow(isa_, [&] {
        for (std::size_t w = begin; w < end; ++w) ones += static_cast<std::size_t>(std::popcount(load_word(row, w)));
      });
      stretches_[part] = {0, ones, begin, 0, 0};
    });
    std::size_t entries = 0;
    for (std::size_t p = 0; p < parts; ++p) {
      stretches_[p].entry = entries;
      entries += stretches_[p].end;
      stretches_[p].end = entries;
    }
    expects<payload_error>(entries == count_, [&] {
      return sentence(stage, ": the payload holds ", entries, " indices instead of ", count_);
    });
  }
  template <class F> void read(index_stretch const& s, F const& f) const {
    index_reader reader(layout_, side_, s);
    std::uint32_t index[batch];
    for (;;) {
      std::size_t const entry = reader.entry(), m = reader.next(isa_, index, batch);
      if (m == 0) return;
      f(entry, std::span<std::uint32_t const>{index, m});
    }
  }
  bool check(index_stretch& s, std::uint32_t* kept) const {
    bool good = true;
    std::uint64_t least = 0;
    read(s, [&](std::size_t entry, std::span<std::uint32_t const> index) {
      if (entry == s.entry) s.first = index[0];
      std::size_t wrong = index[0] < least || index.back() >= layout_.n;
      run_narrow(isa_, [&] {
        for (std::size_t i = 1; i < index.size(); ++i) wrong += index[i] <= index[i - 1];
      });
      good = good && wrong == 0;
      if (kept) std::memcpy(kept + entry, index.data(), index.size_bytes());
      least = std::uint64_t{index.back()} + 1;
    });
    s.last = static_cast<std::uint32_t>(least - (s.empty() ? 0 : 1));
    return good;
  }

  index_layout layout_;
  std::byte const* side_;
  std::size_t count_;
  instruction_set isa_;
  int parts_ = 1;
  index_stretch stretches_[most_parts];
};

}  // namespace detail
CCOMP_END
