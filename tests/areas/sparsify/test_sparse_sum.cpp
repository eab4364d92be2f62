#include <support/codec.hpp>
#include <support/generators.hpp>

#include <ccomp/core/chain.hpp>
#include <ccomp/engine/host/program_codec.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/approximate_top_k.hpp>
#include <ccomp/sparsify/block_top_k.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <deque>
#include <utility>
#include <vector>

using namespace ccomp;

namespace {
namespace sparse_sum {

/// A sum of payloads: by their indices, or, with `by_stage`, as of a stage that does not tell them.
struct call {
  std::size_t n, ranks;
  element_type type = element_type::float32;
  float divisor = 1;
  bool add_to_out = false;
  host_exec ex{2};
  bool few = false;  // most inputs are zero, which is quickly made

  template <class C> std::vector<std::byte> run(C const& c, bool by_stage, std::size_t* damaged = nullptr) const {
    auto const listed = detail::host_stages_of(c);
    auto stages = listed;
    std::vector<detail::vector_loops> loops(stages.size());
    std::vector<detail::host_ops> ops(stages.size());
    for (std::size_t i = 0; i < stages.size(); ++i) {
      ops[i] = *listed[i].host;
      if (!by_stage || !ops[i].vector) continue;
      loops[i] = *ops[i].vector;
      bool const tells = std::exchange(loops[i].read_indices, nullptr) != nullptr;
      CHECK(tells);
      ops[i].vector = &loops[i];
      stages[i].host = &ops[i];
    }
    detail::pass_context const at(ex, {});
    workspace<host_exec> ws{ex};
    std::size_t const bytes = payload_bytes<float>(c, n);
    std::deque<support::payload_buffer> payloads;
    std::vector<std::byte const*> sources;
    for (std::size_t r = 0; r < ranks; ++r) {
      auto x = few ? std::vector<float>(n) : support::heavy_tailed_values(n, r + 1);
      for (std::size_t i = r; few && i < n; i += 4099) x[i] = static_cast<float>(i);
      payloads.emplace_back(bytes);
      detail::encode(listed, at, {x.data(), element_type::float32, n}, element_type::float32, {}, payloads.back(),
                     detail::scratch(ws.reserve(detail::scratch_bytes(listed, n))));
    }
    if (damaged) payloads.back().bytes()[*damaged] ^= std::byte{0xff};
    for (auto const& p : payloads) sources.push_back(p.bytes().data());
    std::vector<std::byte> out(n * element_bytes(type));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i % 61);
    auto const before = out;
    try {
      detail::sum_decoded(stages, at, sources, bytes, element_type::float32, {out.data(), type, n}, divisor,
                          detail::scratch(ws.reserve(detail::scratch_bytes(stages, n))), add_to_out);
    } catch (payload_error const&) {
      CHECK(out == before);
      return {};
    }
    return out;
  }
  template <class C> void check(C const& c) const {
    CAPTURE(text(c));
    CAPTURE(n);
    auto const by_index = run(c, false), by_stage = run(c, true);
    CHECK(by_index.size() == n * element_bytes(type));
    CHECK(by_index == by_stage);
  }
};

template <class F> void for_each_compressor(F const& f) {
  f(top_k{.ratio = 0.01});
  f(top_k{.ratio = 0.5});  // more terms than values: by the stage in both
  f(top_k{.ratio = 0.02, .indices = index_coding::raw} | uniform_quantize<8>{});
  f(hadamard_rotate{.block = 256} | top_k{.ratio = 0.05} | uniform_quantize<4>{});
  f(threshold{.relative = 2, .capacity_ratio = 0.1});
  f(threshold{.value = 1e30f, .capacity_ratio = 0.1});  // empty payloads
  f(approximate_top_k{.ratio = 0.02});
  f(block_top_k{} | uniform_quantize<8>{});
}

}  // namespace sparse_sum
}  // namespace

TEST_CASE("sparse sum: tile by tile, with the bits of one payload after the other") {
  sparse_sum::for_each_compressor([](auto const& c) {
    for (std::size_t const n : {std::size_t{1}, std::size_t{4095}, std::size_t{4097}, std::size_t{20001}}) {
      sparse_sum::call{.n = n, .ranks = 3, .divisor = 3}.check(c);
      sparse_sum::call{.n = n, .ranks = 2, .type = element_type::bfloat16, .divisor = 2, .ex = {1}}.check(c);
      sparse_sum::call{.n = n, .ranks = 4, .add_to_out = true, .ex = {7, instruction_set::baseline}}.check(c);
    }
  });
}

TEST_CASE("sparse sum: an output that is stored past the caches") {
  std::size_t const n = detail::streaming_bytes / sizeof(float) + 5;
  sparse_sum::call{.n = n, .ranks = 2, .divisor = 2, .few = true}.check(top_k{.ratio = 0x1p-12f});
}

TEST_CASE("sparse sum: nothing is written if any payload's indices are wrong") {
  auto const c = top_k{.ratio = 0.01, .indices = index_coding::raw};
  std::size_t highest_byte = 3;  // of the first index, which then exceeds the second
  CHECK(sparse_sum::call{.n = 70001, .ranks = 3}.run(c, false, &highest_byte).empty());
}
