#pragma once
/// Passes of stages that send factors, whose numbers on a GPU are close to the host's.

#include <support/cuda/low_rank_inputs.hpp>
#include <support/cuda/pass_checks.hpp>
#include <support/float_bits.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace support {
using namespace ccomp;

/// The passes alone: payloads of either engine mean the same to both, and what the device sends and keeps is close to
/// the host's. `skip`: the tensor starts so many values after a boundary.
template <class T = float, class C>
void check_factor_passes(C const& c, std::size_t n, std::size_t cols, std::size_t skip = 0, double allowed = 1e-5) {
  CAPTURE(text(c));
  CAPTURE(n);
  auto const x = low_rank_inputs<T>(1, n, cols)[0];
  auto const old = narrowed<T>(gaussian_values(n, 5, 0.1));
  auto const at = here;
  std::size_t const bytes = payload_bytes<T>(c, n);
  cuda_exec const ex;
  host_exec const host{1};
  workspace device_ws{ex};
  workspace ws{host};
  fenced<T> in(x, skip), out(std::vector<T>(n), skip), onto(old, skip);
  fenced<std::byte> coded{std::vector<std::byte>(bytes, std::byte{0x5a})};
  CHECK(encode(ex, c, in.span(), coded.span(), device_ws, at) == bytes);
  host_bytes own(bytes), theirs(bytes);
  encode(host, c, x, own.span(), ws, at);
  std::ranges::copy(coded.values(), theirs.span().begin());

  std::vector<T> of_own(n), of_theirs(n);
  decode(host, c, own.span(), of_own, ws, at);
  decode(host, c, theirs.span(), of_theirs, ws, at);
  CHECK(distance(widened(of_theirs), widened(of_own)) < allowed);
  decode(ex, c, coded.span(), out.span(), device_ws, at);
  CHECK(widened(out.values()) == widened(of_theirs));  // zeros may differ in sign
  auto sum = old;
  decode_accumulate(host, c, theirs.span(), sum, ws, at);
  decode_accumulate(ex, c, coded.span(), onto.span(), device_ws, at);
  CHECK(distance(widened(onto.values()), widened(sum)) < 1e-6);

  auto residual = gaussian_values(n, 6, 0.1);
  fenced<float> rest(residual, skip);
  encode_feedback(ex, c, in.span(), rest.span(), coded.span(), device_ws, at, 0.75f);
  encode_feedback(host, c, x, std::span(residual), own.span(), ws, at, 0.75f);
  device_ws.check();
  std::ranges::copy(coded.values(), theirs.span().begin());
  decode(host, c, own.span(), of_own, ws, at);
  decode(host, c, theirs.span(), of_theirs, ws, at);
  CHECK(distance(widened(of_theirs), widened(of_own)) < allowed);
  auto const kept = rest.values();
  auto moved = widened(x);  // the residual is a small difference of large numbers: its error is measured by them
  for (std::size_t i = 0; i < n; ++i) moved[i] += kept[i] - residual[i];
  CHECK(distance(moved, widened(x)) < allowed);
}

}  // namespace support
