#pragma once
/// The checks of one compressor on the host, without its type. check_stage.hpp is what its author calls.

#include <ccomp/codec.hpp>
#include <ccomp/testing/claims.hpp>
#include <ccomp/testing/guarded.hpp>
#include <ccomp/testing/hostile_frames.hpp>
#include <ccomp/testing/inputs.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

CCOMP_BEGIN
namespace testing::detail {

template <class T> std::uint32_t bits_in(T v) {
  if constexpr (sizeof(T) == 4)
    return std::bit_cast<std::uint32_t>(v);
  else
    return v.bits;
}
template <class T> bool same_values(std::span<T const> a, std::span<T const> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}
inline float canonical(float x) { return x == x ? x : std::bit_cast<float>(0x7fc00000u); }
template <class T> std::string type_name() { return std::string(element_name(element_type_of<T>)); }

/// Every check adds the faults that it finds, one sentence each.
class compressor_check {
 public:
  compressor_check(std::span<stage_ref const> stages, compressor_claims claims)
      : c_{stages}, claims_(std::move(claims)), text_(text(c_)) {}

  [[nodiscard]] std::vector<std::string> const& faults() const { return faults_; }

  /// Sizes, residuals and decoded values, for values that are finite.
  template <class T> void finite() {
    for (std::size_t const n : sizes())
      for (auto const& each : finite_typed_cases<T>(n)) {
        at<T>(each.name, n);
        payload_buffer payload(payload_bytes<T>(c_, n));
        auto const bytes = payload.bytes().first(encode_checked(each.values, payload));
        auto const wide = decoded_wide<T>(bytes, n);
        decode_checked<T>(bytes, wide);
        feedback_checked<T, float>(each.values, 1.0f);
        feedback_checked<T, float>(each.values, 0.75f);
        if (each.name == "heavy tail") feedback_checked<T, bfloat16>(each.values, 1.0f);
        for (std::size_t i = 0; i < n && each.largest <= claims_.reach; ++i)
          expect(std::isfinite(wide[i]), "a finite value decodes to a non-finite one", i);
        for (std::size_t i = 0; i < n && each.largest == 0; ++i) expect(wide[i] == 0, "zeros do not decode to zero", i);
        if (enough()) return;
      }
  }

  /// NaN and Inf stay in their block, and out of residuals.
  template <class T> void spoilt() {
    for (std::size_t const n : sizes())
      for (auto const& each : spoilt_cases<T>(n, claims_.spread)) {
        at<T>(each.name, n);
        payload_buffer payload(payload_bytes<T>(c_, n));
        auto const bytes = payload.bytes().first(encode_checked(each.values, payload));
        auto const wide = decoded_wide<T>(bytes, n);
        decode_checked<T>(bytes, wide);
        feedback_checked<T, float>(each.values, 1.0f);
        feedback_checked<T, float>(each.values, 0.75f);
        feedback_checked<T, bfloat16>(each.values, 1.0f);
        spread_checked(wide, each.bad);
        if (enough()) return;
      }
  }

  /// A long tensor, on as many threads.
  template <class T> void many_values(std::size_t n, int threads) {
    auto const x = narrowed<T>(same_gaussian_values(n, 41));
    at<T>("Gaussian", n);
    payload_buffer payload(payload_bytes<T>(c_, n));
    host_exec const ex{threads};
    auto const bytes = payload.bytes().first(encode_checked(x, payload, ex));
    decode_checked<T>(bytes, decoded_wide<T>(bytes, n), ex);
    feedback_checked<T, float>(x, 0.75f, ex);
  }

  /// The same bits from every exec.
  template <class T> void same_bits(std::size_t n, std::vector<host_exec> const& execs) {
    auto const x = narrowed<T>(same_gaussian_values(n, 31)), old = narrowed<T>(same_gaussian_values(n, 32));
    auto const first = run_on<T>({1, instruction_set::baseline}, x, old);
    for (auto const& ex : execs) {
      at<T>(std::string(ccomp::detail::isa_name(ex.isa)) + " with " + std::to_string(ex.threads) + " threads", n);
      auto const r = run_on<T>(ex, x, old);
      expect(r.payload == first.payload, "other payload bytes");
      expect(same_values<T>(r.out, first.out), "other decoded bits");
      expect(same_values<T>(r.onto, first.onto), "other accumulated bits");
      expect(r.feedback_payload == first.feedback_payload, "other payload bytes with feedback");
      expect(same_values<float>(r.residual, first.residual), "other residual bits");
      expect(same_values<bfloat16>(r.narrow_residual, first.narrow_residual), "other bfloat16 residual bits");
    }
  }

  /// The step, the tensor and the rank draw the bits, and nothing else does.
  template <class T> void draws_by_step() {
    std::size_t const n = size_or(3000);
    auto const x = narrowed<T>(gaussian_values(n, 51));
    at<T>("Gaussian", n);
    auto const bytes = encoded<T>(x, here);
    expect(encoded<T>(x, here) == bytes, "the same step does not replay the same bytes");
    bool const random = claims_.random != draws::nothing;
    auto const expect_draw = [&](pass_options const& other, bool drawn, char const* what) {
      expect((encoded<T>(x, other) != bytes) == drawn,
             std::string("another ") + what + (drawn ? " draws the same bits" : " changes the bytes"));
    };
    expect_draw({.at = 8, .tensor = 3, .rank = 2}, random, "step");
    expect_draw({.at = 7, .tensor = 4, .rank = 2}, random, "tensor");
    expect_draw({.at = 7, .tensor = 3 + (1ull << 40), .rank = 2}, random, "far tensor id");
    expect_draw({.at = 7, .tensor = 3, .rank = 3}, claims_.random == draws::own, "rank");
  }

  /// Damaged payloads are refused before anything is written, or decode within bounds.
  template <class T> void hostile(std::size_t rounds) {
    for (std::size_t const n : sizes_or({1, 300, 2500})) {
      at<T>("a damaged payload", n);
      for (auto const& what : hostile_frame_faults<T>(c_, n, rounds)) expect(false, what);
    }
  }

  /// On average over steps no more is left out than `claimed(n)`, an optional, says: |x - Q(x)|^2 <= (1 - claimed) |x|^2.
  template <class Claimed> void contraction(Claimed const& claimed, int steps) {
    for (std::size_t const n : sizes_or({1, 2, 17, 100, 1000, 5000})) {
      if (n == 0) continue;
      std::optional<double> const least = claimed(n);
      if (!least) continue;
      for (auto const& x : {gaussian_values(n, 71), heavy_tailed_values(n, 72), std::vector<float>(n, 0.3f)}) {
        at<float>("", n);
        double sum = 0, sum_squares = 0, size = 0;
        for (float const v : x) size += static_cast<double>(v) * static_cast<double>(v);
        for (int t = 0; t < steps; ++t) {
          pass_options const where{.at = t};
          auto const y = decoded_wide<float>(encoded<float>(x, where), n, where);
          double error = 0;
          for (std::size_t i = 0; i < n; ++i) {
            double const d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
            error += d * d / size;
          }
          sum += error;
          sum_squares += error * error;
        }
        double const mean = sum / steps;
        double const deviation = std::sqrt(std::max(0.0, sum_squares / steps - mean * mean) / steps);
        expect(mean <= 1 - *least + 5 * deviation + 1e-6, "error feedback is allowed, but " + std::to_string(mean) +
                                                              " of the squared norm is left out, and " +
                                                              std::to_string(1 - *least) + " claimed");
      }
    }
  }

  /// Payloads of two ranks, added as a communicator would, decode to the sum of what they decode to.
  template <class T> void linear() {
    std::size_t const n = size_or(3000);
    at<T>("", n);
    auto const x = narrowed<T>(gaussian_values(n, 81)), y = narrowed<T>(gaussian_values(n, 82));
    // Another rank must make a carrier that can be added: signs and places do not depend on the rank.
    auto const a = encoded<T>(x, {.at = 3, .rank = 0}), b = encoded<T>(y, {.at = 3, .rank = 1});
    auto const carrier = ccomp::detail::carrier_of(c_.stages(), n, element_type_of<T>);
    if (a.size() != b.size() || a.size() < carrier.n * element_bytes(carrier.type))
      return expect(false, "it is called linear, but its payload is no row of numbers that can be added");
    std::vector<T> sum;
    try {
      sum = decoded<T>(added(a, b, carrier.type), n, {.at = 3, .rank = 9}, {1});
    } catch (payload_error const& e) {
      return expect(false, std::string("it is called linear, but it refuses the sum of two payloads: ") + e.what());
    }
    auto const da = decoded<T>(a, n, {.at = 3, .rank = 4}, {1}), db = decoded<T>(b, n, {.at = 3, .rank = 5}, {1});
    // Roundings: of the carriers, of their sum and of the output, relative to values that rotation mixed.
    double const unit = carrier.type == element_type::bfloat16 || std::same_as<T, bfloat16> ? 0x1p-8
                        : carrier.type == element_type::float16 || std::same_as<T, float16> ? 0x1p-11
                                                                                            : 0x1p-23;
    double worst = 0, largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
      auto const u = static_cast<double>(static_cast<float>(da[i])), v = static_cast<double>(static_cast<float>(db[i]));
      worst = std::max(worst, std::abs(static_cast<double>(static_cast<float>(sum[i])) - (u + v)));
      largest = std::max({largest, std::abs(u), std::abs(v)});
    }
    expect(largest > 0, "every value decodes to zero");
    expect(worst <= 6 * unit * largest,
           "it is called linear, but the sum of two payloads decodes to something other "
           "than the sum of what they decode to");
  }

  /// The mean over many steps is the input.
  void unbiased(int steps) {
    std::size_t const n = size_or(160);
    at<float>("mean of " + std::to_string(steps) + " steps", n);
    auto const x = gaussian_values(n, 91);
    std::vector<double> sum(n), squared(n);
    double signed_sum = 0, signed_squares = 0, total = 0, top = 0, largest = 0;
    for (float const v : x) {
      total += std::abs(static_cast<double>(v));
      top = std::max(top, std::abs(static_cast<double>(v)));
    }
    for (int t = 0; t < steps; ++t) {
      pass_options const where{.at = t};
      auto const q = decoded<float>(encoded<float>(x, where), n, where, {1});
      double signed_error = 0;
      for (std::size_t i = 0; i < n; ++i) {
        auto const d = static_cast<double>(q[i]);
        sum[i] += d;
        squared[i] += d * d;
        largest = std::max(largest, std::abs(d));
        signed_error += (x[i] < 0 ? -1.0 : 1.0) * (d - static_cast<double>(x[i]));
      }
      signed_sum += signed_error;
      signed_squares += signed_error * signed_error;
    }
    // Six standard errors; a value too rarely kept to be seen has the variance that its size allows.
    for (std::size_t i = 0; i < n; ++i) {
      double const mean = sum[i] / steps, size = std::abs(static_cast<double>(x[i]));
      double const variance = std::max(squared[i] / steps - mean * mean, std::min(size, largest - size) * size * 0.5);
      expect(std::abs(mean - static_cast<double>(x[i])) <= 6 * std::sqrt(variance / steps) + claims_.bias * top,
             "it is called unbiased, but its mean is not the input", i);
    }
    // All values together see a bias that single ones hide.
    double const mean = signed_sum / steps;
    double const error = std::sqrt(std::max(0.0, signed_squares / steps - mean * mean) / steps);
    expect(std::abs(mean) <= 5 * error + claims_.bias * top * static_cast<double>(n) + 1e-6 * total,
           "it is called unbiased, but all values together are off by " + std::to_string(mean));
  }

  void fault(std::string const& what) { faults_.push_back(text_ + ": " + what); }
  /// Runs one check. What it throws is a fault, too.
  template <class F> void run(F const& f) {
    before_ = faults_.size();
    try {
      f();
    } catch (std::exception const& e) {
      fault(place_ + ": throws " + e.what());
    }
  }

 private:
  static constexpr pass_options here{.at = 7, .tensor = 3, .rank = 2};
  static constexpr std::size_t most_faults = 10;  // per check

  template <class T> void at(std::string const& name, std::size_t n) {
    place_ = type_name<T>() + ", n = " + std::to_string(n) + (name.empty() ? "" : ", " + name);
  }
  [[nodiscard]] bool enough() const { return faults_.size() >= before_ + most_faults; }
  void expect(bool holds, std::string const& what) {
    if (!holds && !enough()) fault(place_ + ": " + what);
  }
  /// Inlined by force: it is asked for every value, and a sanitizer makes calls dear.
  [[gnu::always_inline]] void expect(bool holds, char const* what, std::size_t i) {
    if (!holds && !enough()) expect(false, what + (": value " + std::to_string(i)));
  }

  [[nodiscard]] std::vector<std::size_t> sizes_or(std::vector<std::size_t> const& usual) const {
    return claims_.sizes.empty() ? usual : claims_.sizes;
  }
  [[nodiscard]] std::size_t size_or(std::size_t usual) const {
    return claims_.sizes.empty() ? usual : std::ranges::max(claims_.sizes);
  }
  [[nodiscard]] std::vector<std::size_t> sizes() const { return sizes_or(usual_sizes(claims_.spread)); }

  template <class T> std::vector<std::byte> encoded(std::vector<T> const& x, pass_options where, host_exec ex = {1}) {
    payload_buffer payload(payload_bytes<T>(c_, x.size()));
    workspace<host_exec> ws{ex};
    std::size_t const used = encode(ex, c_, x, payload, ws, where);
    expect(payload.intact(), "encode wrote beside its payload");
    auto const bytes = payload.bytes().first(std::min(used, payload.size()));
    return {bytes.begin(), bytes.end()};
  }
  template <class T>
  std::vector<T> decoded(std::span<std::byte const> bytes, std::size_t n, pass_options where, host_exec ex) {
    payload_buffer payload(bytes.size());
    std::ranges::copy(bytes, payload.bytes().begin());
    std::vector<T> out(n);
    workspace<host_exec> ws{ex};
    decode(ex, c_, payload, out, ws, where);
    return out;
  }
  /// What a payload of values of type T stands for, before it is rounded to T.
  template <class T>
  std::vector<float> decoded_wide(std::span<std::byte const> bytes, std::size_t n, pass_options where = here) {
    std::vector<float> out(n);
    host_exec const ex{1};
    workspace<host_exec> ws{ex};
    payload_buffer payload(bytes.size());
    std::ranges::copy(bytes, payload.bytes().begin());
    std::byte const* const one[] = {payload.bytes().data()};
    ccomp::detail::scratch const memory(ws.reserve(ccomp::detail::scratch_bytes(c_.stages(), n)));
    ccomp::detail::sum_decoded(c_.stages(), {ex, where}, one, bytes.size(), element_type_of<T>,
                               {out.data(), element_type::float32, n}, 1.0f, memory);
    return out;
  }

  /// Element by element, 16-bit types in float.
  static std::vector<std::byte> added(std::vector<std::byte> const& a, std::vector<std::byte> const& b,
                                      element_type type) {
    std::vector<std::byte> sum(a.size());
    auto const add_as = [&]<class T>(std::type_identity<T>) {
      for (std::size_t i = 0; i < a.size() / sizeof(T); ++i) {
        T x, y;
        std::memcpy(&x, a.data() + i * sizeof(T), sizeof x);
        std::memcpy(&y, b.data() + i * sizeof(T), sizeof y);
        T const s(static_cast<float>(x) + static_cast<float>(y));
        std::memcpy(sum.data() + i * sizeof(T), &s, sizeof s);
      }
    };
    if (type == element_type::float32) add_as(std::type_identity<float>{});
    if (type == element_type::float16) add_as(std::type_identity<float16>{});
    if (type == element_type::bfloat16) add_as(std::type_identity<bfloat16>{});
    return sum;
  }

  /// encode: size as declared, nothing written outside, every byte decided by the values: the second time the payload,
  /// the scratch memory and what lies around the values hold something else.
  template <class T> std::size_t encode_checked(std::vector<T> const& x, payload_buffer& payload, host_exec ex = {1}) {
    workspace<host_exec> ws{ex};
    std::size_t const scratch = ccomp::detail::scratch_bytes(c_.stages(), x.size());
    guarded<T> first(x, 0), second(x);
    std::ranges::fill(ws.reserve(scratch), std::byte{0});
    std::size_t const used = encode(ex, c_, first.span(), payload, ws, here);
    expect(payload.intact(), "encode wrote beside its payload");
    expect(used <= payload.size(), "encode claims more bytes than there are");
    if (claims_.exact_size) expect(used == payload.size(), "the payload is not as large as declared");
    expect(used % 16 == 0, "the payload is not a multiple of 16 bytes");
    payload_buffer again(payload.size());
    std::ranges::fill(again.bytes(), std::byte{0x11});
    std::ranges::fill(ws.reserve(scratch), std::byte{0xff});
    expect(encode(ex, c_, second.span(), again, ws, here) == used, "encoded again, the payload has another size");
    std::size_t const known = std::min(used, payload.size());
    expect(std::ranges::equal(payload.bytes().first(known), again.bytes().first(known)),
           "bytes of the payload were not written, or depend on more than the values");
    expect(second.intact() && same_values<T>(second.span(), x), "encode wrote to its input");
    return known;
  }

  /// decode and decode_accumulate: write everything and nothing else; both agree with the float32 values.
  template <class T>
  void decode_checked(std::span<std::byte const> bytes, std::vector<float> const& wide, host_exec ex = {1}) {
    std::size_t const n = wide.size();
    workspace<host_exec> ws{ex};
    guarded<T> out(n);
    decode(ex, c_, bytes, out.span(), ws, here);
    expect(out.intact(), "decode wrote outside of its output");
    expect(out.complete(), "decode left values unwritten");
    std::vector<T> const before = narrowed<T>(same_gaussian_values(n, 5));
    guarded<T> onto(before);
    decode_accumulate(ex, c_, bytes, onto.span(), ws, here);
    expect(onto.intact(), "decode_accumulate wrote outside of its output");
    for (std::size_t i = 0; i < n && !enough(); ++i) {
      auto const total = written_as<T>(canonical(static_cast<float>(before[i]) + wide[i]));
      expect(bits_in(out.span()[i]) == bits_in(written_as<T>(wide[i])), "decode: not the rounded value", i);
      expect(bits_in(onto.span()[i]) == bits_in(total), "decode_accumulate is not decode and add", i);
    }
  }

  /// encode_feedback: what the payload does not hold is in the residual, to the last bit, and nothing non-finite ever
  /// is.
  template <class T, class R> void feedback_checked(std::vector<T> const& x, float decay, host_exec ex = {1}) {
    std::size_t const n = x.size();
    auto const old = narrowed<R>(same_gaussian_values(n, 6));
    guarded<R> residual(old);
    payload_buffer payload(payload_bytes<T>(c_, n));
    workspace<host_exec> ws{ex};
    std::size_t const used = encode_feedback(ex, c_, x, residual.span(), payload, ws, here, decay);
    expect(payload.intact(), "encode_feedback wrote beside its payload");
    expect(residual.intact(), "encode_feedback wrote outside of the residual");
    auto const wide = decoded_wide<T>(payload.bytes().first(std::min(used, payload.size())), n);
    for (std::size_t i = 0; i < n && !enough(); ++i) {
      auto const before = static_cast<float>(old[i]), after = static_cast<float>(residual.span()[i]);
      float const scaled = decay == 1.0f ? before : ccomp::detail::mul(decay, before);
      float const v = ccomp::detail::add(scaled, static_cast<float>(x[i]));
      expect(std::isfinite(after), "the residual received a non-finite value", i);
      if (std::isfinite(v) && std::isfinite(wide[i])) {
        float const left = v - wide[i];
        bool const kept =
            std::same_as<R, float> ? after == left : std::abs(after - left) <= 0x1p-7f * std::abs(left) + 0x1p-133f;
        expect(kept || !std::isfinite(left), "decoded and residual do not add up to input and residual", i);
      } else {
        expect(after == before || (std::isfinite(v) && (after == v || sizeof(R) == 2)),
               "the residual of a block that is not finite changed", i);
      }
    }
  }

  /// `bad`: the values that were not finite.
  void spread_checked(std::vector<float> const& wide, std::vector<std::size_t> const& bad) {
    std::size_t const n = wide.size(), spread = claims_.spread;
    std::vector<bool> may(n), must(n);
    for (std::size_t const b : bad) {
      std::size_t const block = b / spread * spread;
      if (!may[block]) std::fill_n(may.begin() + static_cast<std::ptrdiff_t>(block), std::min(spread, n - block), true);
      must[b] = claims_.sent == sends::all || (claims_.sent == sends::largest && bad.size() == 1 && n > 200);
    }
    std::size_t spoilt = 0;
    for (std::size_t i = 0; i < n; ++i) {
      bool const lost = !std::isfinite(wide[i]);
      spoilt += lost;
      expect(lost || !must[i], "a non-finite value decodes to a finite one", i);
      if (claims_.sent == sends::all) expect(!lost || may[i], "a non-finite value spoils a neighbour", i);
      expect(!std::isnan(wide[i]) || bits_in(wide[i]) == 0x7fc00000u, "a NaN is not the canonical one", i);
    }
    expect(spoilt <= spread * bad.size(), "values that are not finite spoil " + std::to_string(spoilt) + " values");
  }

  template <class T> struct result {
    std::vector<std::byte> payload, feedback_payload;
    std::vector<T> out, onto;
    std::vector<float> residual;
    std::vector<bfloat16> narrow_residual;
  };
  template <class T> result<T> run_on(host_exec ex, std::vector<T> const& x, std::vector<T> const& old) {
    result<T> r;
    std::size_t const n = x.size();
    workspace<host_exec> ws{ex};
    r.payload = encoded<T>(x, here, ex);
    r.out = decoded<T>(r.payload, n, here, ex);
    payload_buffer bytes(payload_bytes<T>(c_, n));
    std::ranges::copy(r.payload, bytes.bytes().begin());
    r.onto = old;
    decode_accumulate(ex, c_, bytes.bytes().first(r.payload.size()), r.onto, ws, here);
    r.residual = same_gaussian_values(n, 33);
    r.narrow_residual = narrowed<bfloat16>(r.residual);
    std::size_t const used = encode_feedback(ex, c_, x, std::span(r.residual), bytes, ws, here, 0.9f);
    r.feedback_payload.assign(bytes.bytes().begin(), bytes.bytes().begin() + static_cast<std::ptrdiff_t>(used));
    encode_feedback(ex, c_, x, std::span(r.narrow_residual), bytes, ws, here, 0.9f);
    return r;
  }

  some_stages c_;
  compressor_claims claims_;
  std::string text_, place_;
  std::vector<std::string> faults_;
  std::size_t before_ = 0;  // faults of the checks before
};

}  // namespace testing::detail
CCOMP_END
