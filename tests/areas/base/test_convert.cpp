#include <support/float_bits.hpp>

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/random.hpp>
#include <ccomp/core/types.hpp>
#include <ccomp/engine/host/convert.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace ccomp;
using support::bits_of;
using support::float_from;

namespace {

template <class F> void for_each_isa(F const& f) {
  for (auto isa : {instruction_set::baseline, instruction_set::avx2, instruction_set::avx512}) {
    if (!detail::cpu_has(isa)) continue;
    CAPTURE(detail::isa_name(isa));
    f(isa);
  }
}

// Any bit pattern (so NaNs with payloads, both signs, denormals), then many that round near the numbers of 16-bit
// types.
std::vector<float> many_floats(std::size_t n) {
  std::vector<float> x(n);
  random_stream const s({1, 2}, 3);
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t const u = random_bits32(s, i);
    x[i] = float_from(i % 2 == 0 ? u : (u & 0x80000000u) | (0x33000000u + (u & 0x14ffffffu)));
  }
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("convert: every code widens as the element type says, in every variant", T, float16, bfloat16) {
  std::vector<T> codes(65536);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = T::from_bits(static_cast<std::uint16_t>(i));
  for_each_isa([&](instruction_set isa) {
    std::vector<float> out(codes.size());
    detail::widen(isa, codes.data(), codes.size(), out.data());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < codes.size(); ++i) wrong += bits_of(out[i]) != bits_of(static_cast<float>(codes[i]));
    CHECK(wrong == 0);
  });
}

TEST_CASE_TEMPLATE("convert: floats narrow as the element type says, and saturate, in every variant", T, float16,
                   bfloat16) {
  auto x = many_floats(std::size_t{1} << 18);
  std::vector<std::uint32_t> const edges{0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7f800001, 0xffc12345,
                                         0x477fefff, 0x477ff000, 0x33000000, 0x33000001, 0x7f7fffff, 0x00000001};
  for (std::size_t i = 0; i < edges.size(); ++i) x[i] = float_from(edges[i]);
  for_each_isa([&](instruction_set isa) {
    std::vector<T> out(x.size());
    detail::narrow(isa, x.data(), x.size(), out.data());
    std::uint32_t const top = std::same_as<T, float16> ? 0x7bff : 0x7f7f;  // the largest number
    std::size_t wrong = 0, saturated = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      T const rounded(x[i]);
      bool const beyond = detail::is_finite(x[i]) && !detail::is_finite(static_cast<float>(rounded));
      saturated += beyond;
      wrong += out[i].bits != (beyond ? (rounded.bits & 0x8000u) | top : rounded.bits);
      wrong += out[i].bits != T::saturated(x[i]).bits;
    }
    CHECK(wrong == 0);
    CHECK(saturated > 0);
  });
}

TEST_CASE_TEMPLATE("convert: every size is converted whole and nothing else is touched", T, float16, bfloat16) {
  auto const x = many_floats(100);
  for_each_isa([&](instruction_set isa) {
    for (std::size_t n = 0; n <= x.size(); ++n) {
      std::vector<float> const in(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(n));  // exact: over-reads show
      std::vector<T> narrow(n + 2, T::from_bits(0xbeef));
      detail::narrow(isa, in.data(), n, narrow.data() + 1);
      std::vector<T> const codes(narrow.begin() + 1, narrow.end() - 1);
      std::vector<float> wide(n + 2, 12345.0f);
      detail::widen(isa, codes.data(), n, wide.data() + 1);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < n; ++i)
        wrong +=
            codes[i] != T::saturated(x[i]) || bits_of(wide[i + 1]) != bits_of(static_cast<float>(T::saturated(x[i])));
      CAPTURE(n);
      CHECK(wrong == 0);
      CHECK(narrow.front().bits == 0xbeef);
      CHECK(narrow.back().bits == 0xbeef);
      CHECK(wide.front() == 12345.0f);
      CHECK(wide.back() == 12345.0f);
    }
  });
}

TEST_CASE("convert: floats are loaded in place, other types into the buffer") {
  std::vector<float> const x{1, 2, 3, 4};
  std::vector<float> buffer(4, -1.0f);
  auto const isa = instruction_set::baseline;
  CHECK(detail::load(isa, detail::view(std::span<float const>(x)), 1, 3, buffer.data()) == x.data() + 1);
  CHECK(buffer[0] == -1.0f);
  std::vector<bfloat16> const b{bfloat16(1), bfloat16(2), bfloat16(3), bfloat16(4)};
  CHECK(detail::load(isa, detail::view(std::span<bfloat16 const>(b)), 1, 3, buffer.data()) == buffer.data());
  CHECK(buffer == std::vector<float>{2, 3, 4, -1});
}

TEST_CASE("convert: values are stored at their place in a tensor of any type") {
  std::vector<float> const x{5, 6};
  auto const isa = instruction_set::baseline;
  std::vector<float> f(4);
  detail::store(isa, x.data(), 2, detail::view(std::span<float>(f)), 1);
  CHECK(f == std::vector<float>{0, 5, 6, 0});
  detail::store(isa, f.data() + 1, 2, detail::view(std::span<float>(f)), 1);  // onto itself
  CHECK(f == std::vector<float>{0, 5, 6, 0});
  std::vector<float16> h(4, float16(0));
  detail::store(isa, x.data(), 2, detail::view(std::span<float16>(h)), 1);
  CHECK(h == std::vector<float16>{float16(0), float16(5), float16(6), float16(0)});
}
