#pragma once
/// Codes ascending indices and reads them back. A payload is judged as a whole: one bad index, and none of its indices
/// are used.

#include <ccomp/core/index_layout.hpp>
#include <ccomp/engine/cuda/arrays.cuh>
#include <ccomp/engine/cuda/bit_row.cuh>
#include <ccomp/engine/cuda/block_scan.cuh>
#include <ccomp/engine/cuda/status.cuh>

CCOMP_BEGIN
namespace detail {

/// The side bytes of one item's payload, and what pads the payload, 32 bits a thread.
struct index_write_call {
  index_layout layout{};
  std::uint64_t header = 0;  // bytes ahead of the indices, written already
  std::uint64_t from = 0;    // words before are written already
  carrier_place carrier{};
  entry_count count{};                    // of indices
  entry_count carried{};                  // of the carrier's values
  per_item<std::uint32_t const> index{};  // ascending; raw: where they belong already
  per_item<std::byte> payload{};
};

/// Word w of the row of low bits.
__device__ inline std::uint32_t low_word(index_layout const& l, std::uint32_t const* index, std::uint64_t count,
                                         std::uint64_t w) {
  auto const bits = static_cast<unsigned>(l.low_bits);
  std::uint32_t const mask = (1u << bits) - 1u;
  return row_word(bits, count, w, [&](std::uint64_t i) { return index[i] & mask; });
}
/// Word w of the row of ones.
__device__ inline std::uint32_t ones_word(index_layout const& l, std::uint32_t const* index, std::uint64_t count,
                                          std::uint64_t w) {
  std::uint64_t const begin = 32 * w;
  std::uint32_t word = 0;
  for (std::uint64_t i = first_entry_from(l, index, count, begin); i < count; ++i) {
    std::uint64_t const one = one_of(l, index, i);
    if (one >= begin + 32) break;
    word |= 1u << (one - begin);
  }
  return word;
}

/// The low bits of entry i.
__device__ inline std::uint32_t low_part(index_layout const& l, std::uint32_t const* row, std::uint64_t i) {
  return row_number(row, static_cast<unsigned>(l.low_bits), i);
}

CCOMP_KERNEL __launch_bounds__(vector_threads) write_indices(index_write_call call) {
  std::uint64_t const place = 4 * (call.from + std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x);
  if (place >= call.carrier.end) return;
  std::uint64_t const count = call.count.mine();
  std::uint32_t word = 0;
  if (place < call.carrier.begin) {
    if (place < call.header) return;
    std::uint64_t const w = (place - call.header) / 4, low_words = call.layout.low_bytes / 4;
    if (call.layout.coding == index_coding::raw) {
      if (w < count) return;
    } else if (w < low_words) {
      word = low_word(call.layout, call.index.mine(), count, w);
    } else if (w - low_words < call.layout.map_bytes / 4) {
      word = ones_word(call.layout, call.index.mine(), count, w - low_words);
    }
  } else if (call.carrier.raw && place < call.carrier.begin + 4 * call.carried.mine()) {
    return;
  }
  *reinterpret_cast<std::uint32_t*>(call.payload.mine() + place) = word;
}

// ---- reading

/// One payload's indices as they are read.
struct index_list {
  std::uint32_t count, bad, arrived;

  __device__ std::uint32_t size() const { return bad ? 0 : count; }
};

struct index_read_call {
  index_layout layout{};
  std::uint64_t n = 0, most = 0;
  std::uint64_t header = 0;  // 8: two u32, how many are selected and how many left out; 0: `most`
  unsigned sources = 1;
  per_list<std::byte const> payload{};
  per_list<index_list> list{};
  per_list<std::uint32_t> index{};  // raw: in the payload itself
  per_list<unsigned long long> totals{};
  device_status* status = nullptr;

  __device__ std::uint32_t const* row(std::uint64_t bytes) const {
    return reinterpret_cast<std::uint32_t const*>(payload.mine(sources) + header + bytes);
  }
  /// The first to find a list bad reports it.
  __device__ void refuse() const {
    if (atomicOr(&list.mine(sources)->bad, 1u) == 0) report_bad_payload(status);
  }
  /// How many indices there are, as far as can be told without reading them.
  __device__ index_list announced() const {
    if (header == 0) return {static_cast<std::uint32_t>(most), 0, 0};
    auto const* const counts = reinterpret_cast<std::uint32_t const*>(payload.mine(sources));
    bool const good = counts[0] <= most && std::uint64_t{counts[0]} + counts[1] <= n;
    return {good ? counts[0] : 0, good ? 0u : 1u, 0};
  }
  /// Index i, of indices in blocks; the payload holds its place in the block.
  __device__ std::uint32_t in_block(std::uint64_t i) const {
    return static_cast<std::uint32_t>(i / layout.per_block << layout.low_bits) + low_part(layout, row(0), i);
  }
  __device__ std::uint32_t const* indices() const {
    return layout.coding == index_coding::raw ? row(0) : index.mine(sources);
  }
  /// Entry i is below n and above the one before it.
  __device__ bool ascends(std::uint32_t const* entries, std::uint64_t i) const {
    return entries[i] < n && (i == 0 || entries[i - 1] < entries[i]);
  }
};

/// A thread's words of the row of ones.
inline constexpr unsigned words_each = 4;
inline constexpr std::uint64_t words_of_block = words_each * vector_threads;
struct ones_words {
  std::uint64_t first;  // number of the first word
  std::uint32_t word[words_each];

  __device__ explicit ones_words(index_read_call const& call)
      : first(blockIdx.x * words_of_block + words_each * threadIdx.x) {
    auto const* const row = call.row(call.layout.low_bytes);
    std::uint64_t const words = call.layout.map_bytes / 4;
    CCOMP_UNROLL
    for (unsigned i = 0; i < words_each; ++i) word[i] = first + i < words ? row[first + i] : 0;
  }
  __device__ std::uint32_t count() const {
    std::uint32_t ones = 0;
    CCOMP_UNROLL
    for (unsigned i = 0; i < words_each; ++i) ones += static_cast<std::uint32_t>(__popc(word[i]));
    return ones;
  }
  /// Writes the indices, from number `entry` on; none from `end` on.
  __device__ void read(index_read_call const& call, std::uint64_t entry, std::uint64_t end) const {
    auto* const index = call.index.mine(call.sources);
    auto const* const low_row = call.row(0);
    CCOMP_UNROLL
    for (unsigned i = 0; i < words_each; ++i)
      for (std::uint32_t left = word[i]; left != 0 && entry < end; left &= left - 1, ++entry) {
        std::uint64_t value = 32 * (first + i) + static_cast<unsigned>(__ffs(static_cast<int>(left)) - 1);
        if (call.layout.coding == index_coding::packed)
          value = (value - entry) << call.layout.low_bits | low_part(call.layout, low_row, entry);
        index[entry] = value < 0xffffffffu ? static_cast<std::uint32_t>(value) : 0xffffffffu;
      }
  }
};

/// One thread a list.
CCOMP_KERNEL start_reading(index_read_call call) {
  if (threadIdx.x != 0) return;
  index_list const l = call.announced();
  if (l.bad) report_bad_payload(call.status);
  *call.list.mine(call.sources) = l;
}
/// The last block finds where each block's ones go, and whether there are as many as there should be.
CCOMP_KERNEL __launch_bounds__(vector_threads) count_ones_kernel(index_read_call call) {
  auto const own = scan_block(ones_words(call).count());
  auto* const totals = call.totals.mine(call.sources);
  index_list& list = *call.list.mine(call.sources);
  if (threadIdx.x == 0) totals[blockIdx.x] = own.total;
  if (!arrives_last(&list.arrived, gridDim.x)) return;
  unsigned long long const found = scan_array(totals, gridDim.x);
  if (threadIdx.x == 0 && found != list.count && !list.bad) call.refuse();
}
CCOMP_KERNEL __launch_bounds__(vector_threads) read_ones_kernel(index_read_call call) {
  ones_words const ones(call);
  std::uint64_t const before = call.totals.mine(call.sources)[blockIdx.x] + scan_block(ones.count()).before;
  ones.read(call, before, call.list.mine(call.sources)->count);
}
CCOMP_KERNEL __launch_bounds__(vector_threads) read_in_blocks(index_read_call call) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x;
  if (i < call.most) call.index.mine(call.sources)[i] = call.in_block(i);
}
CCOMP_KERNEL __launch_bounds__(vector_threads) check_indices(index_read_call call) {
  std::uint64_t const i = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x;
  bool const wrong = i < call.list.mine(call.sources)->count && !call.ascends(call.indices(), i);
  if (__syncthreads_or(wrong) && threadIdx.x == 0) call.refuse();
}

/// All of these for a list that one thread block reads.
CCOMP_KERNEL __launch_bounds__(vector_threads) read_kernel(index_read_call call) {
  index_list list = call.announced();
  std::uint64_t found = list.count;
  if (call.layout.per_block > 0) {
    auto* const index = call.index.mine(call.sources);
    for (std::uint64_t i = threadIdx.x; i < list.count; i += vector_threads) index[i] = call.in_block(i);
    __syncthreads();
  } else if (call.layout.coding != index_coding::raw) {
    ones_words const ones(call);
    auto const own = scan_block(ones.count());
    found = own.total;
    ones.read(call, own.before, list.count);
    __syncthreads();
  }
  bool wrong = list.bad || found != list.count;
  auto const* const entries = call.indices();
  for (std::uint64_t i = threadIdx.x; i < list.count && !wrong; i += vector_threads) wrong = !call.ascends(entries, i);
  list.bad = __syncthreads_or(wrong) ? 1 : 0;
  if (threadIdx.x != 0) return;
  if (list.bad) report_bad_payload(call.status);
  *call.list.mine(call.sources) = list;
}
inline constexpr std::uint64_t block_entries = 16 * vector_threads;

}  // namespace detail
CCOMP_END
