#pragma once
/// `device_stage<S>` gives a stage its own kernels; it is the only point of customisation. Quantizers, casts and
/// transforms need none: the engine makes their kernels from scalar pieces and primitives.

#include <ccomp/engine/cuda/program.cuh>
#include <ccomp/engine/cuda/queue.cuh>
#include <ccomp/engine/cuda/vector_source.cuh>

CCOMP_BEGIN

/// Items of n values each, to be encoded: chunks of one tensor. All items go through each kernel together; the y index
/// of the grid is the number of the item.
struct device_encode_call {
  unsigned items = 1;
  std::uint64_t n = 0;
  per_item<float const> values{};
  per_item<std::byte> side{};  // side_bytes(n), on 16 bytes
  per_item<float> carrier{};   // carrier_size(n)
  detail::device_random at{};
};
/// What carrier values become that were lost because their block was not finite.
enum class lost_values { nan, zero };
/// One payload of each item, to be decoded.
struct device_decode_call {
  unsigned items = 1;
  std::uint64_t n = 0;
  per_item<std::byte const> side{};
  per_item<float const> carrier{};
  per_item<float> values{};
  bool add = false;  // to what is there
  lost_values lost = lost_values::nan;
  detail::device_random at{};
  detail::device_status* status = nullptr;

  /// Value i of the thread block's item.
  __device__ void write(std::uint64_t i, float v) const {
    float& to = values.mine()[i];
    to = add ? detail::add(to, v) : v;
  }
};
/// For kernels that decode: reports a payload that no encode writes. One thread of each item calls it.
using detail::report_bad_payload;

namespace detail {

/// How the residual is updated: not at all, by the stage's own kernels, or by comparison with the decoded values.
enum class vector_feedback { none, residual, decoded };

/// The same for stages whose kernels update the residual too, for values of any type.
struct fused_encode_call {
  unsigned items = 1;
  std::uint64_t n = 0;
  vector_source in{};  // x, or x + decay * residual
  vector_feedback feedback = vector_feedback::none;
  per_item<float> decoded{};  // where what was sent goes; of vector_feedback::decoded
  per_item<std::byte> payload{};
  carrier_place place{};      // its end is set for a carrier as it is, or of a length that only the device knows
  per_item<float> carrier{};  // room for carrier_size(n)
  device_status* status = nullptr;
};
/// The sum of several payloads of each item, in their order.
struct fused_decode_call {
  unsigned items = 1, sources = 1;
  std::uint64_t n = 0;
  per_list<std::byte const> payload{};
  sum_output to{};
  device_random at{};
  device_status* status = nullptr;
};

/// The rest of the chain after the stage, which codes its carrier.
class carrier_coder {
 public:
  /// Codes the carriers. `count`: how many values of each, counted by the device; null: all. Returns the decoded values
  /// if feedback asks for them.
  virtual per_item<float const> encode(device_queue&, per_item<float> carrier,
                                       per_item<std::uint32_t const> count) const = 0;
  /// Decodes the carriers of all sources to floats.
  virtual per_list<float const> decode(device_queue&, per_list<std::uint32_t const> count) const = 0;

 protected:
  ~carrier_coder() = default;
};

}  // namespace detail

/// The kernels of a vector stage S. Specialise it in its own header (foo.cuh beside foo.hpp):
///   static void encode(S const&, device_queue, device_encode_call const&);
///   static void decode(S const&, device_queue, device_decode_call const&);
/// Both queue kernels and take scratch memory from the queue, which they get as a copy. They are called twice: the
/// first call only measures the memory, and its pointers must not be used. `encode` writes all side bytes and the
/// carrier. `decode` writes all values, or adds to them. It must check every side byte: it skips what no encode writes
/// and reports it (report_bad_payload). If a program may include the stage without using it, make both templates on the
/// queue's type, because nvcc compiles every kernel that a plain function names.
///
/// To save a pass through memory, a stage may take input and residual directly and compute the sum itself:
///   static void encode(S const&, device_queue, detail::fused_encode_call const&, detail::carrier_coder const&);
///   static void decode(S const&, device_queue, detail::fused_decode_call const&, detail::carrier_coder const&);
template <class S> struct device_stage;

namespace detail {

template <class S>
concept has_fused_stage = requires(S const& s, device_queue q, fused_encode_call const& c, carrier_coder const& coder) {
  device_stage<S>::encode(s, q, c, coder);
};
template <class S>
concept has_fused_decode = requires(S const& s, device_queue q, fused_decode_call const& c,
                                    carrier_coder const& coder) { device_stage<S>::decode(s, q, c, coder); };
template <class S>
concept has_device_encode =
    requires(S const& s, device_queue q, device_encode_call const& c) { device_stage<S>::encode(s, q, c); };
template <class S>
concept has_device_decode =
    requires(S const& s, device_queue q, device_decode_call const& c) { device_stage<S>::decode(s, q, c); };
/// One sentence for each function that a device_stage<S> lacks.
template <class S> consteval bool check_device_stage() {
  if constexpr (has_fused_stage<S>) {
    static_assert(has_fused_decode<S>,
                  "ccomp: device_stage<S> needs: static void decode(S const&, device_queue, detail::fused_decode_call "
                  "const&, detail::carrier_coder const&), as its encode has such a form");
    return has_fused_decode<S>;
  } else {
    static_assert(
        has_device_encode<S>,
        "ccomp: device_stage<S> needs: static void encode(S const&, device_queue, device_encode_call const&)");
    static_assert(
        has_device_decode<S>,
        "ccomp: device_stage<S> needs: static void decode(S const&, device_queue, device_decode_call const&)");
    return has_device_encode<S> && has_device_decode<S>;
  }
}

/// The same without the type of the stage.
struct device_stage_ops {
  void (*encode)(void const* stage, device_queue, fused_encode_call const&, carrier_coder const&) = nullptr;
  void (*decode)(void const* stage, device_queue, fused_decode_call const&, carrier_coder const&) = nullptr;
};

/// Zeros where nobody writes an item's payload: behind `side` bytes, and behind `carried` bytes of the carrier.
CCOMP_KERNEL pad_kernel(per_item<std::byte> payload, std::uint64_t side, std::uint64_t carried, carrier_place place) {
  std::byte* const p = payload.mine();
  for (std::uint64_t i = side + threadIdx.x; i < place.begin; i += blockDim.x) p[i] = std::byte{0};
  for (std::uint64_t i = place.begin + carried + threadIdx.x; i < place.end; i += blockDim.x) p[i] = std::byte{0};
}

/// Ends a sum of floats: out = from / divisor, or is added to. A thread for four values.
CCOMP_KERNEL finish_kernel(per_item<float const> from, sum_output to, std::uint64_t n) {
  std::uint64_t const i = 4 * (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (i >= n) return;
  float v[4], old[4];
  load_quad({from.mine(), element_type::float32}, i, n, v);
  finish_sum(v, to.divisor);
  device_values const out = advanced(to.out, blockIdx.y * to.stride);
  if (to.add_to_out) {
    load_quad(out, i, n, old);
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) v[c] = canonical(add(old[c], v[c]));
  }
  store_quad(out, i, n, v);
}

/// A stage that takes floats, one payload at a time, in the place of a fused one.
template <class S, class Queue>
void encode_as_floats(S const& s, Queue q, fused_encode_call const& c, carrier_coder const& coder) {
  using own = device_stage<S>;
  per_item<float> whole{};
  per_item<float const> values{static_cast<float const*>(c.in.in.data), c.in.stride * sizeof(float)};
  if (q.measures() || c.feedback == vector_feedback::residual || c.in.in.type != element_type::float32) {
    whole = {q.template take<float>(c.n * c.items), c.n * sizeof(float)};
    values = {whole.data, whole.bytes};
    q.run("residual", residual_kernel<Queue>, tile_blocks(c.n), c.items, c.in, residual_update::copy, whole.data);
  }
  own::encode(s, q, device_encode_call{c.items, c.n, values, c.payload, c.carrier, c.in.random});
  std::uint64_t const side = s.side_bytes(c.n), carried = c.place.raw ? s.carrier_size(c.n) * sizeof(float) : 0;
  if (side < c.place.begin || c.place.begin + carried < c.place.end)
    q.run("pad", pad_kernel<Queue>, 1, c.items, c.payload, side, carried, c.place);
  auto const back = coder.encode(q, c.carrier, {});
  if (c.feedback == vector_feedback::none) return;
  // Where nothing arrives, a residual that is compared with the tensor itself takes up what it can.
  bool const compared = c.feedback == vector_feedback::residual;
  per_item<std::byte const> const sent{c.payload.data, c.payload.bytes};
  own::decode(s, q,
              device_decode_call{c.items, c.n, sent, back, compared ? whole : c.decoded, false,
                                 compared ? lost_values::zero : lost_values::nan, c.in.random, c.status});
  if (compared)
    q.run("residual", residual_kernel<Queue>, tile_blocks(c.n), c.items, c.in, residual_update::settle, whole.data);
}
template <class S, class Queue>
void decode_as_floats(S const& s, Queue q, fused_decode_call const& c, carrier_coder const& coder) {
  auto const carriers = coder.decode(q, {});
  bool const several = c.sources > 1, direct = c.to.out.type == element_type::float32 && !c.to.add_to_out &&
                                               !(c.to.finish && (q.measures() || several || c.to.divisor != 1.0f));
  auto const to = direct ? per_item<float>{static_cast<float*>(c.to.out.data), c.to.stride * sizeof(float)}
                         : q.template take_each<float>(c.n, c.items);
  for (unsigned i = 0; several && !q.measures() && i < c.items; ++i) q.exec().fill_zero(to.of(i), c.n * sizeof(float));
  for (unsigned p = 0; p < c.sources; ++p)
    device_stage<S>::decode(s, q,
                            device_decode_call{c.items,
                                               c.n,
                                               {c.payload.of(0, p), c.payload.item_bytes},
                                               {carriers.of(0, p), carriers.item_bytes},
                                               to,
                                               several,
                                               lost_values::nan,
                                               c.at,
                                               c.status});
  if (!direct)
    q.run_each("finish", finish_kernel<Queue>, ceil_div(c.n, 4), c.items, per_item<float const>{to.data, to.bytes},
               c.to, c.n);
}

template <class S> constexpr device_stage_ops make_device_stage_ops() {
  if constexpr (!check_device_stage<S>())
    return {};
  else if constexpr (has_fused_stage<S>)
    return {[](void const* s, device_queue q, fused_encode_call const& c, carrier_coder const& coder) {
              device_stage<S>::encode(as<S>(s), q, c, coder);
            },
            [](void const* s, device_queue q, fused_decode_call const& c, carrier_coder const& coder) {
              device_stage<S>::decode(as<S>(s), q, c, coder);
            }};
  else
    return {[](void const* s, device_queue q, fused_encode_call const& c, carrier_coder const& coder) {
              encode_as_floats(as<S>(s), q, c, coder);
            },
            [](void const* s, device_queue q, fused_decode_call const& c, carrier_coder const& coder) {
              decode_as_floats(as<S>(s), q, c, coder);
            }};
}
template <class S> struct device_stage_table {
  static constexpr device_stage_ops ops = make_device_stage_ops<S>();
};

}  // namespace detail
CCOMP_END
