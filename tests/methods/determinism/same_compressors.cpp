/// Hashes of what every row of stage_list.hpp makes on every instruction set and number of threads, and of sums over ranks. All
/// builds of this program must print the same text; within one build, lines of one case must agree as well.

#include <support/compressor_texts.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/codec.hpp>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/error_feedback.hpp>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace ccomp;

/// By integer arithmetic alone: mathematical libraries differ.
float value(std::uint64_t i) {
  std::uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  auto const exponent = static_cast<std::uint32_t>(127 - __builtin_ctzll((z >> 32) | 0x100000));  // 1 to 2^-20
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(z & 0x807fffffu) | (exponent << 23));
}
template <class T> std::vector<T> values_from(std::uint64_t seed, std::size_t n) {
  std::vector<T> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = T(value(i + (seed << 32)));
  return x;
}

/// The same, made once: making them anew for every pass took a third of the program's time. For one thread.
template <class T> std::vector<T> const& kept_values(std::uint64_t seed, std::size_t n) {
  static std::map<std::pair<std::uint64_t, std::size_t>, std::vector<T>> kept;
  auto& x = kept[{seed, n}];
  if (x.empty()) x = values_from<T>(seed, n);
  return x;
}

std::uint64_t hash(void const* data, std::size_t bytes, std::uint64_t h = 0xcbf29ce484222325u) {
  auto const* p = static_cast<unsigned char const*>(data);
  for (; bytes >= 8; bytes -= 8, p += 8) {  // whole words: most of the program's time went here
    std::uint64_t word = 0;
    std::memcpy(&word, p, 8);
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
  }
  for (; bytes > 0; --bytes, ++p) h = (h ^ *p) * 0x100000001b3u;
  return h;
}

struct hashes {
  std::uint64_t payload, decoded, accumulated, residual, narrow_residual;
  friend bool operator==(hashes const&, hashes const&) = default;
};

template <class T> hashes run_passes(any_compressor const& c, std::size_t n, host_exec ex) {
  pass_options const at{.at = 17, .tensor = 5, .rank = 1};
  workspace<host_exec> ws{ex};
  auto const& x = kept_values<T>(1, n);
  std::vector<std::byte> payload(payload_bytes<T>(c, n) + 16);
  std::span<std::byte> const room(payload);  // operator new aligns to 16
  hashes h{};
  std::size_t const used = encode(ex, c, x, room, ws, at);
  h.payload = hash(room.data(), used);
  std::vector<T> out(n), sum = kept_values<T>(2, n);
  decode(ex, c, room.first(used), out, ws, at);
  h.decoded = hash(out.data(), n * sizeof(T));
  decode_accumulate(ex, c, room.first(used), sum, ws, at);
  h.accumulated = hash(sum.data(), n * sizeof(T));
  auto residual = kept_values<float>(3, n);
  auto narrow = kept_values<bfloat16>(3, n);
  std::size_t const fed = encode_feedback(ex, c, x, std::span(residual), room, ws, at, 0.9f);
  h.residual = hash(residual.data(), n * sizeof(float), hash(room.data(), fed));
  encode_feedback(ex, c, x, std::span(narrow), room, ws, at, 0.9f);
  h.narrow_residual = hash(narrow.data(), n * sizeof(bfloat16));
  return h;
}

/// Prints a case once if all instruction sets and numbers of threads agree on it; otherwise says so and fails.
bool all_agree = true;
template <class T> void print_case(any_compressor const& c, std::size_t n, bool threads) {
  hashes const first = run_passes<T>(c, n, {1, instruction_set::baseline});
  for (auto const isa : {instruction_set::baseline, instruction_set::avx2, instruction_set::avx512}) {
    if (!detail::cpu_has(isa)) continue;
    for (int const team : {1, 2, 7}) {
      if (team > 1 && !threads) continue;
      if (run_passes<T>(c, n, {team, isa}) == first) continue;
      std::printf("%s %s n=%zu: %s with %d threads differs\n", c.text().c_str(),
                  std::string(element_name(element_type_of<T>)).c_str(), n, detail::isa_name(isa), team);
      all_agree = false;
    }
  }
  std::printf("%s %s n=%zu payload %016" PRIx64 " decoded %016" PRIx64 " accumulated %016" PRIx64
              " residual %016" PRIx64 " %016" PRIx64 "\n",
              c.text().c_str(), std::string(element_name(element_type_of<T>)).c_str(), n, first.payload, first.decoded,
              first.accumulated, first.residual, first.narrow_residual);
}

bool sums_in_flight(any_compressor const& c) { return c.is_linear() || detail::brings_rounds(c.stages()); }
bool contracts(any_compressor const& c, std::size_t n) {
  for (auto const& s : c.stages())
    if (!s.facts->contracts(s.stage, n)) return false;
  return true;
}

template <class Strategy>
void print_sum(any_compressor const& c, int ranks, std::size_t n, bool feedback, Strategy strategy) {
  std::uint64_t first = 0;
  for (auto const isa : {instruction_set::baseline, instruction_set::avx2, instruction_set::avx512}) {
    if (!detail::cpu_has(isa)) continue;
    for (int const team : {1, 2}) {
      thread_group group(ranks);
      std::vector<std::uint64_t> of_rank(static_cast<std::size_t>(ranks));
      group.run([&](thread_communicator& comm) {
        host_exec const ex{team, isa};
        workspace<host_exec> ws{ex};
        auto const r = static_cast<std::uint64_t>(comm.rank());
        error_feedback wrapper{c, n, ex, {.id = 4, .decay = 0.9f}};
        std::uint64_t h = 0;
        for (int t = 0; t < 2; ++t) {
          auto x = values_from<float>(10 + r, n);
          if (feedback)
            allreduce(ex, comm, wrapper, x, ws, {.at = t}, strategy);
          else
            allreduce(ex, comm, c, x, ws, {.at = t, .tensor = 4}, strategy);
          h = hash(x.data(), n * sizeof(float), h);
        }
        of_rank[r] = hash(wrapper.residual().data(), n * sizeof(float), h);
      });
      std::uint64_t const all = hash(of_rank.data(), of_rank.size() * sizeof(std::uint64_t));
      if (first == 0) first = all;
      if (all == first) continue;
      std::printf("%s %s: %s with %d threads differs\n", c.text().c_str(), std::string(Strategy::name).c_str(),
                  detail::isa_name(isa), team);
      all_agree = false;
    }
  }
  std::printf("%s %s ranks=%d feedback=%d %016" PRIx64 "\n", c.text().c_str(), std::string(Strategy::name).c_str(),
              ranks, feedback, first);
}

}  // namespace

int main() {
  std::vector<any_compressor> all;
  std::set<std::string> seen;  // top_k is top_k(0.01)
  for (auto const& text : support::compressor_texts())
    if (any_compressor c(text); seen.insert(c.text()).second) all.push_back(std::move(c));
  for (auto const& c : all) {
    for (std::size_t const n : {std::size_t{1}, std::size_t{255}, std::size_t{9001}}) {
      print_case<float>(c, n, false);
      print_case<float16>(c, n, false);
      print_case<bfloat16>(c, n, false);
    }
    // Seven threads have work from 7 * 65536 values on.
    print_case<float>(c, 7 * 65536 + 33, true);
  }
  std::size_t const n = 20'003;
  for (int const ranks : {3, 4}) {
    for (bool const feedback : {false, true}) {
      for (auto const* text :
           {"cast<bfloat16>", "uniform_quantize<8>", "sign_quantize", "hadamard_rotate|uniform_quantize<2>",
            "top_k(0.3, indices=bitmap)|uniform_quantize<8>"}) {
        print_sum(any_compressor(text), ranks, n, feedback, gather{});
        print_sum(any_compressor(text), ranks, n, feedback, two_shot{});
      }
      for (auto const& c : all)
        if (sums_in_flight(c) && contracts(c, n)) print_sum(c, ranks, n, feedback, in_flight{});
    }
  }
  return all_agree ? 0 : 1;
}
