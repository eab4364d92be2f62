#pragma once
/// Encode and decode in one line, on every instruction set and number of threads.

#include <support/payload_buffer.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/testing/inputs.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

namespace support {

using ccomp::testing::instruction_sets;
/// Those, each with 1, 2 and 7 threads.
inline std::vector<ccomp::host_exec> host_execs() {
  std::vector<ccomp::host_exec> all;
  for (auto isa : instruction_sets())
    for (int threads : {1, 2, 7}) all.push_back({threads, isa});
  return all;
}

template <class C, class T>
std::vector<std::byte> encoded(C const& c, std::vector<T> const& x, ccomp::pass_options at = {},
                               ccomp::host_exec ex = {1}) {
  payload_buffer payload(ccomp::payload_bytes<T>(c, x.size()));
  ccomp::workspace ws{ex};
  std::size_t const used = ccomp::encode(ex, c, x, payload, ws, at);
  if (!payload.intact()) throw std::logic_error("encode wrote beside its payload: " + ccomp::text(c));
  auto const bytes = payload.bytes().first(used);
  return {bytes.begin(), bytes.end()};
}
template <class T = float, class C>
std::vector<T> decoded(C const& c, std::span<std::byte const> bytes, std::size_t n, ccomp::pass_options at = {},
                       ccomp::host_exec ex = {1}) {
  payload_buffer payload(bytes.size());
  std::ranges::copy(bytes, payload.bytes().begin());
  std::vector<T> out(n);
  ccomp::workspace ws{ex};
  ccomp::decode(ex, c, payload, out, ws, at);
  return out;
}
template <class C, class T>
std::vector<T> round_trip(C const& c, std::vector<T> const& x, ccomp::pass_options at = {}, ccomp::host_exec ex = {1}) {
  return decoded<T>(c, encoded(c, x, at, ex), x.size(), at, ex);
}

/// The bits, so that NaNs compare equal to themselves and zeros of both signs do not to each other.
inline std::vector<std::uint32_t> bits_of(std::vector<float> const& x) {
  std::vector<std::uint32_t> u(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) u[i] = std::bit_cast<std::uint32_t>(x[i]);
  return u;
}

/// Payload and decoded bits are the same for all instruction sets and numbers of threads.
template <class C> bool same_everywhere(C const& c, std::vector<float> const& x, ccomp::pass_options at = {}) {
  auto const first = encoded(c, x, at, {1, ccomp::instruction_set::baseline});
  auto const back = bits_of(decoded(c, first, x.size(), at, {1, ccomp::instruction_set::baseline}));
  for (auto const& ex : host_execs())
    if (encoded(c, x, at, ex) != first || bits_of(decoded(c, first, x.size(), at, ex)) != back) return false;
  return true;
}

}  // namespace support
