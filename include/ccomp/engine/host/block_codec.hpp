#pragma once
/// The five passes of a segment that ends in a quantizer, a cast or raw values: one trip through memory, tile by tile.

#include <ccomp/core/program.hpp>
#include <ccomp/core/residual.hpp>
#include <ccomp/engine/host/convert.hpp>
#include <ccomp/engine/host/ops.hpp>
#include <ccomp/engine/host/parallel.hpp>
#include <ccomp/engine/host/pass_context.hpp>
#include <ccomp/engine/host/random.hpp>

#include <cmath>

CCOMP_BEGIN
namespace detail {

struct tile_buffers {
  alignas(64) float values[tile_values];
  alignas(64) float decoded[tile_values];
  alignas(64) float residual[tile_values];
  alignas(64) std::uint8_t codes[tile_values];
  alignas(64) std::uint16_t random[tile_values];
};

[[gnu::always_inline]] inline void add_residual(float const* CCOMP_RESTRICT r, float decay,
                                                float const* CCOMP_RESTRICT x, std::size_t n, float* CCOMP_RESTRICT v) {
  if (decay == 1.0f)
    for (std::size_t i = 0; i < n; ++i) v[i] = with_residual(x[i], 1.0f, r[i]);
  else
    for (std::size_t i = 0; i < n; ++i) v[i] = with_residual(x[i], decay, r[i]);
}
/// residual = v - decoded, except where decoded is not finite: there it stays.
[[gnu::always_inline]] inline void update_residual(float const* CCOMP_RESTRICT v, float const* CCOMP_RESTRICT decoded,
                                                   std::size_t n, float* CCOMP_RESTRICT r) {
  for (std::size_t i = 0; i < n; ++i) {
    auto const left = left_out(v[i], decoded[i]);
    r[i] = left.counts ? left.value : r[i];
  }
}
/// residual += error, where that is finite.
[[gnu::always_inline]] inline void add_error(float const* CCOMP_RESTRICT error, std::size_t n,
                                             float* CCOMP_RESTRICT r) {
  for (std::size_t i = 0; i < n; ++i) {
    float const sum = add(r[i], error[i]);
    r[i] = is_finite(sum) ? sum : r[i];
  }
}
[[gnu::always_inline]] inline void fill_nan(float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = canonical_nan();
}
inline void multiply_loop(float* x, std::size_t n, float factor) {
  for (std::size_t i = 0; i < n; ++i) x[i] = mul(x[i], factor);
}
/// The end of every sum: one division by the number of ranks (1: none), and one kind of NaN.
[[gnu::always_inline]] inline void finish_sum(float* x, std::size_t n, float divisor) {
  float const inverse = div(1.0f, divisor);
  if (has_exact_inverse(divisor))  // a product is cheaper
    for (std::size_t i = 0; i < n; ++i) x[i] = canonical(mul(x[i], inverse));
  else
    for (std::size_t i = 0; i < n; ++i) x[i] = canonical(div(x[i], divisor));
}

/// bfloat16 by stochastic rounding: a residual rounded to nearest stalls, because small steps vanish.
[[gnu::always_inline]] inline void narrow_stochastic(float const* CCOMP_RESTRICT x,
                                                     std::uint16_t const* CCOMP_RESTRICT random, std::size_t n,
                                                     bfloat16* CCOMP_RESTRICT out) {
  for (std::size_t i = 0; i < n; ++i) out[i].bits = stochastic_bfloat16(x[i], random[i]);
}

/// A residual tile as floats for as long as a tile is worked on.
class residual_tile {
 public:
  residual_tile(pass_context const& c, residual_ref r, std::size_t first, std::size_t n, tile_buffers& b)
      : context_(c), ref_(r), first_(first), n_(n), buffers_(b) {
    if (!r) return;
    if (r.type == element_type::float32) {
      data_ = static_cast<float*>(r.data) + first;
    } else {
      data_ = b.residual;
      widen(c.isa, static_cast<bfloat16 const*>(r.data) + first, n, data_);
    }
  }
  [[nodiscard]] float* data() const { return data_; }
  void commit() const {
    if (!ref_ || ref_.type == element_type::float32) return;
    auto* const out = static_cast<bfloat16*>(ref_.data) + first_;
    fill_random16(context_.isa, context_.stream(0, use_residual), context_.first + first_, buffers_.random, n_);
    run(context_.isa, [&] { narrow_stochastic(data_, buffers_.random, n_, out); });
  }

 private:
  pass_context const& context_;
  residual_ref ref_;
  std::size_t first_, n_;
  tile_buffers& buffers_;
  float* data_ = nullptr;
};

inline void forward(program transforms, pass_context const& c, float* x, std::size_t n, std::uint64_t first) {
  for (auto const& t : transforms) t.host->transform->forward(t.stage, c.isa, x, n, c.first + first, c.at);
}
inline void inverse(program transforms, pass_context const& c, float* x, std::size_t n, std::uint64_t first) {
  for (std::size_t i = transforms.size(); i-- > 0;)
    transforms[i].host->transform->inverse(transforms[i].stage, c.isa, x, n, c.first + first, c.at);
}

[[gnu::always_inline]] inline void add_loop(float* CCOMP_RESTRICT acc, float const* CCOMP_RESTRICT x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) acc[i] = add(acc[i], x[i]);
}
/// A tile of floats to memory past the caches, converted first if need be.
inline void store_streaming(instruction_set isa, float const* x, std::size_t n, values out, std::size_t first,
                            tile_buffers& b) {
  void const* from = x;
  if (out.type != element_type::float32) {
    store(isa, x, n, {b.random, out.type, n}, 0);
    from = b.random;
  }
  stream(isa, from, n * element_bytes(out.type), advance(out.data, out.type, first));
}

/// A block segment with the sizes of one tensor or chunk worked out: codes and decodes single tiles of it.
class block_codec {
 public:
  block_codec(segment const& s, pass_context const& c, std::size_t n, element_type type)
      : segment_(s),
        context_(c),
        quantizer_(s.quantizer()),
        loops_(s.quantizer() ? s.end.host->quantizer : nullptr),
        raw_type_(s.cast() ? *s.cast() : carried_type(s, type)) {
    if (quantizer_) {
      layout_ = layout_of(s.end, n);
      block_ = quantizer_->block(s.end.stage);
      parameter_bytes_ = quantizer_->parameter_bytes(s.end.stage);
      stochastic_ = quantizer_->stochastic(s.end.stage);
    }
    streaming_ = !quantizer_ && n * element_bytes(raw_type_) >= streaming_bytes;
    if (!quantizer_ && raw_type_ == element_type::float16) prescale_ = std::ldexp(1.0f, c.prescale_log2);
  }

  /// Codes n values that stand at `first`; returns where their codes are (for `residual` and `decode_codes`).
  std::uint8_t const* encode(float const* x, std::size_t first, std::size_t n, std::byte* payload, tile_buffers& b,
                             float const* ahead) const {
    if (!quantizer_) {
      if (prescale_ != 1.0f) {
        run(context_.isa, [&] {
          for (std::size_t i = 0; i < n; ++i) b.decoded[i] = mul(x[i], prescale_);
        });
        x = b.decoded;
      } else if (raw_type_ == element_type::float32) {  // sums and products of NaNs differ from engine to engine
        run(context_.isa, [&] {
          for (std::size_t i = 0; i < n; ++i) b.decoded[i] = canonical(x[i]);
        });
        x = b.decoded;
      }
      constexpr std::size_t batch = 512;
      for (std::size_t i = 0; i < n; i += batch) {
        std::size_t const m = std::min(batch, n - i);
        prefetch_values(ahead + i, m);
        if (streaming_)
          store_streaming(context_.isa, x + i, m, {payload, raw_type_, 0}, first + i, b);
        else
          store(context_.isa, x + i, m, {payload, raw_type_, 0}, first + i);
      }
      return nullptr;
    }
    if (stochastic_)
      fill_random16(context_.isa, context_.stream(quantizer_->seed(segment_.end.stage), use_rounding),
                    context_.first + first, b.random, n);
    std::byte* const packed = payload + layout_.side + packed_bytes(first, quantizer_->bits);
    std::uint8_t* const codes = loops_->pack ? b.codes : reinterpret_cast<std::uint8_t*>(packed);
    loops_->with_encoder(segment_.end.stage, [&](void const* pieces, encode_loop code) {
      code(pieces, context_.isa, block_, x, n, side_at(payload, first), codes, b.random, ahead);
    });
    if (loops_->pack) loops_->pack(context_.isa, codes, n, reinterpret_cast<std::uint8_t*>(packed));
    return codes;
  }
  void decode(std::byte const* payload, std::size_t first, std::size_t n, float* out, tile_buffers& b) const {
    if (!quantizer_) return decode_raw(payload, first, n, out);
    auto const* const codes = unpack(payload, first, n, b);
    loops_->with_decoder(segment_.end.stage, [&](void const* pieces, decode_loops const& loops) {
      loops.decode(pieces, context_.isa, block_, side_at(payload, first), codes, n, out);
    });
  }
  void accumulate(std::byte const* payload, std::size_t first, std::size_t n, float* out, tile_buffers& b) const {
    if (!quantizer_) {
      decode_raw(payload, first, n, b.decoded);
      return run(context_.isa, [&] { add_loop(out, b.decoded, n); });
    }
    auto const* const codes = unpack(payload, first, n, b);
    loops_->with_decoder(segment_.end.stage, [&](void const* pieces, decode_loops const& loops) {
      loops.accumulate(pieces, context_.isa, block_, side_at(payload, first), codes, n, out);
    });
  }
  /// residual = v - what was just encoded; `codes` is what encode returned.
  void residual(std::byte const* payload, std::uint8_t const* codes, std::size_t first, std::size_t n, float const* v,
                float* r, tile_buffers& b) const {
    if (!quantizer_) {
      decode_raw(payload, first, n, b.decoded);
      return run(context_.isa, [&] { update_residual(v, b.decoded, n, r); });
    }
    loops_->with_decoder(segment_.end.stage, [&](void const* pieces, decode_loops const& loops) {
      loops.residual(pieces, context_.isa, block_, side_at(payload, first), codes, n, v, r);
    });
  }

 private:
  template <class Byte> Byte* side_at(Byte* payload, std::size_t first) const {
    return payload + first / block_ * parameter_bytes_;
  }
  std::uint8_t const* unpack(std::byte const* payload, std::size_t first, std::size_t n, tile_buffers& b) const {
    auto const* packed =
        reinterpret_cast<std::uint8_t const*>(payload + layout_.side + packed_bytes(first, quantizer_->bits));
    if (!loops_->unpack) return packed;
    loops_->unpack(context_.isa, packed, n, b.codes);
    return b.codes;
  }
  void decode_raw(std::byte const* payload, std::size_t first, std::size_t n, float* out) const {
    float const* const x = load(context_.isa, {payload, raw_type_, 0}, first, n, out);
    if (x != out) std::memcpy(out, x, n * sizeof(float));
    if (prescale_ != 1.0f) run(context_.isa, [&] { multiply_loop(out, n, 1.0f / prescale_); });
  }

  segment segment_;
  pass_context context_;
  quantizer_facts const* quantizer_;
  quantizer_loops const* loops_;
  element_type raw_type_;
  quantizer_layout layout_{};
  std::size_t block_ = 1, parameter_bytes_ = 0;
  bool stochastic_ = false, streaming_ = false;
  float prescale_ = 1;
};

/// Zeros from `used` bytes on to the next multiple of 16, so that a payload is a function of its values alone; `at` may
/// be null if nothing is used.
inline void zero_padding(std::byte* at, std::size_t used) {
  if (used < pad16(used)) std::memset(at + used, 0, pad16(used) - used);
}
inline void zero_padding(segment const& s, std::size_t n, element_type type, std::byte* payload) {
  if (auto const* q = s.quantizer()) {
    zero_padding(payload, ceil_div(n, q->block(s.end.stage)) * q->parameter_bytes(s.end.stage));
    zero_padding(payload + layout_of(s.end, n).side, packed_bytes(n, q->bits));
  } else {
    zero_padding(payload, n * element_bytes(s.cast() ? *s.cast() : carried_type(s, type)));
  }
}

template <class F> void for_each_tile(pass_context const& c, std::size_t n, F const& f) {
  parallel_ranges(c.ex, ceil_div(n, tile_values), tile_values, [&](std::size_t begin, std::size_t end) {
    tile_buffers buffers;
    for (std::size_t t = begin; t < end; ++t) f(t * tile_values, std::min(tile_values, n - t * tile_values), buffers);
    stream_end();  // for tiles that were stored past the caches
  });
}

/// Encode, and encode with feedback.
inline void encode_blocks(segment const& s, pass_context const& c, const_values in, element_type type, residual_ref r,
                          std::byte* payload) {
  block_codec const codec(s, c, in.n, type);
  for_each_tile(c, in.n, [&](std::size_t first, std::size_t n, tile_buffers& b) {
    float const* x = load(c.isa, in, first, n, b.values);
    // While a tile in the cache is coded, the memory fetches what comes next: a little further on where the values are
    // read as they are coded, the whole next tile where they were summed with the residual first.
    bool const direct = in.type == element_type::float32;
    float const* const soon = direct && !r && s.transforms.empty() ? x + prefetch_distance
                              : direct                             ? x + tile_values
                                                                   : x;
    if (!r) {
      if (!s.transforms.empty()) {
        if (x != b.values) std::memcpy(b.values, x, n * sizeof(float));
        forward(s.transforms, c, b.values, n, first);
        x = b.values;
      }
      codec.encode(x, first, n, payload, b, soon);
      return;
    }
    residual_tile const residual(c, r, first, n, b);
    if (s.transforms.empty()) {
      if (x == b.values) {  // 16-bit input was converted into the buffer that the sum goes to
        std::memcpy(b.decoded, x, n * sizeof(float));
        x = b.decoded;
      }
      run(c.isa, [&] { add_residual(residual.data(), r.decay, x, n, b.values); });
      auto const* const codes = codec.encode(b.values, first, n, payload, b, soon);
      codec.residual(payload, codes, first, n, b.values, residual.data(), b);
    } else {
      alignas(64) float sum[tile_values];
      run(c.isa, [&] { add_residual(residual.data(), r.decay, x, n, sum); });
      std::memcpy(b.values, sum, n * sizeof(float));
      forward(s.transforms, c, b.values, n, first);
      codec.encode(b.values, first, n, payload, b, soon);
      codec.decode(payload, first, n, b.values, b);
      inverse(s.transforms, c, b.values, n, first);
      run(c.isa, [&] { update_residual(sum, b.values, n, residual.data()); });
    }
    residual.commit();
  });
}

/// out = the sum of the payloads in their order (one payload: decode), divided by `divisor`. `add_to_out`: out +=
/// instead.
inline void decode_blocks(segment const& s, pass_context const& c, std::span<std::byte const* const> payloads,
                          element_type type, values out, float divisor, bool add_to_out = false) {
  block_codec const codec(s, c, out.n, type);
  bool const streaming = !add_to_out && out.n * element_bytes(out.type) >= streaming_bytes;
  bool const in_place = out.type == element_type::float32 && !streaming;
  for_each_tile(c, out.n, [&](std::size_t first, std::size_t n, tile_buffers& b) {
    alignas(64) float sum[tile_values];
    float* const acc = in_place ? static_cast<float*>(out.data) + first : sum;
    bool const onto = add_to_out && s.transforms.empty();
    if (onto && !in_place) static_cast<void>(load(c.isa, out, first, n, sum));
    if (add_to_out && !onto) {  // the transform is undone before the addition, so the old values wait
      float const* const old = load(c.isa, out, first, n, b.residual);
      if (old != b.residual) std::memcpy(b.residual, old, n * sizeof(float));
    }
    if (onto)
      codec.accumulate(payloads[0], first, n, acc, b);
    else
      codec.decode(payloads[0], first, n, acc, b);
    for (std::size_t p = 1; p < payloads.size(); ++p) codec.accumulate(payloads[p], first, n, acc, b);
    inverse(s.transforms, c, acc, n, first);
    if (add_to_out && !onto) run(c.isa, [&] { add_loop(acc, b.residual, n); });
    if (payloads.size() > 1 || divisor != 1.0f || add_to_out || !s.transforms.empty())
      run(c.isa, [&] { finish_sum(acc, n, divisor); });
    if (streaming)
      store_streaming(c.isa, acc, n, out, first, b);
    else if (!in_place)
      store(c.isa, acc, n, out, first);
  });
}

/// The owner's half of two_shot: sum the payloads of one chunk, encode the sum; what that leaves out joins the
/// residual. Transforms are linear and shared by the ranks, so the sum is coded as it is, without leaving their domain.
inline void reduce_blocks(segment const& s, pass_context const& decode, pass_context const& encode,
                          std::span<std::byte const* const> payloads, std::size_t chunk, element_type type,
                          residual_ref r, std::byte* result) {
  block_codec const source(s, decode, chunk, type), target(s, encode, chunk, type);
  for_each_tile(encode, chunk, [&](std::size_t first, std::size_t n, tile_buffers& b) {
    alignas(64) float sum[tile_values];
    source.decode(payloads[0], first, n, sum, b);
    for (std::size_t p = 1; p < payloads.size(); ++p) source.accumulate(payloads[p], first, n, sum, b);
    auto const* const codes = target.encode(sum, first, n, result, b, sum);
    if (!r) return;
    for (std::size_t i = 0; i < n; ++i) b.values[i] = 0;  // a bad block leaves no error behind
    target.residual(result, codes, first, n, sum, b.values, b);
    inverse(s.transforms, encode, b.values, n, first);
    residual_tile const residual(encode, r, first, n, b);
    run(encode.isa, [&] { add_error(b.values, n, residual.data()); });
    residual.commit();
  });
}

}  // namespace detail
CCOMP_END
