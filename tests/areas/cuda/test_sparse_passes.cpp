// Chains with a sparsifier on the (simulated) GPU give the host's bytes: payload, residual, decoded values, sums.
#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/cuda/pass_checks.hpp>
#include <support/cuda/recorded_graph.hpp>
#include <support/sparse_cases.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/e8_lattice.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/vector_quantize.hpp>
#include <ccomp/sparsify/approximate_top_k.hpp>
#include <ccomp/sparsify/block_threshold.hpp>
#include <ccomp/sparsify/block_top_k.hpp>
#include <ccomp/sparsify/random_block.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <ccomp/transform/scale.hpp>
#include <ccomp/transform/sign_flip.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>

using namespace ccomp;
using support::check_chunks;
using support::check_passes;
using support::check_sums;
using support::same_gaussian_values;

namespace {

/// A user's own: keeps every other value.
struct every_other {
  static constexpr std::string_view name = "every_other";
  static constexpr auto fields() { return std::tuple{}; }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const { return n / 2; }
  [[nodiscard]] std::size_t side_bytes(std::size_t) const { return 0; }
  std::size_t encode(host_exec const&, std::span<float const> in, std::span<std::byte>, std::span<float> carrier,
                     std::span<std::byte>, pass_options const&) const {
    for (std::size_t i = 0; i < carrier.size(); ++i) carrier[i] = in[2 * i];
    return carrier.size();
  }
  void decode(host_exec const&, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    for (std::size_t i = 0; i < carrier.size(); ++i) out[2 * i] = carrier[i];
  }
};

template <class C> void check_sizes(C const& c) {
  auto const name = text(c);
  CAPTURE(name);
  for (std::size_t const n : {0u, 1u, 2u, 5u, 1025u, 8192u, 8193u}) {
    CAPTURE(n);
    check_passes<float>(c, same_gaussian_values(n, 1), n % 3);
    if (n > 0) check_sums(c, same_gaussian_values(n, 1));
  }
}
template <class C> void check_types(C const& c) {
  auto const name = text(c);
  CAPTURE(name);
  check_passes<bfloat16>(c, support::narrowed<float16>(same_gaussian_values(9001, 2)), 1);
  check_passes<float>(c, support::narrowed<bfloat16>(same_gaussian_values(9001, 3)), 0);
  check_passes<bfloat16>(c, same_gaussian_values(3000, 3), 0);
  check_sums(c, support::narrowed<bfloat16>(same_gaussian_values(1111, 3)));
}
template <class C> void check_values(C const& c) {
  auto const name = text(c);
  CAPTURE(name);
  for (auto const& each : support::spoilt_cases<float>(9000, 64)) {
    auto const kind = each.name;
    CAPTURE(kind);
    check_passes<float>(c, each.values, 0);
    check_passes<bfloat16>(c, each.values, 0);
    check_sums(c, each.values);
  }
}

}  // namespace

TEST_CASE("cuda: top_k, each index coding and tail") {
  check_sizes(top_k{.ratio = 0.02});
  check_sizes(top_k{.ratio = 0.3, .indices = index_coding::raw});
  check_sizes(top_k{.ratio = 0.1, .indices = index_coding::bitmap} | cast<float16>{});
  check_sizes(top_k{.ratio = 0.05, .indices = index_coding::packed} | natural{});
  check_types(top_k{.ratio = 0.05});
  check_types(top_k{.ratio = 0.6} | natural{});
  check_values(top_k{.ratio = 0.1});
  check_values(top_k{.ratio = 0.1} | natural{});
}

TEST_CASE("cuda: approximate_top_k, whose bound a sample gives") {
  check_sizes(approximate_top_k{.ratio = 0.02});
  check_sizes(approximate_top_k{.ratio = 0.3, .indices = index_coding::raw} | natural{});
  check_types(approximate_top_k{.ratio = 0.1});
  check_values(approximate_top_k{.ratio = 0.1} | cast<float16>{});
  // Bounds that take corrections: few values in a sample of many, values that repeat.
  check_passes<float>(approximate_top_k{.count = 3}, same_gaussian_values(60000, 1), 0);
  check_passes<float>(approximate_top_k{.ratio = 0.05}, std::vector<float>(20000, 2.5f), 0);
  auto x = same_gaussian_values(30000, 2);
  for (std::size_t i = 0; i < 25000; ++i) x[i] = i % 50 == 0 ? 1.0f : 0.0f;
  check_passes<float>(approximate_top_k{.ratio = 0.1}, x, 1);
}

TEST_CASE("cuda: block_top_k, by teams of one thread to all of a thread block") {
  check_sizes(block_top_k{});
  check_sizes(block_top_k{1, 16});
  check_sizes(block_top_k{20, 32} | natural{});
  check_sizes(block_top_k{7, 512} | cast<float16>{});
  check_sizes(block_top_k{300, 2048});
  check_types(block_top_k{30, 256});
  check_types(block_top_k{64, 1024} | natural{});
  check_values(block_top_k{9, 128});
  check_values(block_top_k{} | natural{});
}

TEST_CASE("cuda: block_threshold, by blocks of any size and as a whole") {
  check_sizes(block_threshold{});
  check_sizes(block_threshold{.block = 16} | natural{});
  check_sizes(block_threshold{.value = 0.9f, .block = 64, .capacity_ratio = 0.1} | cast<float16>{});
  check_sizes(block_threshold{.relative = 0.9f, .block = 4096, .capacity_ratio = 1});
  check_sizes(block_threshold{.value = 0.9f, .whole_tensor = true});
  check_sizes(block_threshold{.value = 2, .whole_tensor = true} | natural{});
  check_types(block_threshold{.block = 128});
  check_types(block_threshold{.block = 32, .capacity_ratio = 0.9} | natural{});
  check_values(block_threshold{.block = 128});
  check_values(block_threshold{.value = 1, .block = 16} | natural{});
  check_values(block_threshold{.value = 1, .whole_tensor = true});
}

TEST_CASE("cuda: e8_lattice, whose carrier is a gain per block") {
  check_sizes(e8_lattice{});
  check_sizes(e8_lattice{16} | natural{});
  check_sizes(e8_lattice{4096});
  check_sizes(hadamard_rotate{.block = 64} | e8_lattice{64} | cast<float16>{});
  check_sizes(top_k{.ratio = 0.3} | e8_lattice{32});
  check_types(e8_lattice{128});
  check_values(e8_lattice{256});
}

/// Words of no pattern, and two that are equal.
template <int Dim, int Bits> vector_quantize<Dim, Bits> with_words(int parts, std::uint32_t block = 512) {
  codebook_shape const shape{Dim, Bits, parts};
  auto values = support::gaussian_values(shape.values(), 5);
  for (int i = 0; i < shape.part_dim(); ++i)
    values[static_cast<std::size_t>(i)] = values[static_cast<std::size_t>(i + shape.part_dim())];
  return {vector_codebook(shape, values), block};
}
TEST_CASE("cuda: vector_quantize, with words of one part and several") {
  check_sizes(with_words<4, 5>(1));
  check_sizes(with_words<2, 3>(1, 16) | natural{});
  check_sizes(with_words<8, 8>(4, 64) | cast<float16>{});
  check_types(with_words<8, 6>(2, 4096));
  check_types(with_words<4, 8>(4, 32) | natural{});
  check_values(with_words<4, 5>(1, 256));
  check_values(with_words<2, 8>(2, 64));
  for (std::size_t const n : {5u, 700u}) {  // more words than lie in shared memory at once
    check_passes<float>(vector_quantize<4, 12>{}, same_gaussian_values(n, 1), 0);
    check_passes<float>(vector_quantize<8, 16>{}, same_gaussian_values(n, 1), 0);
  }
}

TEST_CASE("cuda: threshold, whose payload's length only the device knows") {
  check_sizes(threshold{.value = 2, .capacity_ratio = 0.1});
  check_sizes(threshold{.value = 1, .capacity_ratio = 0.05, .indices = index_coding::raw});  // more than fit
  check_sizes(threshold{.relative = 1.5f, .capacity_ratio = 0.2} | natural{});
  check_sizes(threshold{.relative = 0.5f, .capacity_ratio = 0.9, .indices = index_coding::bitmap} | cast<float16>{});
  check_types(threshold{.relative = 2});
  check_types(threshold{.value = 1.5f, .capacity_ratio = 0.3} | natural{});
  check_values(threshold{.relative = 1});
  check_values(threshold{.value = 1e9f} | natural{});
  for (auto const& each : support::spoilt_cases<float>(3000, 64))  // by one thread block, more than fit
    check_passes<float>(threshold{.value = 0.5f}, each.values, 0);
}

TEST_CASE("cuda: places that all ranks draw") {
  check_sizes(random_k{.ratio = 0.1, .seed = 3});
  check_sizes(random_k{.ratio = 0.3, .unbiased = true} | cast<float16>{});
  check_sizes(random_block{.ratio = 0.2, .blocks = 5, .unbiased = true});
  check_sizes(random_block{.ratio = 0.5, .blocks = 1} | natural{});
  check_types(random_k{.ratio = 0.1});
  check_types(random_block{.ratio = 0.4, .blocks = 3} | natural{});
  check_values(random_k{.ratio = 0.5});
  check_values(random_block{.ratio = 0.5, .blocks = 3, .unbiased = true});
}

TEST_CASE("cuda: transforms before a sparsifier and behind it, sparsifiers in a row") {
  check_sizes(hadamard_rotate{.block = 64} | top_k{.ratio = 0.1});
  check_sizes(sign_flip{} | top_k{.ratio = 0.1} | natural{});
  check_sizes(top_k{.ratio = 0.1} | hadamard_rotate{.block = 16} | natural{});
  check_sizes(top_k{.ratio = 0.3} | top_k{.ratio = 0.5} | natural{});
  check_sizes(scale{.factor = 3} | hadamard_rotate{.block = 1024} | threshold{.relative = 1, .capacity_ratio = 0.3} |
              hadamard_rotate{.block = 32} | natural{});
  check_sizes(top_k{.ratio = 0.3} | random_k{.ratio = 0.5, .unbiased = true} | sign_flip{} | top_k{.ratio = 0.5});
  check_types(hadamard_rotate{.block = 2048} | random_k{.ratio = 0.2, .unbiased = true} | cast<float16>{});
  check_types(hadamard_rotate{} | top_k{.ratio = 0.1});
  check_values(hadamard_rotate{.block = 64} | top_k{.ratio = 0.1});
  check_values(random_k{.ratio = 0.5} | hadamard_rotate{.block = 64} | natural{});
}

TEST_CASE("cuda: chunks of a tensor, the last one short or empty") {
  auto const each = [](auto const& c) {
    auto const name = text(c);
    CAPTURE(name);
    check_chunks(c, same_gaussian_values(3 * 2048, 1), 2048, 3);
    check_chunks(c, same_gaussian_values(3 * 1024 + 5, 2), 1024, 5);
    check_chunks(c, same_gaussian_values(2 * 8448 + 300, 3), 8448, 3);
    check_chunks(c, support::narrowed<float16>(same_gaussian_values(1000, 2)), 1024, 2);
  };
  each(top_k{.ratio = 0.1});
  each(approximate_top_k{.ratio = 0.1});
  each(block_top_k{5, 128});
  each(block_threshold{.block = 64, .capacity_ratio = 0.3} | natural{});
  each(block_threshold{.value = 0.99f, .whole_tensor = true});
  each(e8_lattice{64});
  each(with_words<8, 9>(1, 128));
  each(top_k{.ratio = 0.03} | natural{});
  each(top_k{.ratio = 0.3} | top_k{.count = 11, .indices = index_coding::raw});
  each(hadamard_rotate{.block = 256} | top_k{.ratio = 0.1, .indices = index_coding::bitmap} | sign_flip{});
  each(threshold{.relative = 1, .capacity_ratio = 0.3} | natural{});
  each(random_block{.ratio = 0.2, .blocks = 3, .unbiased = true} | natural{});
}

TEST_CASE("cuda: chains that no kernel runs are refused in one sentence, before anything is queued") {
  auto const refused = [](auto const& c) {
    std::size_t const n = 100, launches = cudart_sim::count().launches;
    support::device_array<float> const x(n);
    support::device_array<std::byte> const payload(payload_bytes(c, n));
    cuda_exec const ex;
    workspace ws{ex};
    std::string why;
    try {
      encode(ex, c, std::span<float const>(x.data(), n), std::span(payload.data(), payload.size()), ws);
    } catch (invalid_argument const& e) {
      why = e.what();
    }
    CHECK(cudart_sim::count().launches == launches);
    return why;
  };
  CHECK(refused(threshold{} | top_k{}).find("top_k runs on the host only where it follows a threshold") !=
        std::string::npos);
  CHECK(refused(every_other{}).find("every_other runs on the host only") != std::string::npos);
  std::vector<float> const h{1, 2, 3, 4};
  std::vector<std::byte> bytes(payload_bytes(every_other{}, h.size()));
  workspace ws{host_exec{}};
  CHECK(encode(host_exec{}, every_other{}, h, bytes, ws) == bytes.size());  // where it does
}

TEST_CASE("cuda: how many kernels a pass is") {
  auto const launches = [](auto const& c, std::size_t n) {
    cuda_exec const ex;
    workspace ws{ex};
    support::device_array<float> const x(n), rest(n);
    support::device_array<std::byte> const payload(payload_bytes(c, n));
    std::span const bytes(payload.data(), payload.size());
    std::span const in(x.data(), n);
    std::array<std::size_t, 4> counts{cudart_sim::count().launches};
    encode(ex, c, in, bytes, ws);
    counts[1] = cudart_sim::count().launches;
    encode_feedback(ex, c, in, std::span(rest.data(), n), bytes, ws, {.at = 0});
    counts[2] = cudart_sim::count().launches;
    auto const before = cudart_sim::count();
    decode(ex, c, bytes, in, ws);
    counts[3] = cudart_sim::count().launches;
    CHECK(cudart_sim::count().host_syncs == before.host_syncs);
    ws.check();
    return std::array{counts[1] - counts[0], counts[2] - counts[1], counts[3] - counts[2]};
  };
  using three = std::array<std::size_t, 3>;
  CHECK(launches(top_k{}, 8192) == three{2, 3, 2});
  CHECK(launches(top_k{.ratio = 0.1}, 8193) == three{7, 8, 2});
  CHECK(launches(top_k{.ratio = 0.1}, 100000) == three{7, 8, 5});
  CHECK(launches(top_k{.ratio = 0.1} | natural{}, 100000) == three{8, 10, 6});
  CHECK(launches(threshold{.value = 1}, 8000) == three{2, 3, 2});
  CHECK(launches(threshold{}, 100000) == three{5, 6, 5});
  CHECK(launches(random_k{}, 100000) == three{2, 4, 2});
}

TEST_CASE("cuda: sparse passes return before the work is done, allocate nothing, and a graph repeats them") {
  auto const c = top_k{.ratio = 0.1} | natural{};
  std::size_t const n = 9000;
  auto const x = same_gaussian_values(n, 6);
  support::own_stream const stream;
  cuda_exec const ex(stream.get());
  workspace ws{ex};
  support::device_array<float> const in(x), rest(n), out(n);
  support::device_array<std::byte> const payload(payload_bytes(c, n));
  std::span const bytes(payload.data(), payload.size());
  auto const two_passes = [&] {
    encode_feedback(ex, c, std::span<float const>(in.data(), n), std::span(rest.data(), n), bytes, ws, {.at = 0});
    decode_accumulate(ex, c, bytes, std::span(out.data(), n), ws);
  };
  two_passes();
  ws.check();
  {
    cudart_sim::hold_stream hold(stream.get());
    auto const before = cudart_sim::count();
    two_passes();
    CHECK(cudart_sim::count().allocations == before.allocations);
    CHECK(cudart_sim::count().host_syncs == before.host_syncs);
    hold.release();
  }
  support::recorded_graph const graph(ex, two_passes);
  for (int i = 0; i < 3; ++i) graph.launch();
  ws.check();

  workspace host_ws{host_exec{1}};
  std::vector<float> host_rest(n), host_out(n);
  support::host_bytes host_bytes(payload_bytes(c, n));
  for (int i = 0; i < 5; ++i) {
    encode_feedback(host_exec{1}, c, x, std::span(host_rest), host_bytes.span(), host_ws, {.at = 0});
    decode_accumulate(host_exec{1}, c, host_bytes.span(), host_out, host_ws);
  }
  CHECK(rest.values() == host_rest);
  CHECK(out.values() == host_out);
}

TEST_CASE("cuda: places follow a step in device memory") {
  std::size_t const n = 9000;
  auto const x = same_gaussian_values(n, 4);
  support::device_array<std::uint64_t> const counter(std::vector<std::uint64_t>{77});
  auto const each = [&](auto const& c) {
    cuda_exec const ex;
    workspace ws{ex};
    workspace host_ws{host_exec{1}};
    support::fenced<float> in(x);
    support::fenced<std::byte> payload{std::vector<std::byte>(payload_bytes(c, n))};
    encode(ex, c, in.span(), payload.span(), ws, {.at = step::from_device(counter.data())});
    ws.check();
    support::host_bytes bytes(payload_bytes(c, n));
    encode(host_exec{1}, c, x, bytes.span(), host_ws, {.at = 77});
    CHECK(support::same_bytes(payload.values(), bytes.copy()));
  };
  each(random_k{.ratio = 0.1});
  each(random_block{.ratio = 0.1, .blocks = 3});
  each(threshold{.value = 1, .capacity_ratio = 0.1});
}

TEST_CASE("cuda: results do not depend on how many multiprocessors there are") {
  std::size_t const n = 70000;
  auto const c = top_k{.ratio = 0.02} | natural{};
  support::device_array<float> const in(same_gaussian_values(n, 9));
  std::size_t const bytes = payload_bytes(c, n);
  std::vector<std::byte> first;
  std::vector<float> first_rest;
  for (int const multiprocessors : {1, 2, 3, 0}) {
    cuda_exec const ex(nullptr, multiprocessors);
    workspace ws{ex};
    support::device_array<float> const rest(same_gaussian_values(n, 10));
    support::device_array<std::byte> const payload(bytes);
    encode_feedback(ex, c, std::span<float const>(in.data(), n), std::span(rest.data(), n),
                    std::span(payload.data(), bytes), ws, {.at = 0});
    ex.synchronize();
    if (first.empty()) {
      first = payload.values();
      first_rest = rest.values();
    }
    CHECK(payload.values() == first);
    CHECK(rest.values() == first_rest);
  }
  CHECK_THROWS_AS(cuda_exec(nullptr, -1), invalid_argument);
}
