#pragma once
/// Passes on the (simulated) GPU against the host's, byte by byte.

#include "device_array.hpp"

#include <support/typed_cases.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>
#include <ccomp/engine/host/program_codec.hpp>

#include <doctest/doctest.h>

#include <cstring>

namespace support {

template <class T> bool same_bytes(std::vector<T> const& a, std::vector<T> const& b) {
  return std::ranges::equal(std::as_bytes(std::span(a)), std::as_bytes(std::span(b)));
}

/// Device memory that starts `skip` values after a boundary, its neighbours intact afterwards.
template <class T> class fenced {
 public:
  explicit fenced(std::vector<T> const& values, std::size_t skip = 0)
      : n_(values.size()), skip_(skip), array_(framed(values, skip)) {}
  std::span<T> span() { return {array_.data() + skip_, n_}; }
  std::vector<T> values() {
    auto const all = array_.values();
    for (std::size_t i = 0; i < all.size(); ++i)
      if (i < skip_ || i >= skip_ + n_) REQUIRE(std::bit_cast<std::array<std::uint8_t, sizeof(T)>>(all[i])[0] == 0xa5);
    return {all.begin() + static_cast<std::ptrdiff_t>(skip_), all.begin() + static_cast<std::ptrdiff_t>(skip_ + n_)};
  }

 private:
  static std::vector<T> framed(std::vector<T> const& values, std::size_t skip) {
    std::vector<T> all(skip + values.size() + 8);
    std::memset(static_cast<void*>(all.data()), 0xa5, all.size() * sizeof(T));
    std::ranges::copy(values, all.begin() + static_cast<std::ptrdiff_t>(skip));
    return all;
  }
  std::size_t n_, skip_;
  device_array<T> array_;
};

/// Zeros that start on 16 bytes, as payloads must.
class host_bytes {
 public:
  explicit host_bytes(std::size_t n) : storage_((n + 15) / 16), n_(n) {}
  std::span<std::byte> span() { return {reinterpret_cast<std::byte*>(storage_.data()), n_}; }
  std::vector<std::byte> copy() { return {span().begin(), span().end()}; }

 private:
  struct alignas(16) sixteen {
    std::byte b[16];
  };
  std::vector<sixteen> storage_;
  std::size_t n_;
};

inline constexpr ccomp::pass_options here{.at = 41, .tensor = (7ull << 32) + 3, .rank = 2};

/// encode and encode_feedback; the residual has type R.
template <class R, class C, class T> void check_encodes(C const& c, std::vector<T> const& x, std::size_t skip) {
  using namespace ccomp;
  std::size_t const n = x.size(), bytes = payload_bytes<T>(c, n);
  cuda_exec const ex;
  host_exec const host{1};
  workspace ws{host};
  workspace device_ws{ex};
  auto residual = narrowed<R>(same_gaussian_values(n, 6));
  std::vector<std::byte> const junk(bytes, std::byte{0x5a});

  fenced<T> in(x, skip);
  fenced<R> rest(residual, skip);
  fenced<std::byte> coded(junk), fed(junk);
  CHECK(encode(ex, c, in.span(), coded.span(), device_ws, here) == bytes);
  CHECK(encode_feedback(ex, c, in.span(), rest.span(), fed.span(), device_ws, here, 0.75f) == bytes);
  std::size_t const overflowed = device_ws.check();

  host_bytes payload(bytes), with_residual(bytes);
  std::size_t used = encode(host, c, x, payload.span(), ws, here);
  auto const stages = detail::host_stages_of(c);
  std::size_t expected = detail::overflow(stages, payload.span().data(), used, n, element_type_of<T>);
  CHECK(same_bytes(coded.values(), payload.copy()));
  used = encode_feedback(host, c, x, std::span(residual), with_residual.span(), ws, here, 0.75f);
  expected += detail::overflow(stages, with_residual.span().data(), used, n, element_type_of<T>);
  CHECK(overflowed == expected);
  CHECK(same_bytes(fed.values(), with_residual.copy()));
  CHECK(same_bytes(rest.values(), residual));
}

/// decode and decode_accumulate of the host's payload.
template <class C, class T> void check_decodes(C const& c, std::vector<T> const& x, std::size_t skip) {
  using namespace ccomp;
  std::size_t const n = x.size();
  cuda_exec const ex;
  host_exec const host{1};
  workspace ws{host};
  workspace device_ws{ex};
  host_bytes payload(payload_bytes<T>(c, n));
  encode(host, c, x, payload.span(), ws, here);
  std::vector<T> decoded(n);
  auto accumulated = narrowed<T>(same_gaussian_values(n, 7));

  fenced<std::byte> coded(payload.copy());
  fenced<T> out(decoded, skip), onto(accumulated, skip);
  decode(ex, c, coded.span(), out.span(), device_ws, here);
  decode_accumulate(ex, c, coded.span(), onto.span(), device_ws, here);
  device_ws.check();

  decode(host, c, payload.span(), decoded, ws, here);
  CHECK(same_bytes(out.values(), decoded));
  decode_accumulate(host, c, payload.span(), accumulated, ws, here);
  CHECK(same_bytes(onto.values(), accumulated));
}

/// All four public passes; the residual has type R.
template <class R, class C, class T> void check_passes(C const& c, std::vector<T> const& x, std::size_t skip) {
  check_encodes<R>(c, x, skip);
  check_decodes(c, x, skip);
}

/// Three payloads summed and encoded again, and summed and divided, as two_shot and gather do.
template <class C, class T> void check_sums(C const& c, std::vector<T> const& x) {
  using namespace ccomp;
  constexpr element_type type = element_type_of<T>;
  std::size_t const n = x.size(), bytes = payload_bytes<T>(c, n);
  auto const stages = detail::host_stages_of(c);
  cuda_exec const ex;
  host_exec const host{1};
  workspace ws{host};
  host_bytes all(3 * bytes), result(bytes);
  std::vector<std::byte const*> payloads;
  for (std::uint32_t r = 0; r < 3; ++r) {
    auto mine = x;
    for (std::size_t i = r; i < n; i += 3) mine[i] = T(-static_cast<float>(mine[i]));
    auto const to = all.span().subspan(r * bytes, bytes);
    encode(host, c, mine, to, ws, {.at = 5, .rank = r});
    payloads.push_back(to.data());
  }
  fenced<std::byte> sources{all.copy()};
  fenced<std::byte> again{std::vector<std::byte>(bytes)};
  fenced<T> mean{std::vector<T>(n)};
  auto residual = narrowed<float>(same_gaussian_values(n, 6));
  fenced<float> rest(residual);

  detail::pass_context from(host, {.at = 5}), to(host, {.at = 5, .rank = 1});
  to.phase = 1;
  to.first = from.first = 512;
  using detail::device_pass;
  workspace device_ws{ex};
  auto call = detail::device_call(n, type, to.at);
  call.whole.first = 512;
  call.sum.sources = sources.span().data();
  call.sum.stride = bytes;
  call.sum.count = 3;
  auto mean_call = call;
  mean_call.whole.out = {mean.span().data(), type};
  mean_call.sum.divisor = 3;
  detail::run_on_device<device_pass::decode>(ex, c, mean_call, device_ws);
  call.how.phase = 1;
  call.whole.payload = again.span().data();
  call.whole.residual = {rest.span().data(), element_type::float32};
  detail::run_on_device<device_pass::reduce>(ex, c, call, device_ws);
  device_ws.check();

  detail::scratch const memory(ws.reserve(detail::reduce_scratch_bytes(stages, stages, n)));
  detail::reduce_and_encode(stages, stages, from, to, payloads, bytes, n, type,
                            {residual.data(), element_type::float32, 1.0f}, result.span(), memory);
  CHECK(same_bytes(again.values(), result.copy()));
  CHECK(same_bytes(rest.values(), residual));
  std::vector<T> sum(n);
  from.at = to.at;
  detail::sum_decoded(stages, from, payloads, bytes, type, detail::view(std::span(sum)), 3.0f, memory);
  CHECK(same_bytes(mean.values(), sum));
}

/// A tensor cut into chunks, the last of them short or empty, coded with feedback and decoded again as two_shot does.
template <class C, class T> void check_chunks(C const& c, std::vector<T> const& x, std::size_t chunk, unsigned chunks) {
  using namespace ccomp;
  constexpr element_type type = element_type_of<T>;
  std::size_t const n = x.size(), slot = payload_bytes<T>(c, chunk) + 16;
  auto const stages = detail::host_stages_of(c);
  cuda_exec const ex;
  host_exec const host{1};
  workspace ws{host};
  host_bytes all(slot * chunks);
  auto residual = narrowed<bfloat16>(same_gaussian_values(n, 6));
  fenced<T> in(x), out{std::vector<T>(n)};
  fenced<bfloat16> rest(residual);
  fenced<std::byte> coded{all.copy()};

  using detail::device_pass;
  workspace device_ws{ex};
  auto call = detail::device_call(n, type, here);
  call.chunks.count = chunks;
  call.chunks.size = call.chunks.length = call.chunks.first_stride = chunk;
  call.chunks.payload_stride = call.chunks.source_stride = slot;
  auto decoding = call;
  call.whole.in = {in.span().data(), type};
  call.whole.residual = {rest.span().data(), element_type::bfloat16};
  call.how.decay = 0.5f;
  call.whole.payload = coded.span().data();
  detail::run_on_device<device_pass::encode_feedback>(ex, c, call, device_ws);
  decoding.sum.sources = coded.span().data();
  decoding.sum.count = 1;
  decoding.whole.out = {out.span().data(), type};
  decoding.sum.divisor = 3;
  decoding.status = device_ws.status();
  detail::run_on_device<device_pass::decode>(ex, c, decoding, device_ws);
  device_ws.check();

  detail::scratch const memory(ws.reserve(detail::scratch_bytes(stages, chunk)));
  detail::pass_context context(host, here);
  std::vector<T> decoded(n);
  auto const values = detail::view(std::span(decoded));
  for (std::size_t i = 0; i < chunks && i * chunk < n; ++i) {
    context.first = i * chunk;
    std::size_t const m = std::min(chunk, n - i * chunk);
    auto const payload = all.span().subspan(i * slot, slot - 16);
    detail::encode(stages, context, detail::part(detail::view(std::span<T const>(x)), i * chunk, m), type,
                   {residual.data() + i * chunk, element_type::bfloat16, 0.5f}, payload, memory);
    std::byte const* const one[] = {payload.data()};
    detail::sum_decoded(stages, context, one, payload.size(), type, detail::part(values, i * chunk, m), 3.0f, memory);
  }
  CHECK(same_bytes(coded.values(), all.copy()));
  CHECK(same_bytes(rest.values(), residual));
  CHECK(same_bytes(out.values(), decoded));
}

}  // namespace support
