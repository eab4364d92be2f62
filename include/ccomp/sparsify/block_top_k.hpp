#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/host/block_selection.hpp>
#include <ccomp/engine/host/scatter.hpp>
#include <ccomp/sparsify/selected_count.hpp>

CCOMP_BEGIN

/// Selects the `count` values of largest magnitude of each block, exactly.
///
/// Shapes:      in [n] -> m indices, carrier [m] in ascending order of index; m = count floor(n / block) +
///              min(count, n mod block)
/// Payload:     pad16(8 ceil(m log2(block) / 64)) + the carrier's payload; depends on n only. An index is sent as its
///              place within the block, log2(block) bits
/// Ties:        of equal magnitudes in a block, the one with the smaller index is selected
/// Guarantee:   in each block, no other choice of `count` values has a smaller error; contraction count / block
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    rank above all other values of their block (NaN above Inf, by their bits) and are sent unchanged
/// Throws:      invalid_argument: block is not a power of two in 16..4096; count is not in 1..block; n >= 2^32;
///              payload_error: places that do not ascend within their block or lie behind the tensor's end; checked
///              before anything is written
/// Source:      chunks as in Sarfi, Therien, Lidin, Belilovsky, "Communication Efficient LLM Pre-training with
///              SparseLoCo", 2025 (arXiv 2508.15706): 64 of 4096
struct block_top_k {
  static constexpr std::string_view name = "block_top_k";
  static constexpr bool is_linear = false;
  static constexpr bool is_unbiased = false;

  std::uint32_t count = 64;
  std::uint32_t block = 4096;
  std::size_t payloads = 1;  // set by sum_of: room for what so many payloads hold

  static constexpr auto fields() {
    return std::tuple{field{"count", &block_top_k::count}, field{"block", &block_top_k::block}};
  }
  void validate() const {
    detail::expects(count >= 1 && count <= block, [&] {
      return detail::sentence("block_top_k: count must lie in 1..block, which is ", block, ", got ", count);
    });
  }

  [[nodiscard]] std::size_t carrier_size(std::size_t n) const { return layout(n).room; }
  /// Keeps all values of the sum of so many payloads.
  [[nodiscard]] block_top_k sum_of(std::size_t number) const {
    block_top_k wide = *this;
    wide.payloads = number;
    return wide;
  }
  [[nodiscard]] std::size_t side_bytes(std::size_t n) const { return layout(n).bytes(); }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    return detail::scratch::bytes_for<std::uint32_t>(carrier_size(n));
  }
  /// How many values of a whole block are selected.
  [[nodiscard]] std::size_t per_block() const { return detail::selected_of_sum(count, payloads, block); }
  [[nodiscard]] index_layout layout(std::size_t n) const {
    detail::expect_indexable(n, name);
    return index_layout::in_blocks(n, block, per_block());
  }
  [[nodiscard]] double contraction(std::size_t) const {
    return static_cast<double>(per_block()) / static_cast<double>(block);
  }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte> scratch, pass_options const&) const {
    std::size_t const n = in.size(), each = per_block();
    auto* const index = detail::scratch(scratch).take<std::uint32_t>(carrier_size(n));
    instruction_set const isa = detail::resolve_isa(ex);
    detail::parallel_ranges(ex, detail::ceil_div(n, block), block, [&](std::size_t begin, std::size_t end) {
      detail::block_candidates spare;
      for (std::size_t b = begin; b < end; ++b) {
        std::size_t const first = b * block, size = std::min<std::size_t>(block, n - first);
        detail::select_in_block(isa, in.data() + first, size, std::min(each, size), static_cast<std::uint32_t>(first),
                                spare, index + b * each, carrier.data() + b * each);
      }
    });
    detail::encode_indices(ex, layout(n), {index, carrier.size()}, side.data());
    return carrier.size();
  }
  void decode(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
              std::span<float> out, std::span<std::byte>, pass_options const&) const {
    detail::scatter(ex, layout(out.size()), side, carrier, out, name);
  }
  void accumulate(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
                  std::span<float> out, float sign, pass_options const&) const {
    detail::scatter_add(ex, layout(out.size()), side, carrier, out, sign, name);
  }
  void read_indices(host_exec const& ex, std::span<std::byte const> side, std::span<std::uint32_t> index,
                    std::size_t n) const {
    detail::read_indices(ex, layout(n), side, index, name);
  }
};

template <> inline constexpr bool detail::standard_stage<block_top_k> = true;

CCOMP_END

#if CCOMP_DEVICE_CODE
#include <ccomp/sparsify/block_top_k.cuh>
#endif
