#pragma once
/// What program_codec.hpp declares.

#include <ccomp/core/payload.hpp>
#include <ccomp/engine/host/block_codec.hpp>
#include <ccomp/engine/host/program_codec.hpp>
#include <ccomp/engine/host/sparse_sum.hpp>

#include <vector>

CCOMP_BEGIN
namespace detail {

/// Sums and products of NaNs differ from engine to engine; payloads may hold values as they are, so there is one kind.
[[gnu::always_inline]] inline void canonicalise(float* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] = canonical(x[i]);
}

/// Puts v = decay r + x in place of the residual, tile by tile. A tile whose sum is not finite keeps its old residual
/// in `saved` (its flag tells), so that the call can end with no NaN in any residual.
inline void fold_into_residual(pass_context const& c, const_values in, residual_ref r, float* v, float* saved,
                               std::uint8_t* flags) {
  for_each_tile(c, in.n, [&](std::size_t first, std::size_t n, tile_buffers& b) {
    float const* x = load(c.isa, in, first, n, b.values);
    residual_tile const residual(c, r, first, n, b);
    std::uint32_t worst = 0;
    run_narrow(c.isa, [&] {
      add_residual(residual.data(), r.decay, x, n, b.decoded);
      worst = scan<max_abs>(b.decoded, n).key;
    });
    flags[first / tile_values] = worst >= inf_bits;
    if (worst >= inf_bits) {
      std::memcpy(saved + first, residual.data(), n * sizeof(float));
      run_narrow(c.isa, [&] { canonicalise(b.decoded, n); });
    }
    std::memcpy(v + first, b.decoded, n * sizeof(float));
  });
}
/// Ends what `fold_into_residual` began: v is now what was left out, or not finite where `saved` has to come back.
inline void settle_residual(pass_context const& c, residual_ref r, std::size_t size, float const* v, float const* saved,
                            std::uint8_t const* flags) {
  for_each_tile(c, size, [&](std::size_t first, std::size_t n, tile_buffers& b) {
    bool const flagged = flags[first / tile_values] != 0;
    if (r.type == element_type::float32 && !flagged) return;  // v is the residual's own memory
    std::memcpy(b.residual, v + first, n * sizeof(float));
    if (flagged)
      for (std::size_t i = 0; i < n; ++i)
        if (!is_finite(b.residual[i])) b.residual[i] = saved[first + i];
    if (r.type == element_type::float32) {
      std::memcpy(static_cast<float*>(r.data) + first, b.residual, n * sizeof(float));
    } else {
      auto* const out = static_cast<bfloat16*>(r.data) + first;
      fill_random16(c.isa, c.stream(0, use_residual), c.first + first, b.random, n);
      run_narrow(c.isa, [&] { narrow_stochastic(b.residual, b.random, n, out); });
    }
  });
}

/// out += sign * decoded carrier.
inline void accumulate_vector(segment const& s, pass_context const& c, std::span<std::byte const> side,
                              std::span<float const> carrier, std::span<float> out, float sign, float* spare,
                              std::span<std::byte> stage_scratch) {
  auto const& loops = *s.end.host->vector;
  if (loops.accumulate) return loops.accumulate(s.end.stage, c.ex, side, carrier, out, sign, c.at);
  loops.decode(s.end.stage, c.ex, side, carrier, {spare, out.size()}, stage_scratch, c.at);
  for_each_tile(c, out.size(), [&](std::size_t first, std::size_t n, tile_buffers&) {
    run_narrow(c.isa, [&] {
      for (std::size_t i = first; i < first + n; ++i) out[i] = add_signed(out[i], sign, spare[i]);
    });
  });
}

CCOMP_FUNCTION std::size_t scratch_bytes(program p, std::size_t n) {
  auto const s = first_segment(p);
  auto const* v = s.vector();
  if (!v) return 0;
  std::size_t const m = v->carrier_size(s.end.stage, n);
  return 3 * scratch::bytes_for<float>(n)  // the tensor as floats, its transform, residuals kept for non-finite tiles
         + scratch::bytes_for<std::uint8_t>(ceil_div(n, tile_values)) + 2 * scratch::bytes_for<float>(m) +
         round_up(s.end.host->vector->scratch_bytes(s.end.stage, n), 64) + scratch_bytes(s.tail, m);
}

/// Scratch of one vector segment, carved in one place so that every pass agrees with `scratch_bytes`.
struct vector_scratch {
  float *values, *transformed, *saved, *carrier, *carrier_back;
  std::uint8_t* flags;
  std::span<std::byte> stage;
  scratch tail;

  vector_scratch(segment const& s, std::size_t n, scratch memory) {
    std::size_t const m = s.vector()->carrier_size(s.end.stage, n);
    values = memory.take<float>(n);
    transformed = memory.take<float>(n);
    saved = memory.take<float>(n);
    carrier = memory.take<float>(m);
    carrier_back = memory.take<float>(m);
    flags = memory.take<std::uint8_t>(ceil_div(n, tile_values));
    std::size_t const own = s.end.host->vector->scratch_bytes(s.end.stage, n);
    stage = {memory.take<std::byte>(own), own};
    tail = memory;
  }
};

/// The carrier of one payload as floats.
inline std::span<float const> decode_carrier(segment const& s, pass_context const& c, vector_payload const& p,
                                             element_type type, float* buffer, scratch memory) {
  if (s.tail.empty() && type == element_type::float32)
    return {reinterpret_cast<float const*>(p.tail), p.carrier_values};
  std::byte const* const one[] = {p.tail};
  sum_decoded(s.tail, c, one, p.tail_bytes, type, {buffer, element_type::float32, p.carrier_values}, 1.0f, memory);
  return {buffer, p.carrier_values};
}

inline std::size_t encode_vector(segment const& s, pass_context const& c, const_values in, element_type type,
                                 residual_ref r, std::span<std::byte> payload, scratch memory) {
  auto const& facts = *s.vector();
  auto const& loops = *s.end.host->vector;
  std::size_t const n = in.n;
  element_type const carrier_type = carried_type(s, type);
  vector_scratch m(s, n, memory);
  float* v = m.values;
  float const* source = v;
  if (r) {
    if (r.type == element_type::float32) v = static_cast<float*>(r.data);
    fold_into_residual(c, in, r, v, m.saved, m.flags);
    source = v;
  } else if (in.type == element_type::float32 && s.transforms.empty()) {
    source = static_cast<float const*>(in.data);
  } else {
    for_each_tile(c, n, [&](std::size_t first, std::size_t length, tile_buffers&) {
      float const* const x = load(c.isa, in, first, length, v + first);
      if (x != v + first) std::memcpy(v + first, x, length * sizeof(float));
    });
  }
  if (!s.transforms.empty()) {
    for_each_tile(c, n, [&](std::size_t first, std::size_t length, tile_buffers&) {
      if (m.transformed != source) std::memcpy(m.transformed + first, source + first, length * sizeof(float));
      forward(s.transforms, c, m.transformed + first, length, first);
      run_narrow(c.isa, [&] { canonicalise(m.transformed + first, length); });
    });
    source = m.transformed;
  }

  std::size_t const side_capacity = facts.side_bytes(s.end.stage, n), side_bytes = pad16(side_capacity);
  auto const side = payload.first(side_capacity);
  zero_padding(payload.data(), side_capacity);
  auto const tail_payload = payload.subspan(side_bytes);
  bool const raw = s.tail.empty() && carrier_type == element_type::float32;
  std::span<float> carrier{raw ? reinterpret_cast<float*>(tail_payload.data()) : m.carrier,
                           facts.carrier_size(s.end.stage, n)};
  std::size_t const count = loops.encode(s.end.stage, c.ex, {source, n}, side, carrier, m.stage, c.at);
  carrier = carrier.first(count);
  std::size_t used = side_bytes;
  if (raw) {
    zero_padding(tail_payload.data(), count * sizeof(float));
    used += pad16(count * sizeof(float));
  } else {
    used += encode(s.tail, c, {carrier.data(), element_type::float32, count}, carrier_type, {}, tail_payload, m.tail);
  }
  if (!r) return used;

  vector_payload const sent(s, payload.data(), used, n, carrier_type);
  auto const back = decode_carrier(s, c, sent, carrier_type, m.carrier_back, m.tail);
  if (s.transforms.empty()) {
    accumulate_vector(s, c, sent.side, back, {v, n}, -1.0f, m.transformed, m.stage);
  } else {
    loops.decode(s.end.stage, c.ex, sent.side, back, {m.transformed, n}, m.stage, c.at);
    for_each_tile(c, n, [&](std::size_t first, std::size_t length, tile_buffers&) {
      inverse(s.transforms, c, m.transformed + first, length, first);
      run_narrow(c.isa, [&] {
        for (std::size_t i = first; i < first + length; ++i) v[i] = add_signed(v[i], -1.0f, m.transformed[i]);
      });
    });
  }
  settle_residual(c, r, n, v, m.saved, m.flags);
  return used;
}

CCOMP_FUNCTION std::size_t encode(program p, pass_context const& c, const_values in, element_type type, residual_ref r,
                                  std::span<std::byte> payload, scratch memory) {
  segment const s = first_segment(p);
  std::size_t const room = capacity(p, in.n, type);
  expects(room <= payload.size(),
          [&] { return sentence("encode: the payload buffer has ", payload.size(), " bytes, ", room, " needed"); });
  if (s.vector()) return encode_vector(s, c, in, type, r, payload, memory);
  zero_padding(s, in.n, type, payload.data());
  encode_blocks(s, c, in, type, r, payload.data());
  return room;
}

/// The terms of all payloads. Empty if the stage does not name places, or if there are more terms than the scratch of one
/// payload has room for.
inline std::vector<sparse_terms> sparse_terms_of(segment const& s, pass_context const& c,
                                                 std::span<std::byte const* const> payloads, std::size_t bytes,
                                                 element_type type, std::size_t n, vector_scratch const& m) {
  auto const read_indices = s.end.host->vector->read_indices;
  std::vector<sparse_terms> terms;
  std::size_t used = 0;
  for (auto const* payload : payloads) {
    if (!read_indices) return {};
    vector_payload const one(s, payload, bytes, n, type);
    if (one.carrier_values > n - used) return {};
    std::span const index(reinterpret_cast<std::uint32_t*>(m.transformed) + used, one.carrier_values);
    read_indices(s.end.stage, c.ex, one.side, index, n);
    terms.push_back({index, decode_carrier(s, c, one, type, m.saved + used, m.tail)});
    used = std::min(n, round_up(used + one.carrier_values, 16));
  }
  return terms;
}

inline void sum_vectors(segment const& s, pass_context const& c, std::span<std::byte const* const> payloads,
                        std::size_t bytes, element_type type, values out, float divisor, scratch memory,
                        bool add_to_out) {
  auto const& loops = *s.end.host->vector;
  std::size_t const n = out.n;
  element_type const carrier_type = carried_type(s, type);
  vector_scratch m(s, n, memory);
  bool const in_place = out.type == element_type::float32 && !add_to_out;
  bool const finish = payloads.size() > 1 || divisor != 1.0f || !s.transforms.empty();
  // A tile of the sum: what remains to be done with it.
  auto const end_tile = [&](float* acc, std::size_t first, std::size_t length, tile_buffers& b, bool streaming) {
    inverse(s.transforms, c, acc, length, first);
    if (finish) run(c.isa, [&] { finish_sum(acc, length, divisor); });
    if (add_to_out) {
      float const* const old = load(c.isa, out, first, length, b.residual);
      run_narrow(c.isa, [&] {
        for (std::size_t i = 0; i < length; ++i) b.values[i] = canonical(add(old[i], acc[i]));
      });
      store(c.isa, b.values, length, out, first);
    } else if (streaming) {
      store_streaming(c.isa, acc, length, out, first, b);
    } else if (!in_place) {
      store(c.isa, acc, length, out, first);
    }
  };

  if (payloads.size() > 1)
    if (auto const terms = sparse_terms_of(s, c, payloads, bytes, carrier_type, n, m); !terms.empty()) {
      bool const streaming = !add_to_out && n * element_bytes(out.type) >= streaming_bytes;
      parallel_ranges(c.ex, ceil_div(n, tile_values), tile_values, [&](std::size_t begin, std::size_t end) {
        tile_buffers b;
        alignas(64) float sum[tile_values];
        std::vector<sparse_cursor> cursors;
        cursors.reserve(terms.size());
        for (auto const& t : terms) cursors.emplace_back(t, begin * tile_values);
        for (std::size_t first = begin * tile_values; first < std::min(n, end * tile_values); first += tile_values) {
          std::size_t const length = std::min(tile_values, n - first);
          float* const acc = in_place && !streaming ? static_cast<float*>(out.data) + first : sum;
          std::memset(acc, 0, length * sizeof(float));
          for (auto& one : cursors) one.add_to(acc, first, length);
          end_tile(acc, first, length, b, streaming);
        }
        stream_end();
      });
      return;
    }

  float* const acc = in_place ? static_cast<float*>(out.data) : m.values;
  if (payloads.size() == 1) {
    vector_payload const one(s, payloads[0], bytes, n, carrier_type);
    loops.decode(s.end.stage, c.ex, one.side, decode_carrier(s, c, one, carrier_type, m.carrier, m.tail), {acc, n},
                 m.stage, c.at);
  } else {
    for_each_tile(c, n, [&](std::size_t first, std::size_t length, tile_buffers&) {
      std::memset(acc + first, 0, length * sizeof(float));
    });
    for (auto const* payload : payloads) {
      vector_payload const one(s, payload, bytes, n, carrier_type);
      accumulate_vector(s, c, one.side, decode_carrier(s, c, one, carrier_type, m.carrier, m.tail), {acc, n}, 1.0f,
                        m.transformed, m.stage);
    }
  }
  if (in_place && !finish) return;
  for_each_tile(c, n, [&](std::size_t first, std::size_t length, tile_buffers& b) {
    end_tile(acc + first, first, length, b, false);
  });
}

CCOMP_FUNCTION void sum_decoded(program p, pass_context const& c, std::span<std::byte const* const> payloads,
                                std::size_t bytes, element_type type, values out, float divisor, scratch memory,
                                bool add_to_out) {
  segment const s = first_segment(p);
  if (s.vector()) return sum_vectors(s, c, payloads, bytes, type, out, divisor, memory, add_to_out);
  std::size_t const needed = capacity(p, out.n, type);
  expects<payload_error>(needed <= bytes,
                         [&] { return sentence("decode: the payload has ", bytes, " bytes and needs ", needed); });
  decode_blocks(s, c, payloads, type, out, divisor, add_to_out);
}

CCOMP_FUNCTION std::size_t reduce_and_encode(program p, program sums, pass_context const& decode_at,
                                             pass_context const& encode_at, std::span<std::byte const* const> payloads,
                                             std::size_t bytes, std::size_t chunk, element_type type, residual_ref r,
                                             std::span<std::byte> result, scratch memory) {
  segment const s = first_segment(p);
  if (!s.vector()) {
    zero_padding(s, chunk, type, result.data());
    reduce_blocks(s, decode_at, encode_at, payloads, chunk, type, r, result.data());
    return capacity(p, chunk, type);
  }
  auto* const sum = memory.take<float>(chunk);
  auto* const left = memory.take<float>(chunk);
  values const as_floats{sum, element_type::float32, chunk};
  sum_decoded(p, decode_at, payloads, bytes, type, as_floats, 1.0f, memory);
  // Encoding with an empty residual leaves exactly what was left out in it.
  for_each_tile(encode_at, chunk, [&](std::size_t first, std::size_t n, tile_buffers&) {
    std::memset(left + first, 0, n * sizeof(float));
  });
  std::size_t const used =
      encode(sums, encode_at, as_floats, type, r ? residual_ref{left} : residual_ref{}, result, memory);
  if (r)
    for_each_tile(encode_at, chunk, [&](std::size_t first, std::size_t n, tile_buffers& b) {
      residual_tile const residual(encode_at, r, first, n, b);
      run_narrow(encode_at.isa, [&] { add_error(left + first, n, residual.data()); });
      residual.commit();
    });
  return used;
}
CCOMP_FUNCTION std::size_t reduce_scratch_bytes(program p, program sums, std::size_t chunk) {
  return 2 * scratch::bytes_for<float>(chunk) + std::max(scratch_bytes(p, chunk), scratch_bytes(sums, chunk));
}

}  // namespace detail
CCOMP_END
