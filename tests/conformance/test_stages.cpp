/// What every compressor must do with every element type, size and kind of value.

#include <doctest/doctest.h>

#include <algorithm>
#include <ccomp/passes.hpp>
#include <cmath>
#include <set>
#include <support/catalogue.hpp>
#include <support/codec.hpp>
#include <support/guarded.hpp>
#include <support/named_compressor.hpp>
#include <support/typed_cases.hpp>

namespace {

using namespace ccomp;
using namespace support;

constexpr pass_options here{.at = 7, .tensor = 3, .rank = 2};

/// What is being tested, for messages; and how many of them a compressor may print.
struct place {
  std::string text, type, name;
  std::size_t n = 0;
  friend std::ostream& operator<<(std::ostream& out, place const& p) {
    return out << p.text << ", " << p.type << ", n = " << p.n << ", " << p.name;
  }
};
int failures = 0;
constexpr int most_failures = 40;

#define EXPECT(condition, detail)                                                        \
  do {                                                                                   \
    if (!(condition) && ++failures <= most_failures) FAIL_CHECK(at << ": " << (detail)); \
  } while (false)

template <class T> std::uint32_t bits_in(T v) {
  if constexpr (sizeof(T) == 4)
    return std::bit_cast<std::uint32_t>(v);
  else
    return v.bits;
}
template <class T> bool same_values(std::span<T const> a, std::span<T const> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}
float canonical(float x) { return x == x ? x : std::bit_cast<float>(0x7fc00000u); }
/// Finite values stay finite.
template <class T> T written_as(float x) {
  if constexpr (std::same_as<T, float>)
    return x;
  else
    return T::saturated(x);
}
std::string index_text(std::size_t i) { return "value " + std::to_string(i); }

/// What a payload of values of type T stands for, before it is rounded to T.
template <class T>
std::vector<float> decoded_wide(named_compressor const& c, std::span<std::byte const> bytes, std::size_t n,
                                pass_options where = here, host_exec ex = {1}) {
  std::vector<float> out(n);
  workspace ws{ex};
  std::byte const* const one[] = {bytes.data()};
  ccomp::detail::scratch const memory(ws.reserve(ccomp::detail::scratch_bytes(c.stages(), n)));
  ccomp::detail::sum_decoded(c.stages(), {ex, where}, one, bytes.size(), element_type_of<T>,
                             {out.data(), element_type::float32, n}, 1.0f, memory);
  return out;
}

std::vector<std::size_t> sizes_for(catalogue_entry const& e) {
  std::set<std::size_t> sizes{0, 1, 2, 31, 32, 33, 255, 257, 511, 513, 1023, 1025, 4095, 4097, 8193};
  std::size_t const block = std::max<std::size_t>(e.spread, 16);
  for (std::size_t const s : {block - 1, block, block + 1, 3 * block + 5}) sizes.insert(s);
  return {sizes.begin(), sizes.end()};
}

/// encode: size as declared, nothing written outside, every byte decided by the values.
template <class T>
std::size_t check_encode(place const& at, catalogue_entry const& e, named_compressor const& c, std::vector<T> const& x,
                         payload_buffer& payload, host_exec ex = {1}) {
  workspace ws{ex};
  std::size_t const used = encode(ex, c, x, payload, ws, here);
  EXPECT(payload.intact(), "encode wrote beside its payload");
  EXPECT(used <= payload.size(), "encode claims more bytes than there are");
  if (e.exact_size) EXPECT(used == payload.size(), "the payload is not as large as declared");
  EXPECT(used % 16 == 0, "the payload is not a multiple of 16 bytes");
  payload_buffer again(payload.size());
  std::ranges::fill(again.bytes(), std::byte{0x11});
  EXPECT(encode(ex, c, x, again, ws, here) == used, "encoded again, the payload has another size");
  EXPECT(std::ranges::equal(payload.bytes().first(used), again.bytes().first(used)),
         "bytes of the payload were not written, or differ between two calls");
  return used;
}

/// decode and decode_accumulate: write everything and nothing else; both agree with the float32 oracle.
template <class T>
void check_decode(place const& at, named_compressor const& c, std::span<std::byte const> bytes,
                  std::vector<float> const& wide, host_exec ex = {1}) {
  std::size_t const n = wide.size();
  workspace ws{ex};
  guarded<T> out(n);
  decode(ex, c, bytes, out.span(), ws, here);
  EXPECT(out.intact(), "decode wrote outside of its output");
  EXPECT(out.complete(), "decode left values unwritten");
  std::vector<T> sum = narrowed<T>(same_gaussian_values(n, 5));
  auto const before = sum;
  guarded<T> onto(sum);
  decode_accumulate(ex, c, bytes, onto.span(), ws, here);
  EXPECT(onto.intact(), "decode_accumulate wrote outside of its output");
  for (std::size_t i = 0; i < n; ++i) {
    auto const value = written_as<T>(wide[i]);
    auto const total = written_as<T>(canonical(static_cast<float>(before[i]) + wide[i]));
    EXPECT(bits_in(out.span()[i]) == bits_in(value), "decode: not the rounded " + index_text(i));
    EXPECT(bits_in(onto.span()[i]) == bits_in(total), "decode_accumulate is not decode and add: " + index_text(i));
    if (failures > most_failures) return;
  }
}

/// encode_feedback: what the payload does not hold is in the residual, to the last bit, and nothing non-finite ever is.
template <class T, class R>
void check_feedback(place const& at, named_compressor const& c, std::vector<T> const& x, float decay,
                    host_exec ex = {1}) {
  std::size_t const n = x.size();
  auto const old = narrowed<R>(same_gaussian_values(n, 6));
  guarded<R> residual(old);
  payload_buffer payload(payload_bytes<T>(c, n));
  workspace ws{ex};
  std::size_t const used = encode_feedback(ex, c, x, residual.span(), payload, ws, here, decay);
  EXPECT(payload.intact(), "encode_feedback wrote beside its payload");
  EXPECT(residual.intact(), "encode_feedback wrote outside of the residual");
  auto const wide = decoded_wide<T>(c, payload.bytes().first(used), n);
  for (std::size_t i = 0; i < n; ++i) {
    auto const before = static_cast<float>(old[i]), after = static_cast<float>(residual.span()[i]);
    float const scaled = decay == 1.0f ? before : ccomp::detail::mul(decay, before);
    float const v = ccomp::detail::add(scaled, static_cast<float>(x[i]));
    EXPECT(std::isfinite(after), "the residual received a non-finite " + index_text(i));
    bool const sent = std::isfinite(v) && std::isfinite(wide[i]);
    if (sent) {
      float const left = v - wide[i];
      bool const kept =
          std::same_as<R, float> ? after == left : std::abs(after - left) <= 0x1p-7f * std::abs(left) + 0x1p-133f;
      EXPECT(kept || !std::isfinite(left),
             "decoded and residual do not add up to input and residual: " + index_text(i));
    } else {
      EXPECT(after == before || (std::isfinite(v) && (after == v || sizeof(R) == 2)),
             "the residual of a block that is not finite changed: " + index_text(i));
    }
    if (failures > most_failures) return;
  }
}

template <class T> std::string type_name() { return std::string(element_name(element_type_of<T>)); }

template <class T> void check_finite(catalogue_entry const& e) {
  named_compressor const c(e.text);
  for (std::size_t const n : sizes_for(e)) {
    for (auto const& each : finite_typed_cases<T>(n)) {
      place const at{e.text, type_name<T>(), each.name, n};
      payload_buffer payload(payload_bytes<T>(c, n));
      std::size_t const used = check_encode(at, e, c, each.values, payload);
      auto const bytes = payload.bytes().first(used);
      auto const wide = decoded_wide<T>(c, bytes, n);
      check_decode<T>(at, c, bytes, wide);
      check_feedback<T, float>(at, c, each.values, 1.0f);
      check_feedback<T, float>(at, c, each.values, 0.75f);
      if (each.name == "heavy tail") check_feedback<T, bfloat16>(at, c, each.values, 1.0f);
      for (std::size_t i = 0; i < n && each.largest <= e.reach; ++i)
        EXPECT(std::isfinite(wide[i]), "a finite value decodes to a non-finite one: " + index_text(i));
      for (std::size_t i = 0; i < n && each.largest == 0; ++i)
        EXPECT(wide[i] == 0, "zeros do not decode to zero: " + index_text(i));
      if (failures > most_failures) return;
    }
  }
}

template <class T> void check_spoilt(catalogue_entry const& e) {
  named_compressor const c(e.text);
  for (std::size_t const n : sizes_for(e)) {
    for (auto const& each : spoilt_cases<T>(n, e.spread)) {
      place const at{e.text, type_name<T>(), each.name, n};
      payload_buffer payload(payload_bytes<T>(c, n));
      std::size_t const used = check_encode(at, e, c, each.values, payload);
      auto const wide = decoded_wide<T>(c, payload.bytes().first(used), n);
      check_decode<T>(at, c, payload.bytes().first(used), wide);
      check_feedback<T, float>(at, c, each.values, 1.0f);
      check_feedback<T, float>(at, c, each.values, 0.75f);
      check_feedback<T, bfloat16>(at, c, each.values, 1.0f);

      std::vector<bool> may(n), must(n);
      for (std::size_t const b : each.bad) {
        for (std::size_t i = b / e.spread * e.spread; i < std::min(n, (b / e.spread + 1) * e.spread); ++i)
          may[i] = true;
        must[b] = e.sent == sends::all || (e.sent == sends::largest && each.bad.size() == 1 && n > 200);
      }
      std::size_t spoilt = 0;
      for (std::size_t i = 0; i < n; ++i) {
        bool const bad = !std::isfinite(wide[i]);
        spoilt += bad;
        EXPECT(bad || !must[i], "a non-finite value decodes to a finite one: " + index_text(i));
        if (e.sent == sends::all) EXPECT(!bad || may[i], "a non-finite value spoils a neighbour: " + index_text(i));
        EXPECT(wide[i] == wide[i] || bits_in(wide[i]) == 0x7fc00000u,
               "a NaN is not the canonical one: " + index_text(i));
      }
      EXPECT(spoilt <= e.spread * each.bad.size(), "one value spoils " + std::to_string(spoilt));
      if (failures > most_failures) return;
    }
  }
}

/// The same bytes from every instruction set and number of threads; at this size seven threads have work each.
template <class T> void check_execs(catalogue_entry const& e, std::size_t n, std::vector<host_exec> const& execs) {
  named_compressor const c(e.text);
  auto const x = narrowed<T>(same_gaussian_values(n, 31)), old = narrowed<T>(same_gaussian_values(n, 32));
  struct result {
    std::vector<std::byte> payload, feedback_payload;
    std::vector<T> out, onto;
    std::vector<float> residual;
    std::vector<bfloat16> narrow_residual;
  };
  auto const run_on = [&](host_exec ex) {
    result r;
    workspace ws{ex};
    r.payload = encoded(c, x, here, ex);
    r.out = decoded<T>(c, r.payload, n, here, ex);
    payload_buffer bytes(payload_bytes<T>(c, n));
    std::ranges::copy(r.payload, bytes.bytes().begin());
    r.onto = old;
    decode_accumulate(ex, c, bytes.bytes().first(r.payload.size()), r.onto, ws, here);
    r.residual = same_gaussian_values(n, 33);
    r.narrow_residual = narrowed<bfloat16>(r.residual);
    std::size_t const used = encode_feedback(ex, c, x, std::span(r.residual), bytes, ws, here, 0.9f);
    r.feedback_payload.assign(bytes.bytes().begin(), bytes.bytes().begin() + static_cast<std::ptrdiff_t>(used));
    encode_feedback(ex, c, x, std::span(r.narrow_residual), bytes, ws, here, 0.9f);
    return r;
  };
  result const first = run_on({1, instruction_set::baseline});
  for (auto const& ex : execs) {
    place const at{e.text, type_name<T>(),
                   std::string(ccomp::detail::isa_name(ex.isa)) + " with " + std::to_string(ex.threads) + " threads",
                   n};
    result const r = run_on(ex);
    EXPECT(r.payload == first.payload, "other payload bytes");
    EXPECT(same_values<T>(r.out, first.out), "other decoded bits");
    EXPECT(same_values<T>(r.onto, first.onto), "other accumulated bits");
    EXPECT(r.feedback_payload == first.feedback_payload, "other payload bytes with feedback");
    EXPECT(same_values<float>(r.residual, first.residual), "other residual bits");
    EXPECT(same_values<bfloat16>(r.narrow_residual, first.narrow_residual), "other bfloat16 residual bits");
  }
}

/// `each`: only every so-manieth entry.
template <class F> void for_each_entry(F const& f, std::size_t each = 1) {
  auto const all = catalogue();
  for (std::size_t i = 0; i < all.size(); i += each) {
    failures = 0;
    f(all[i]);
  }
}
/// 16-bit tensors differ from float in how they are read and written only: a part of the catalogue does for long ones.
template <class T> constexpr std::size_t long_tensor_entries = std::same_as<T, float> ? 1 : 5;

}  // namespace

TEST_CASE("conformance: every known stage is in the catalogue") {
  auto const all = catalogue();
  for (auto const& name : known_stage_names()) {
    bool const alone = std::ranges::any_of(all, [&](auto const& e) {
      return e.text.starts_with(name) && e.text.find('|') == std::string::npos &&
             (e.text.size() == name.size() || e.text[name.size()] == '(');
    });
    CHECK_MESSAGE(alone, name);
  }
}

TEST_CASE("conformance: texts without end are refused in one sentence, and power_sgd says what it needs") {
  auto refused = [](std::string const& text, char const* what) {
    std::string said;
    try {
      named_compressor const c(text);
    } catch (invalid_argument const& e) {
      said = e.what();
    }
    CHECK(said.find(what) != std::string::npos);
    CHECK(said.size() < 400);
  };
  std::string many = "scale";
  for (int i = 1; i < 16; ++i) many += "|scale";
  CHECK(named_compressor(many).stages().size() == 16);
  refused(many + "|scale", "at most 16 stages");
  for (int i = 0; i < 20000; ++i) many += "|scale";
  refused(many, "at most 16 stages");
  refused(std::string(1 << 20, 'a'), "too long");
  refused("top_k(" + std::string(1 << 20, '1') + ")", "too long");
  refused("top_k" + std::string(1 << 20, '('), "expected a setting");
  refused("power_sgd(4)", "<ccomp/low_rank/power_sgd.hpp>");
}

TEST_CASE_TEMPLATE("conformance: finite values of every size", T, float, float16, bfloat16) {
  for_each_entry([](auto const& e) { check_finite<T>(e); });
}

TEST_CASE_TEMPLATE("conformance: NaN and Inf stay in their block and out of residuals", T, float, float16, bfloat16) {
  for_each_entry([](auto const& e) { check_spoilt<T>(e); });
}

TEST_CASE_TEMPLATE("conformance: a million and seven values", T, float, float16, bfloat16) {
  for_each_entry(
      [](auto const& e) {
        std::size_t const n = 1'000'007;
        named_compressor const c(e.text);
        auto const x = narrowed<T>(same_gaussian_values(n, 41));
        place const at{e.text, type_name<T>(), "Gaussian", n};
        payload_buffer payload(payload_bytes<T>(c, n));
        std::size_t const used = check_encode(at, e, c, x, payload, {2});
        check_decode<T>(at, c, payload.bytes().first(used), decoded_wide<T>(c, payload.bytes().first(used), n), {2});
        check_feedback<T, float>(at, c, x, 0.75f, {2});
      },
      long_tensor_entries<T>);
}

TEST_CASE_TEMPLATE("conformance: the same bytes on every instruction set and number of threads", T, float, float16,
                   bfloat16) {
  std::vector<host_exec> alone;
  for (auto const isa : instruction_sets()) alone.push_back({1, isa});
  instruction_set const best = instruction_sets().back();
  for_each_entry([&](auto const& e) {
    for (std::size_t const n : {std::size_t{33}, std::size_t{257}, std::size_t{8191}}) check_execs<T>(e, n, alone);
  });
  for_each_entry(
      [&](auto const& e) {
        check_execs<T>(e, 7 * 65536 + 21, {{1, best}, {2, best}, {7, best}, {7, instruction_set::baseline}});
      },
      long_tensor_entries<T>);
}

TEST_CASE_TEMPLATE("conformance: the step, the tensor and the rank draw the bits, and nothing else does", T, float,
                   float16, bfloat16) {
  for_each_entry([](auto const& e) {
    std::size_t const n = 3000;
    named_compressor const c(e.text);
    auto const x = narrowed<T>(gaussian_values(n, 51));
    place const at{e.text, type_name<T>(), "Gaussian", n};
    auto const bytes = encoded(c, x, here);
    EXPECT(encoded(c, x, here) == bytes, "the same step does not replay the same bytes");
    bool const random = e.random != draws::nothing;
    EXPECT((encoded(c, x, {.at = 8, .tensor = 3, .rank = 2}) != bytes) == random, "another step");
    EXPECT((encoded(c, x, {.at = 7, .tensor = 4, .rank = 2}) != bytes) == random, "another tensor");
    EXPECT((encoded(c, x, {.at = 7, .tensor = 3 + (1ull << 40), .rank = 2}) != bytes) == random, "a far tensor id");
    EXPECT((encoded(c, x, {.at = 7, .tensor = 3, .rank = 3}) != bytes) == (e.random == draws::own), "another rank");
  });
}

TEST_CASE("conformance: padding is zero") {
  auto const zero_from = [](std::vector<std::byte> const& bytes, std::size_t begin, std::size_t end) {
    return std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                       bytes.begin() + static_cast<std::ptrdiff_t>(end), [](std::byte b) { return b == std::byte{}; });
  };
  std::vector<float> const x{1, -2, 3};
  auto const halves = encoded(named_compressor("cast<float16>"), x);
  CHECK(halves.size() == 16);
  CHECK(zero_from(halves, 6, 16));
  auto const bytes = encoded(named_compressor("uniform_quantize<8>"), x);
  CHECK(bytes.size() == 32);
  CHECK(zero_from(bytes, 4, 16));
  CHECK(zero_from(bytes, 19, 32));
  auto const bits = encoded(named_compressor("sign_quantize"), x);
  CHECK(bits.size() == 32);
  CHECK(bits[16] == std::byte{2});
  CHECK(zero_from(bits, 17, 32));
  auto const sparse = encoded(named_compressor("top_k(count=1, indices=raw)"), x);
  CHECK(sparse.size() == 32);
  CHECK(zero_from(sparse, 4, 16));
  CHECK(zero_from(sparse, 20, 32));
}
