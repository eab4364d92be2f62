#include <ccomp/core/random.hpp>
#include <ccomp/engine/host/random.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

using namespace ccomp;

namespace {

// Every instruction set of this CPU, streams with every word in use, and counters that cross into the high half.
template <class F> void for_each_variant(F const& f) {
  for (auto isa : {instruction_set::baseline, instruction_set::avx2, instruction_set::avx512}) {
    if (!detail::cpu_has(isa)) continue;
    CAPTURE(detail::isa_name(isa));
    f(isa, random_stream({0, 0}));
    f(isa, random_stream({0x123456789abcdef0, 77}, 0xfedcba9876543210, 5, 255));
    f(isa, random_stream({~std::uint64_t{0}, ~std::uint64_t{0}}, 0xffffffff, shared_rank, 128));
  }
}

constexpr std::uint64_t counter_wraps = std::uint64_t{1} << 32;

}  // namespace

TEST_CASE("host random: 16-bit fills are random_bits16, for every instruction set") {
  for_each_variant([](instruction_set isa, random_stream const& s) {
    for (std::uint64_t first :
         {std::uint64_t{0}, std::uint64_t{256} * 5, counter_wraps / 32 * 256 - 512, (std::uint64_t{1} << 58) - 4096})
      for (std::size_t count : {1u, 255u, 256u, 257u, 2000u}) {
        std::size_t const filled = (count + 255) / 256 * 256;
        std::vector<std::uint16_t> out(filled + 2, std::uint16_t{0xbeef});
        detail::fill_random16(isa, s, first, out.data() + 1, count);
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < filled; ++i) wrong += out[1 + i] != random_bits16(s, first + i);
        CAPTURE(first);
        CAPTURE(count);
        CHECK(wrong == 0);
        CHECK(out.front() == 0xbeef);
        CHECK(out.back() == 0xbeef);
      }
  });
}

TEST_CASE("host random: filling nothing writes nothing") {
  for_each_variant([](instruction_set isa, random_stream const& s) {
    std::uint16_t half = 0xbeef;
    detail::fill_random16(isa, s, 0, &half, 0);
    CHECK(half == 0xbeef);
    std::uint32_t word = 0xdeadbeef;
    detail::fill_random_words(isa, s, 0, &word, 0);
    CHECK(word == 0xdeadbeef);
  });
}

TEST_CASE("host random: word fills are random_words, for every instruction set") {
  for_each_variant([](instruction_set isa, random_stream const& s) {
    for (std::uint64_t counter : {std::uint64_t{0}, std::uint64_t{1001}, counter_wraps - 5})
      for (std::size_t count : {1u, 3u, 8u, 100u}) {
        std::vector<std::uint32_t> out(4 * count + 2, 0xdeadbeefu);
        detail::fill_random_words(isa, s, counter, out.data() + 1, count);
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < 4 * count; ++i) wrong += out[1 + i] != random_words(s, counter + i / 4).w[i % 4];
        CAPTURE(counter);
        CAPTURE(count);
        CHECK(wrong == 0);
        CHECK(out.front() == 0xdeadbeef);
        CHECK(out.back() == 0xdeadbeef);
      }
  });
}
