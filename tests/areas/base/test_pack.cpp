#include <ccomp/core/random.hpp>
#include <ccomp/engine/host/isa.hpp>
#include <ccomp/engine/host/pack.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

using namespace ccomp;

namespace {

constexpr std::uint8_t canary = 0xa5;
constexpr std::size_t margin = 32;

std::vector<instruction_set> variants() {
  std::vector<instruction_set> here;
  for (auto isa : {instruction_set::baseline, instruction_set::avx2, instruction_set::avx512})
    if (detail::cpu_has(isa)) here.push_back(isa);
  return here;
}

std::vector<std::size_t> sizes() {
  std::vector<std::size_t> s(300);  // every length up to several vectors and every tail
  std::iota(s.begin(), s.end(), std::size_t{0});
  for (std::size_t n : {511u, 512u, 513u, 1000u, 4095u, 4096u, 4097u, 10007u}) s.push_back(n);
  return s;
}

std::vector<std::uint8_t> random_codes(std::size_t n, int bits) {
  std::vector<std::uint8_t> codes(n);
  random_stream const s({99, static_cast<unsigned>(bits)}, n);
  for (std::size_t i = 0; i < n; ++i) codes[i] = static_cast<std::uint8_t>(random_bits16(s, i) >> (16 - bits));
  return codes;
}

// The definition, one bit at a time: bit b of code j is bit j * bits + b of the stream, low bits first.
std::vector<std::uint8_t> naive_pack(std::vector<std::uint8_t> const& codes, int bits) {
  auto const width = static_cast<std::size_t>(bits);
  std::vector<std::uint8_t> out((codes.size() * width + 7) / 8, std::uint8_t{0});
  for (std::size_t j = 0; j < codes.size(); ++j)
    for (std::size_t b = 0; b < width; ++b) {
      std::size_t const at = j * width + b;
      out[at / 8] = static_cast<std::uint8_t>(out[at / 8] | ((static_cast<unsigned>(codes[j]) >> b & 1u) << (at % 8)));
    }
  return out;
}

// A buffer whose surroundings tell whether anything was written outside.
struct guarded {
  std::vector<std::uint8_t> memory;
  std::size_t start, size;
  guarded(std::size_t n, std::size_t offset) : memory(n + 2 * margin, canary), start(margin - offset), size(n) {}
  std::uint8_t* data() { return memory.data() + start; }
  std::vector<std::uint8_t> content() const {
    auto const first = memory.begin() + static_cast<std::ptrdiff_t>(start);
    return {first, first + static_cast<std::ptrdiff_t>(size)};
  }
  bool untouched() const {
    for (std::size_t i = 0; i < memory.size(); ++i)
      if ((i < start || i >= start + size) && memory[i] != canary) return false;
    return true;
  }
};

/// Calls `f` with the width as a compile-time constant.
template <class F, int Bits = 8> void with_bits(int bits, F const& f) {
  if constexpr (Bits > 1) {
    if (bits < Bits) return with_bits<F, Bits - 1>(bits, f);
  }
  f.template operator()<Bits>();
}
void pack(instruction_set isa, int bits, std::uint8_t const* codes, std::size_t n, std::uint8_t* out) {
  with_bits(bits, [&]<int Bits> { detail::pack_bits<Bits>(isa, codes, n, out); });
}
void unpack(instruction_set isa, int bits, std::uint8_t const* in, std::size_t n, std::uint8_t* codes) {
  with_bits(bits, [&]<int Bits> { detail::unpack_bits<Bits>(isa, in, n, codes); });
}

}  // namespace

TEST_CASE("pack: a known example") {
  std::vector<std::uint8_t> const codes{1, 2, 3, 4, 5, 6, 7, 0, 7};
  // 3 bits each, low first: 001 010 011 100 101 110 111 000 111
  std::vector<std::uint8_t> const expected{0xd1, 0x58, 0x1f, 0x07};
  std::vector<std::uint8_t> out(4);
  pack(instruction_set::baseline, 3, codes.data(), codes.size(), out.data());
  CHECK(out == expected);
  CHECK(naive_pack(codes, 3) == expected);
}

TEST_CASE("pack: the packed size is the number of bits, rounded up to bytes") {
  CHECK(detail::packed_bytes(0, 3) == 0);
  CHECK(detail::packed_bytes(1, 1) == 1);
  CHECK(detail::packed_bytes(8, 1) == 1);
  CHECK(detail::packed_bytes(9, 1) == 2);
  CHECK(detail::packed_bytes(3, 5) == 2);
  CHECK(detail::packed_bytes(std::size_t{1} << 40, 7) == std::size_t{7} << 37);
}

TEST_CASE("pack: every width, size and instruction set gives the naive stream and touches nothing else") {
  for (auto isa : variants())
    for (int bits = 1; bits <= 8; ++bits) {
      std::size_t wrong = 0, outside = 0, last_wrong = 0;
      for (std::size_t n : sizes()) {
        auto const codes = random_codes(n, bits);  // of exact size: a read beyond it shows under ASan
        auto const expected = naive_pack(codes, bits);
        guarded out(expected.size(), n % 4);
        pack(isa, bits, codes.data(), n, out.data());
        if (out.content() != expected) ++wrong, last_wrong = n;
        outside += !out.untouched();
      }
      CAPTURE(detail::isa_name(isa));
      CAPTURE(bits);
      CAPTURE(last_wrong);
      CHECK(wrong == 0);
      CHECK(outside == 0);
    }
}

TEST_CASE("unpack: every width, size and instruction set reads the naive stream and touches nothing else") {
  for (auto isa : variants())
    for (int bits = 1; bits <= 8; ++bits) {
      std::size_t wrong = 0, outside = 0, last_wrong = 0;
      for (std::size_t n : sizes()) {
        auto const codes = random_codes(n, bits);
        auto const packed = naive_pack(codes, bits);
        guarded out(n, n % 4);
        unpack(isa, bits, packed.data(), n, out.data());
        if (out.content() != codes) ++wrong, last_wrong = n;
        outside += !out.untouched();
      }
      CAPTURE(detail::isa_name(isa));
      CAPTURE(bits);
      CAPTURE(last_wrong);
      CHECK(wrong == 0);
      CHECK(outside == 0);
    }
}

TEST_CASE("unpack: bits of the last byte beyond the last code are ignored") {
  for (auto isa : variants())
    for (int bits = 1; bits <= 8; ++bits)
      for (std::size_t n : {1u, 7u, 9u, 100u, 1001u}) {
        auto const codes = random_codes(n, bits);
        auto packed = naive_pack(codes, bits);
        std::size_t const used = n * static_cast<std::size_t>(bits) % 8;
        if (used != 0) packed.back() = static_cast<std::uint8_t>(packed.back() | (0xffu << used));
        std::vector<std::uint8_t> out(n, canary);
        unpack(isa, bits, packed.data(), n, out.data());
        CHECK(out == codes);
      }
}
