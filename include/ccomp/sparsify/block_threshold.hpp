#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/relative_bound.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/host/scatter.hpp>
#include <ccomp/engine/host/selection.hpp>
#include <ccomp/sparsify/counted_header.hpp>
#include <ccomp/sparsify/selected_count.hpp>

#include <algorithm>
#include <cstring>

CCOMP_BEGIN

/// Selects whole blocks whose root mean square reaches a bound, up to a capacity. The other blocks are silent. A tensor all
/// of whose blocks are silent sends its side bytes alone, and takes part in every call all the same.
///
/// Shapes:      in [n] -> m blocks of B = ceil(n / block), carrier [m block], less what the last block lacks; m <=
///              max(1, floor(capacity_ratio B)). whole_tensor: B = 1, the tensor is one block, sent whole or not at all
/// Bound:       r >= value, r = sqrt(sum x^2 / size) of a block, over the finite x; with value = 0, r >= relative times
///              the root mean square of the tensor, or r >= the largest r if that bound is smaller. Sums are in double;
///              r and bound are rounded to float, r of a block that is not zero to at least 2^-149. A block of zeros is
///              never selected
/// Payload:     pad16(8 + 8 ceil(B / 64)) + the payload of the carrier; the side bytes are m and the number of blocks
///              left out, u32 each, and a bit for each block. A silent tensor sends the side bytes alone
/// Overflow:    if more blocks reach the bound than fit, the first ones from block s on are sent, continuing at block 0
///              after the end; s = hash64(hash64(0, step), tensor id) mod B. If some of them hold what is not finite,
///              only those are sent. The others stay in the residual of error feedback. `overflow(payload)` counts
///              blocks, and so do `collective_report::overflowed` on the host and `workspace::check()` on a GPU
/// Guarantee:   r of a block that is left out and did not overflow is smaller than the bound. Contraction: with `value`
///              0, as a tensor may have no such block (but the residual of error feedback stays below the bound); without
///              it min(1, relative^2) times the size of the smallest block / n. A relative bound above 1 lets the
///              residual grow, as that of `threshold`
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    a block that holds one always reaches the bound, is sent unchanged, and takes precedence over others
/// Throws:      invalid_argument: block is not a power of two in 16..4096; a negative or infinite value or relative; both
///              0; whole_tensor without a value; capacity_ratio outside (0, 1]; n >= 2^32; payload_error: counts and
///              bits that no encode produces; checked before anything is written
/// Source:      the block threshold of Fei, Ho, Sahu, Canini, Sapio, "Efficient sparse collective communication and its
///              application to accelerate distributed deep learning" (OmniReduce), SIGCOMM 2021
struct block_threshold {
  static constexpr std::string_view name = "block_threshold";
  static constexpr bool is_linear = false;
  static constexpr bool is_unbiased = false;
  static constexpr bool stochastic = true;  // where an overflow begins is drawn by the step

  float value = 0;
  float relative = 1;
  std::uint32_t block = 64;
  double capacity_ratio = 0.25;
  bool whole_tensor = false;
  std::size_t payloads = 1;  // set by sum_of: room for what so many payloads hold

  static constexpr auto fields() {
    return std::tuple{field{"value", &block_threshold::value}, field{"relative", &block_threshold::relative},
                      field{"block", &block_threshold::block},
                      field{"capacity_ratio", &block_threshold::capacity_ratio},
                      field{"whole_tensor", &block_threshold::whole_tensor}};
  }
  void validate() const {
    detail::expect_bound(name, value, relative);
    detail::expects(!whole_tensor || value > 0,
                    "block_threshold: whole_tensor needs a value above 0: nothing is relative to itself");
    detail::expect_ratio(capacity_ratio, name, "capacity_ratio");
  }

  static constexpr std::size_t header_bytes = detail::counted_header::bytes;

  [[nodiscard]] std::size_t block_size(std::size_t n) const { return whole_tensor ? n : block; }
  [[nodiscard]] std::size_t blocks(std::size_t n) const { return n == 0 ? 0 : detail::ceil_div(n, block_size(n)); }
  /// The most blocks that are sent of n values.
  [[nodiscard]] std::size_t capacity(std::size_t n) const {
    detail::expect_indexable(n, name);
    std::size_t const all = blocks(n);
    return all == 0 ? 0 : detail::selected_of_sum(detail::selected_count(capacity_ratio, 0, all, name), payloads, all);
  }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const { return std::min(n, capacity(n) * block_size(n)); }
  /// Keeps all blocks of the sum of so many payloads: those that are not zero.
  [[nodiscard]] block_threshold sum_of(std::size_t number) const {
    block_threshold wide = *this;
    wide.value = 0x1p-149f;
    wide.payloads = number;
    return wide;
  }
  [[nodiscard]] std::size_t side_bytes(std::size_t n) const { return n == 0 ? 0 : header_bytes + layout(n).bytes(); }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    std::size_t const all = blocks(n), most = capacity(n), pieces = detail::ceil_div(n, piece());
    std::size_t const norms =
        detail::scratch::bytes_for<double>(pieces) + detail::scratch::bytes_for<std::uint32_t>(pieces);
    return detail::scratch::bytes_for<std::uint32_t>(most) + detail::scratch::bytes_for<float>(most) +
           detail::scratch::bytes_for<float>(all) + std::max(norms, detail::candidates::bytes(all, most));
  }
  /// Of the numbers of blocks.
  [[nodiscard]] index_layout layout(std::size_t n) const { return {index_coding::bitmap, blocks(n), capacity(n)}; }
  [[nodiscard]] double contraction(std::size_t n) const {
    if (n == 0) return 1;
    double const r = std::min(static_cast<double>(relative), 1.0);
    std::size_t const last = n % block_size(n), smallest = last > 0 ? last : block_size(n);
    return value > 0 ? 0 : r * r * static_cast<double>(smallest) / static_cast<double>(n);
  }

  /// How many blocks reached the bound and found no room; `side` may be the whole payload.
  static std::size_t overflow(std::span<std::byte const> side) {
    return detail::counted_header::read(side, name).left_out;
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> scratch, pass_options const& at) const {
    std::size_t const n = in.size(), all = blocks(n), most = capacity(n), size = block_size(n);
    if (n == 0) return 0;
    detail::scratch memory(scratch);
    auto* const index = memory.take<std::uint32_t>(most);
    auto* const sent = memory.take<float>(most);
    auto* const means = memory.take<float>(all);
    float const bound = root_mean_squares(ex, in, memory, {means, all});
    auto const start = static_cast<std::size_t>(detail::overflow_start(at.at, at.tensor, all));
    auto const found =
        detail::select_reaching(ex, {means, all}, detail::reaching_key(bound), most, start, memory, index, sent);
    detail::counted_header{static_cast<std::uint32_t>(found.selected), static_cast<std::uint32_t>(found.left_out)}
        .write(side);
    detail::encode_indices(ex, layout(n), {index, found.selected}, side.data() + header_bytes);
    detail::parallel_ranges(ex, found.selected, size, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        std::size_t const first = index[i] * size, count = std::min(size, n - first);
        std::memcpy(carrier.data() + i * size, in.data() + first, count * sizeof(float));
      }
    });
    return carrier_count(side, n);
  }
  [[nodiscard]] std::size_t carrier_count(std::span<std::byte const> side, std::size_t n) const {
    std::size_t const all = blocks(n), selected = detail::counted_header::count(side, all, capacity(n), name);
    return selected == 0 ? 0 : selected * block_size(n) - (sends_last(side, all) ? all * block_size(n) - n : 0);
  }
  void decode(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
              std::span<float> out, std::span<std::byte>, pass_options const&) const {
    std::size_t const n = out.size(), size = block_size(n);
    auto const clear = [&](std::size_t from, std::size_t to) {
      if (from < to) std::memset(out.data() + from, 0, (to - from) * sizeof(float));
    };
    if (carrier.empty()) {
      expect_silent(ex, side, n);
      return detail::parallel_ranges(ex, n, 1, clear);
    }
    detail::coded_indices const places = selected_blocks(ex, side, carrier.size(), n);
    places.visit_ranges([&](std::size_t entry, std::span<std::uint32_t const> index, std::size_t from, std::size_t to) {
      std::size_t at = from * size;
      for (std::size_t i = 0; i < index.size(); ++i) {
        std::size_t const first = index[i] * size, count = std::min(size, n - first);
        clear(at, first);
        float const* const x = carrier.data() + (entry + i) * size;
        detail::run_narrow(places.isa(), [&] {
          for (std::size_t j = 0; j < count; ++j) out[first + j] = detail::canonical(x[j]);
        });
        at = first + count;
      }
      clear(at, std::min(to * size, n));
    });
  }
  void accumulate(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
                  std::span<float> out, float sign, pass_options const&) const {
    std::size_t const n = out.size(), size = block_size(n);
    if (carrier.empty()) return expect_silent(ex, side, n);
    detail::coded_indices const places = selected_blocks(ex, side, carrier.size(), n);
    places.visit([&](std::size_t entry, std::span<std::uint32_t const> index) {
      for (std::size_t i = 0; i < index.size(); ++i) {
        std::size_t const first = index[i] * size, count = std::min(size, n - first);
        float const* const x = carrier.data() + (entry + i) * size;
        detail::run_narrow(places.isa(), [&] {
          for (std::size_t j = 0; j < count; ++j) out[first + j] = detail::add_signed(out[first + j], sign, x[j]);
        });
      }
    });
  }

 private:
  /// Values whose squares are summed at once.
  [[nodiscard]] std::size_t piece() const { return whole_tensor ? detail::tile_values : block; }
  /// Of every block, and the bound. A block that holds what is not finite gets infinity.
  [[nodiscard]] float root_mean_squares(host_exec const& ex, std::span<float const> in, detail::scratch memory,
                                        std::span<float> means) const {
    instruction_set const isa = detail::resolve_isa(ex);
    std::size_t const n = in.size(), size = piece(), pieces = detail::ceil_div(n, size);
    auto* const squares = memory.take<double>(pieces);
    auto* const bad = memory.take<std::uint32_t>(pieces);
    detail::parallel_ranges(ex, pieces, size, [&](std::size_t begin, std::size_t end) {
      auto const sum_pieces = [&]<std::size_t Sums>(std::integral_constant<std::size_t, Sums>) {
        detail::run_narrow(isa, [&] {
          for (std::size_t p = begin; p < end; ++p) {
            std::size_t const first = p * size, count = std::min(size, n - first);
            float const* const x = in.data() + first;
            std::uint32_t largest = 0;
            for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, detail::magnitude_key(x[i]));
            squares[p] = detail::scan_sum<detail::finite_squares, 0, Sums>(x, count);
            bad[p] = largest >= detail::inf_bits;
          }
        });
      };
      // Small blocks would spend their time on adding zeros.
      if (size <= 32)
        sum_pieces(std::integral_constant<std::size_t, 32>{});
      else if (size <= 64)
        sum_pieces(std::integral_constant<std::size_t, 64>{});
      else
        sum_pieces(std::integral_constant<std::size_t, detail::partial_sums>{});
    });
    auto const total = [&] { return detail::sum_as_in_tile(pieces, [&](std::size_t p) { return squares[p]; }); };
    if (whole_tensor) {
      means[0] = detail::root_mean_square(total(), n, std::any_of(bad, bad + pieces, [](auto b) { return b > 0; }));
      return value;
    }
    float largest = 0;
    for (std::size_t b = 0; b < means.size(); ++b) {
      means[b] = detail::root_mean_square(squares[b], std::min<std::size_t>(block, n - b * block), bad[b] > 0);
      if (bad[b] == 0) largest = std::max(largest, means[b]);
    }
    return value > 0 ? value : detail::relative_bound(relative, total(), n, largest);
  }
  /// The last block, of `all`, is among those sent.
  static bool sends_last(std::span<std::byte const> side, std::size_t all) {
    std::size_t const at = header_bytes + (all - 1) / 8;
    return at < side.size() && (static_cast<unsigned>(side[at]) >> ((all - 1) % 8) & 1u) != 0;
  }
  [[nodiscard]] detail::coded_indices selected_blocks(host_exec const& ex, std::span<std::byte const> side,
                                                      std::size_t carried, std::size_t n) const {
    detail::counted_header::expect_carried(carrier_count(side, n), carried, name);
    return {ex,
            layout(n),
            detail::counted_header::behind(side),
            detail::counted_header::read(side, name).selected,
            block_size(n),
            name};
  }
  void expect_silent(host_exec const& ex, std::span<std::byte const> side, std::size_t n) const {
    detail::counted_header::expect_carried(carrier_count(side, n), 0, name);
    detail::expect_no_indices(ex, layout(n), detail::counted_header::behind(side), name);
  }
};

template <> inline constexpr bool detail::standard_stage<block_threshold> = true;

CCOMP_END

#if CCOMP_DEVICE_CODE
#include <ccomp/sparsify/block_threshold.cuh>
#endif
