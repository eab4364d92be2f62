#pragma once
/// Checks of payloads of chains with a vector stage: where their parts lie, and how long they claim to be.

#include <ccomp/core/program.hpp>

CCOMP_BEGIN
namespace detail {

/// The side bytes and the carrier inside one payload, checked against its size.
struct vector_payload {
  std::span<std::byte const> side;
  std::size_t carrier_values;
  std::byte const* tail;  // payload of the stages that follow
  std::size_t tail_bytes;

  vector_payload(segment const& s, std::byte const* payload, std::size_t bytes, std::size_t n, element_type type) {
    auto const& ops = *s.vector();
    std::size_t const side_bytes = pad16(ops.side_bytes(s.end.stage, n));
    expects<payload_error>(side_bytes <= bytes, [&] {
      return sentence("decode: the payload has ", bytes, " bytes, its side bytes alone need ", side_bytes);
    });
    side = {payload, ops.side_bytes(s.end.stage, n)};
    carrier_values = ops.carrier_count(s.end.stage, side, n);
    std::size_t const most = ops.carrier_size(s.end.stage, n);
    expects<payload_error>(carrier_values <= most, [&] {
      return sentence("decode: the payload claims ", carrier_values, " values, at most ", most, " fit");
    });
    tail = payload + side_bytes;
    tail_bytes = bytes - side_bytes;
    // Another vector stage judges what follows by itself: it may count its values, too, and need less than its capacity.
    std::size_t const needed = first_segment(s.tail).vector() ? 0 : capacity(s.tail, carrier_values, type);
    expects<payload_error>(needed <= tail_bytes, [&] {
      return sentence("decode: the payload has ", bytes, " bytes and needs ", side_bytes + needed);
    });
  }
};

/// The bytes that this payload of n values claims to take.
std::size_t extent(program p, std::byte const* payload, std::size_t bytes, std::size_t n, element_type type);
/// The values that had no room in this payload, which encode has just written.
std::size_t overflow(program p, std::byte const* payload, std::size_t bytes, std::size_t n, element_type type);

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION std::size_t extent(program p, std::byte const* payload, std::size_t bytes, std::size_t n,
                                  element_type type) {
  segment const s = first_segment(p);
  if (!s.vector()) return capacity(p, n, type);
  type = carried_type(s, type);
  vector_payload const v(s, payload, bytes, n, type);
  return (bytes - v.tail_bytes) + extent(s.tail, v.tail, v.tail_bytes, v.carrier_values, type);
}

CCOMP_FUNCTION std::size_t overflow(program p, std::byte const* payload, std::size_t bytes, std::size_t n,
                                    element_type type) {
  segment const s = first_segment(p);
  if (!s.vector()) return 0;
  type = carried_type(s, type);
  vector_payload const v(s, payload, bytes, n, type);
  return (s.vector()->overflow ? s.vector()->overflow(v.side) : 0) +
         overflow(s.tail, v.tail, v.tail_bytes, v.carrier_values, type);
}
#endif

}  // namespace detail
CCOMP_END
