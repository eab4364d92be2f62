// Block chains on the (simulated) GPU give the host's bytes: payload, residual, decoded values, sums.
#include <doctest/doctest.h>

#include <ccomp/passes.cuh>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/qsgd.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/ternary.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <ccomp/transform/scale.hpp>
#include <ccomp/transform/sign_flip.hpp>
#include <string>
#include <support/cuda/cudart_sim.hpp>
#include <support/cuda/device_array.hpp>
#include <support/typed_cases.hpp>

using namespace ccomp;
using support::device_array;

namespace {

constexpr pass_options here{.at = 41, .tensor = (7ull << 32) + 3, .rank = 2};

template <class T> std::span<std::byte const> bytes_of(std::vector<T> const& x) { return std::as_bytes(std::span(x)); }
template <class T> bool same_bytes(std::vector<T> const& a, std::vector<T> const& b) {
  return std::ranges::equal(bytes_of(a), bytes_of(b));
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

/// All four public passes, against the host's.
template <class C, class T, class R> void check(C const& c, std::vector<T> const& x, std::size_t skip) {
  std::size_t const n = x.size(), bytes = payload_bytes<T>(c, n);
  cuda_exec const ex;
  host_exec const host{1};
  workspace ws{host};
  workspace device_ws{ex};
  auto residual = support::narrowed<R>(support::same_gaussian_values(n, 6));
  auto accumulated = support::narrowed<T>(support::same_gaussian_values(n, 7));
  std::vector<std::byte> const junk(bytes, std::byte{0x5a});

  // The host's own payload buffers start on 16 bytes.
  struct alignas(16) sixteen {
    std::byte b[16];
  };
  std::vector<sixteen> storage(bytes / 16);
  std::span const payload(reinterpret_cast<std::byte*>(storage.data()), bytes);
  auto const copied = [&] { return std::vector<std::byte>(payload.begin(), payload.end()); };

  fenced<T> in(x, skip), out(std::vector<T>(n), skip), onto(accumulated, skip);
  fenced<R> rest(residual, skip);
  fenced<std::byte> coded(junk), fed(junk);

  std::size_t const launches = cudart_sim::count().launches;
  CHECK(encode(ex, c, in.span(), coded.span(), device_ws, here) == bytes);
  CHECK(encode_feedback(ex, c, in.span(), rest.span(), fed.span(), device_ws, here, 0.75f) == bytes);
  decode(ex, c, coded.span(), out.span(), device_ws, here);
  decode_accumulate(ex, c, coded.span(), onto.span(), device_ws, here);
  CHECK(cudart_sim::count().launches == launches + (n == 0 ? 0 : 4));  // one kernel each
  ex.synchronize();

  encode(host, c, x, payload, ws, here);
  CHECK(same_bytes(coded.values(), copied()));
  std::vector<T> decoded(n);
  decode(host, c, payload, decoded, ws, here);
  CHECK(same_bytes(out.values(), decoded));
  decode_accumulate(host, c, payload, accumulated, ws, here);
  CHECK(same_bytes(onto.values(), accumulated));
  encode_feedback(host, c, x, std::span(residual), payload, ws, here, 0.75f);
  CHECK(same_bytes(fed.values(), copied()));
  CHECK(same_bytes(rest.values(), residual));
}

/// Three payloads summed and encoded again, and summed and divided, as two_shot and gather do.
template <class C, class T> void check_sums(C const& c, std::vector<T> const& x) {
  std::size_t const n = x.size(), bytes = payload_bytes<T>(c, n);
  auto const stages = detail::stages_of(c);
  cuda_exec const ex;
  host_exec const host{1};
  workspace ws{host};
  struct alignas(16) sixteen {
    std::byte b[16];
  };
  std::vector<sixteen> storage(4 * bytes / 16);
  auto* const base = reinterpret_cast<std::byte*>(storage.data());
  std::vector<std::byte const*> payloads;
  for (std::uint32_t r = 0; r < 3; ++r) {
    auto mine = x;
    for (std::size_t i = r; i < n; i += 3) mine[i] = T(-static_cast<float>(mine[i]));
    encode(host, c, mine, std::span(base + r * bytes, bytes), ws, {.at = 5, .rank = r});
    payloads.push_back(base + r * bytes);
  }
  fenced<std::byte> sources{std::vector<std::byte>(base, base + 3 * bytes)};
  fenced<std::byte> again{std::vector<std::byte>(bytes)};
  fenced<T> mean{std::vector<T>(n)};
  auto residual = support::narrowed<float>(support::same_gaussian_values(n, 6));
  fenced<float> rest(residual);

  detail::pass_context from(host, {.at = 5}), to(host, {.at = 5, .rank = 1});
  to.phase = 1;
  to.first = from.first = 512;
  auto const from_all = [&](detail::block_call& k) {
    k.first = 512;
    k.sources = sources.span().data();
    k.source_stride = bytes;
    k.source_count = 3;
  };
  using detail::device_pass;
  workspace device_ws{ex};
  auto again_call = detail::device_call(n, element_type_of<T>, to.at);
  from_all(again_call);
  again_call.phase = 1;
  again_call.payload = again.span().data();
  again_call.residual = {rest.span().data(), element_type::float32};
  detail::run_on_device<device_pass::reduce>(ex, c, again_call, device_ws);
  auto mean_call = detail::device_call(n, element_type_of<T>, to.at);
  from_all(mean_call);
  mean_call.out = {mean.span().data(), element_type_of<T>};
  mean_call.divisor = 3;
  detail::run_on_device<device_pass::decode>(ex, c, mean_call, device_ws);
  ex.synchronize();

  auto const segment = detail::first_segment(stages);
  detail::zero_padding(segment, n, element_type_of<T>, base + 3 * bytes);
  detail::reduce_blocks(segment, from, to, payloads, n, element_type_of<T>,
                        {residual.data(), element_type::float32, 1.0f}, base + 3 * bytes);
  CHECK(same_bytes(again.values(), std::vector<std::byte>(base + 3 * bytes, base + 4 * bytes)));
  CHECK(same_bytes(rest.values(), residual));
  std::vector<T> sum(n);
  from.at = to.at;
  detail::decode_blocks(segment, from, payloads, element_type_of<T>, detail::view(std::span(sum)), 3.0f);
  CHECK(same_bytes(mean.values(), sum));
}

template <class C> void check_chain(C const& c) {
  auto const name = text(c);
  CAPTURE(name);
  for (std::size_t const n : {0u, 1u, 5u, 127u, 513u, 1024u, 4097u, 9219u}) {
    CAPTURE(n);
    auto const x = support::same_gaussian_values(n, 1);
    check<C, float, float>(c, x, n % 3);
    if (n > 0) check_sums(c, x);
  }
  check<C, float16, bfloat16>(c, support::narrowed<float16>(support::same_gaussian_values(1500, 2)), 1);
  check<C, bfloat16, float>(c, support::narrowed<bfloat16>(support::same_gaussian_values(1500, 3)), 0);
  check_sums(c, support::narrowed<bfloat16>(support::same_gaussian_values(1111, 3)));
  for (auto const& each : support::finite_typed_cases<float>(700)) {
    auto const kind = each.name;
    CAPTURE(kind);
    check<C, float, bfloat16>(c, each.values, 0);
  }
  for (auto const& each : support::spoilt_cases<float>(5000, 64)) {
    check<C, float, float>(c, each.values, 0);
    check_sums(c, each.values);
  }
}

}  // namespace

TEST_CASE("cuda: casts and raw values") {
  check_chain(cast<bfloat16>{});
  check_chain(cast<float16>{});
  check_chain(cast<fp8_e4m3>{});
  check_chain(cast<fp8_e5m2>{.block = 32});
  check_chain(sign_flip{});
  check_chain(scale{.factor = 0.5f} | cast<float16>{});
}

TEST_CASE("cuda: uniform codes of every width, range and rounding") {
  check_chain(uniform_quantize<1>{});
  check_chain(uniform_quantize<2>{.block = 16});
  check_chain(uniform_quantize<3>{.block = 64, .round = rounding::stochastic, .range = code_range::min_max});
  check_chain(uniform_quantize<4>{.round = rounding::stochastic, .seed = 3});
  check_chain(uniform_quantize<5>{.block = 1024});
  check_chain(uniform_quantize<6>{.block = 128});
  check_chain(uniform_quantize<7>{.block = 2048});
  check_chain(uniform_quantize<8>{});
  check_chain(uniform_quantize<8>{.block = 4096, .range = code_range::min_max});
}

TEST_CASE("cuda: statistics that are sums round as on the host") {
  check_chain(sign_quantize{});
  check_chain(sign_quantize{.block = 16});
  check_chain(sign_quantize{.block = 4096, .scale = sign_scale::two_means});
  check_chain(sign_quantize{.block = 256, .scale = sign_scale::l2});
  check_chain(ternary{});
  check_chain(ternary{.block = 2048});
  check_chain(qsgd<4>{.block = 32, .norm = level_norm::l2});
  check_chain(natural{});
}

TEST_CASE("cuda: transforms before a quantizer") {
  check_chain(hadamard_rotate{} | uniform_quantize<4>{});
  check_chain(hadamard_rotate{.block = 4} | uniform_quantize<2>{.block = 16});
  check_chain(hadamard_rotate{.block = 64, .seed = 9} | sign_flip{.seed = 2} |
              uniform_quantize<8>{.round = rounding::stochastic});
  check_chain(hadamard_rotate{.block = 4096} | sign_quantize{.block = 128});
  check_chain(hadamard_rotate{.block = 2048} | cast<bfloat16>{});
  check_chain(sign_flip{} | hadamard_rotate{.block = 256} | scale{.factor = -3.0f});
}
