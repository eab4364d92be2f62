#pragma once
/// Sums over ranks with one scale for all of them: a maximum of magnitudes, then integer codes added in flight.

#include <ccomp/core/communicator.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/host/block_codec.hpp>
#include <ccomp/engine/host/random.hpp>
#include <ccomp/quantize/shared_pieces.hpp>

#include <utility>
#include <vector>

CCOMP_BEGIN
namespace detail {

template <class F> void with_integer(wire_type type, F const& f) {
  if (type == wire_type::int8) return f(std::int8_t{});
  if (type == wire_type::int16) return f(std::int16_t{});
  f(std::int32_t{});
}

template <class Integer>
[[gnu::always_inline]] inline void integer_loop(std::uint8_t const* CCOMP_RESTRICT codes, std::int32_t bias,
                                                std::size_t n, Integer* CCOMP_RESTRICT out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<Integer>(std::int32_t{codes[i]} - bias);
}
template <class Integer>
[[gnu::always_inline]] inline void shared_value_loop(float scale, Integer const* CCOMP_RESTRICT codes, std::size_t n,
                                                     float* CCOMP_RESTRICT out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = mul(static_cast<float>(static_cast<std::int32_t>(codes[i])), scale);
}

/// The multi-round protocol of a symmetric quantizer whose blocks share their scales over the ranks.
class shared_sum {
 public:
  static std::size_t scratch_bytes(std::size_t block, std::int32_t levels, reduce_shape const& shape) {
    std::size_t blocks = 0, values = 0;
    for (std::size_t const n : shape.sizes) blocks += ceil_div(n, block), values += n;
    return scratch::bytes_for<std::uint32_t>(blocks) +
           scratch::bytes_for<std::byte>(values * wire_bytes(sum_type(levels, shape.ranks)));
  }

  shared_sum(shared_pieces const& pieces, std::size_t block, std::uint64_t seed, host_exec const& ex,
             reduce_call const& call, wire_type type)
      : pieces_(pieces),
        block_(block),
        seed_(seed),
        context_(ex, call.at),
        call_(call),
        residual_{call.residual, call.residual_type, call.decay},
        n_(call.in.n),
        type_(type) {}

  /// All tensors of a call: one message of all maxima, one of all codes. Returns the bytes sent.
  static std::size_t run_rounds(shared_pieces const& pieces, std::size_t block, std::uint64_t seed, host_exec const& ex,
                                communicator_ref& comm, std::span<reduce_call const> calls,
                                std::span<std::byte> memory) {
    wire_type const type = sum_type(pieces.levels, comm.size());
    std::vector<shared_sum> tensors;
    std::size_t blocks = 0, values = 0;
    for (auto const& call : calls) {
      auto const& t = tensors.emplace_back(pieces, block, seed, ex, call, type);
      blocks += t.blocks();
      values += t.n_;
    }
    scratch room(memory);
    auto* const keys = room.take<std::uint32_t>(blocks);
    auto* const codes = room.take<std::byte>(values * wire_bytes(type));
    auto* next_keys = keys;
    auto* next_codes = codes;
    for (auto& t : tensors) {
      t.keys_ = std::exchange(next_keys, next_keys + t.blocks());
      t.codes_ = std::exchange(next_codes, next_codes + t.n_ * wire_bytes(type));
      t.find_maxima();
    }
    comm.all_reduce(ex, keys, blocks, wire_type::uint32, wire_op::max);
    for (auto const& t : tensors) t.encode();
    comm.all_reduce(ex, codes, values, type, wire_op::sum);
    for (auto const& t : tensors) {
      float const divisor = t.call_.mean ? static_cast<float>(comm.size()) : 1.0f;
      with_integer(type, [&](auto integer) { t.decode(reinterpret_cast<decltype(integer)*>(t.codes_), divisor); });
    }
    return all_reduce_bytes(blocks * sizeof(std::uint32_t), comm.size()) +
           all_reduce_bytes(values * wire_bytes(type), comm.size());
  }

 private:
  [[nodiscard]] std::size_t blocks() const { return ceil_div(n_, block_); }
  template <class F> void for_each_block(std::size_t first, std::size_t n, F const& f) const {
    for (std::size_t at = 0; at < n; at += block_) f((first + at) / block_, at, std::min(block_, n - at));
  }
  [[nodiscard]] shared_pieces::parameters parameters_of(std::size_t block) const {
    return pieces_.fit(max_abs{keys_[block]}, block_);
  }
  [[nodiscard]] bool bad(std::size_t block) const { return keys_[block] >= inf_bits; }

  /// x, or x + decay * residual: in the caller's memory, or in `out`.
  float const* sum(std::size_t first, std::size_t n, residual_tile const& residual, tile_buffers& b, float* out) const {
    float const* const x = load(context_.isa, call_.in, first, n, b.values);
    if (!residual_) return x;
    run(context_.isa, [&] { add_residual(residual.data(), residual_.decay, x, n, out); });
    return out;
  }
  /// The same behind the transforms.
  float const* transformed(float const* v, std::size_t first, std::size_t n, float* out) const {
    if (call_.transforms.empty()) return v;
    if (v != out) std::memcpy(out, v, n * sizeof(float));
    forward(call_.transforms, context_, out, n, first);
    return out;
  }

  // The sum is formed again in `encode` rather than stored: reading twice costs less than a tensor of scratch, and a
  // transport that fails in the first round leaves the residual as it was.
  void find_maxima() const {
    for_each_tile(context_, n_, [&](std::size_t first, std::size_t n, tile_buffers& b) {
      residual_tile const residual(context_, residual_, first, n, b);
      float const* const y = transformed(sum(first, n, residual, b, b.decoded), first, n, b.decoded);
      run(context_.isa, [&] {
        for_each_block(first, n, [&](std::size_t block, std::size_t at, std::size_t m) {
          keys_[block] = scan<max_abs>(y + at, m).key;
        });
      });
    });
  }

  void encode() const {
    for_each_tile(context_, n_, [&](std::size_t first, std::size_t n, tile_buffers& b) {
      alignas(64) float buffer[tile_values];
      residual_tile const residual(context_, residual_, first, n, b);
      float const* const v = sum(first, n, residual, b, buffer);
      float const* const y = transformed(v, first, n, b.values);
      if (pieces_.at_random) fill_random16(context_.isa, context_.stream(seed_, use_rounding), first, b.random, n);
      run(context_.isa, [&] {
        for_each_block(first, n, [&](std::size_t block, std::size_t at, std::size_t m) {
          if (bad(block)) {
            std::memset(b.codes + at, pieces_.bias, m);
            if (residual_) fill_nan(b.decoded + at, m);
            return;
          }
          auto const p = parameters_of(block);
          if (pieces_.at_random)
            code_loop(symmetric_pieces<rounding::stochastic>{pieces_}, p, y + at, m, b.codes + at, b.random + at);
          else
            code_loop(symmetric_pieces<rounding::nearest>{pieces_}, p, y + at, m, b.codes + at, b.random + at);
          if (residual_) value_loop(pieces_.decoder(), p, b.codes + at, m, b.decoded + at);
        });
      });
      with_integer(type_, [&](auto integer) {
        auto* const out = reinterpret_cast<decltype(integer)*>(codes_) + first;
        run(context_.isa, [&] { integer_loop(b.codes, pieces_.bias, n, out); });
      });
      if (!residual_) return;
      inverse(call_.transforms, context_, b.decoded, n, first);
      run(context_.isa, [&] { update_residual(v, b.decoded, n, residual.data()); });
      residual.commit();
    });
  }

  template <class Integer> void decode(Integer const* sums, float divisor) const {
    for_each_tile(context_, n_, [&](std::size_t first, std::size_t n, tile_buffers& b) {
      run(context_.isa, [&] {
        for_each_block(first, n, [&](std::size_t block, std::size_t at, std::size_t m) {
          if (bad(block)) return fill_nan(b.values + at, m);
          shared_value_loop(parameters_of(block).scale, sums + first + at, m, b.values + at);
        });
      });
      inverse(call_.transforms, context_, b.values, n, first);
      run(context_.isa, [&] { finish_sum(b.values, n, divisor); });
      store(context_.isa, b.values, n, call_.out, first);
    });
  }

  shared_pieces pieces_;
  std::size_t block_;
  std::uint64_t seed_;
  pass_context context_;
  reduce_call const& call_;
  residual_ref residual_;
  std::size_t n_;
  wire_type type_;
  std::uint32_t* keys_ = nullptr;
  std::byte* codes_ = nullptr;
};

}  // namespace detail
CCOMP_END
