/// Hashes of what the stages of low_rank/ make that promise the same bits from every build. (Those that need Eigen do not.)

#include <ccomp/any_compressor.hpp>
#include <ccomp/codec.hpp>
#include <ccomp/low_rank/als.hpp>
#include <ccomp/low_rank/svd.hpp>
#include <ccomp/low_rank/tensor_train.hpp>
#include <ccomp/low_rank/tucker.hpp>

#include <cinttypes>
#include <cstdio>
#include <vector>

namespace {

using namespace ccomp;

/// Small whole numbers, from integer arithmetic alone: mathematical libraries differ.
std::vector<float> values(std::size_t n) {
  std::vector<float> x(n);
  std::uint32_t state = 1;
  for (float& v : x) v = static_cast<float>(static_cast<int>((state = state * 1664525u + 1013904223u) >> 20) - 2048);
  return x;
}
std::uint64_t hash(void const* data, std::size_t bytes, std::uint64_t h = 0xcbf29ce484222325u) {
  for (std::size_t i = 0; i < bytes; ++i) h = (h ^ static_cast<unsigned char const*>(data)[i]) * 0x100000001b3u;
  return h;
}
std::uint64_t hash_of(any_compressor const& c, std::size_t n, host_exec const& ex) {
  auto const x = values(n);
  workspace<host_exec> ws{ex};
  std::vector<std::byte> payload(payload_bytes<float>(c, n) + 16);  // operator new aligns to 16
  auto const bytes = std::span(payload).first(encode(ex, c, x, payload, ws, {.at = 17, .tensor = 5}));
  std::vector<float> out(n);
  decode(ex, c, std::span<std::byte const>(bytes), out, ws, {.at = 17, .tensor = 5});
  return hash(out.data(), n * sizeof(float), hash(bytes.data(), bytes.size()));
}

}  // namespace

int main() {
  bool all_agree = true;
  struct {
    char const* text;
    std::size_t n;
  } constexpr cases[] = {{"svd(3)", 40 * 31},
                         {"svd(rank=5, rows=50)", 50 * 70},
                         {"svd(rank=4, rows=3000)", 3000 * 60 - 7},
                         {"als(3)", 40 * 31},
                         {"als(rank=4, rows=3000, iterations=3)", 3000 * 60 - 7},
                         {"als(rank=4, rows=60, iterations=3, regularization=0.1)", 3000 * 60},
                         {"tucker(shape=20x30x5x5, ranks=6x7x3x2)", 15000},
                         {"tucker(shape=300x4x3, ranks=8x4x3)", 3600},
                         {"tensor_train(shape=20x30x5x5, ranks=8x9x4)", 15000},
                         {"tensor_train(shape=300x4x3, ranks=5x3)", 3600}};
  for (auto const& each : cases) {
    any_compressor const c(each.text);
    std::uint64_t const first = hash_of(c, each.n, {1, instruction_set::baseline});
    for (auto const isa : {instruction_set::baseline, instruction_set::avx2, instruction_set::avx512})
      for (int const threads : {1, 3}) {
        if (!detail::cpu_has(isa) || hash_of(c, each.n, {threads, isa}) == first) continue;
        std::printf("%s: %s with %d threads differs\n", each.text, detail::isa_name(isa), threads);
        all_agree = false;
      }
    std::printf("%s n=%zu %016" PRIx64 "\n", each.text, each.n, first);
  }
  return all_agree ? 0 : 1;
}
