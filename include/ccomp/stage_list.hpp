#pragma once
/// The stages of the library, one row each. Text, tests, fuzzing, benchmarks, the comparison and the tables of the pages go
/// by this list: a new stage is a header, a test, a page, and a row here.
///
/// Tools read this file, too (docs/tools/stages.py, bench/report, tests/methods/nvcc): keep a row's type, kind and
/// summary on one line.

#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/e8_lattice.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/nonuniform.hpp>
#include <ccomp/quantize/qsgd.hpp>
#include <ccomp/quantize/shared_scale.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/ternary.hpp>
#include <ccomp/quantize/uniform.hpp>
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

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

CCOMP_BEGIN
namespace detail {

enum class family { cast, quantizer, sign, transform, sparsifier, low_rank };

/// Texts of compressors; what is empty does not count.
using text_list = std::array<std::string_view, 12>;

/// Variants of one stage; text without an argument means the first. Tests cover every variant with its defaults, and all
/// texts of the row.
template <class... Variants> struct stage_row {
  family kind;
  std::string_view summary;
  std::size_t usual = 1;  // the first so many variants are what programs for GPUs compile
  text_list compared{};   // what ccomp-compare compares unless told otherwise; ccomp-bench times it, too
  text_list timed{};      // what ccomp-bench times besides
  text_list examples{};   // settings and combinations
};
template <template <int> class Stage, int... Bits> using stage_widths = stage_row<Stage<Bits>...>;

/// A stage of low_rank/, some of which need another library: it joins where a source of the program includes its header.
struct joining_row {
  std::string_view name;
  family kind;
  std::string_view summary, needs;
  text_list compared{}, timed{}, examples{};
};

/// Returns `f(row...)`. (A function, not a tuple of rows: that would take every program half a second to compile.)
// clang-format off
template <class F> constexpr decltype(auto) with_stage_rows(F const& f) { return f(
    stage_row<cast<bfloat16>>{.kind = family::cast, .summary = "16-bit float with 8 exponent bits; summed in flight",
        .compared = {"cast<bfloat16>"}},
    stage_row<cast<float16>>{.kind = family::cast, .summary = "16-bit float with 5 exponent bits; summed in flight",
        .compared = {"cast<float16>"}},
    stage_row<cast<fp8_e4m3>>{.kind = family::cast, .summary = "8-bit float with 4 exponent bits and a scale per block",
        .compared = {"cast<fp8_e4m3>"}},
    stage_row<cast<fp8_e5m2>>{.kind = family::cast, .summary = "8-bit float with 5 exponent bits and a scale per block",
        .examples = {"cast<fp8_e5m2>(block=32)"}},
    stage_widths<uniform_quantize, 8, 4, 2, 1, 3, 5, 6, 7>{.kind = family::quantizer, .summary = "evenly spaced levels that span each block",
        .usual = 3,
        .compared = {"uniform_quantize<8>", "uniform_quantize<8>(round=stochastic)", "uniform_quantize<4>", "uniform_quantize<2>"},
        .timed = {"uniform_quantize<4>(range=min_max)"},
        .examples = {"uniform_quantize<3>(block=16)", "uniform_quantize<6>(block=32)", "uniform_quantize<8>(range=min_max)",
                     "uniform_quantize<8>(block=4096, range=min_max)", "uniform_quantize<4>(round=stochastic)",
                     "uniform_quantize<4>(block=64, round=stochastic)", "uniform_quantize<5>(round=stochastic, range=min_max)",
                     "uniform_quantize<3>(block=64, round=stochastic, range=min_max)", "uniform_quantize<4>(block=128, clip=2.5)",
                     "uniform_quantize<3>(block=64, round=stochastic, clip=2)"}},
    stage_widths<nonuniform, 4, 1, 2, 3, 5>{.kind = family::quantizer, .summary = "unevenly spaced levels: the best for Gaussian values, NF4, or given ones",
        .compared = {"nonuniform<4>", "hadamard_rotate|nonuniform<4>"},
        .examples = {"nonuniform<4>(block=128, codebook=nf4)", "nonuniform<2>(codebook=of_rms, levels=-1.5/-0.5/0/2)"}},
    stage_row<e8_lattice>{.kind = family::quantizer, .summary = "points of the lattice E8: two bits per value, eight values at a time",
        .compared = {"hadamard_rotate|e8_lattice"},
        .timed = {"e8_lattice"},
        .examples = {"e8_lattice(block=16)", "e8_lattice(block=4096)|cast<bfloat16>", "top_k(0.1)|e8_lattice(block=64)",
                     "e8_lattice(block=32)|uniform_quantize<8>(block=64)"}},
    stage_row<vector_quantize<4, 8>, vector_quantize<2, 8>, vector_quantize<8, 8>, vector_quantize<8, 16>>{.kind = family::quantizer, .summary = "the nearest word of a codebook, given or trained, for groups of 2, 4 or 8 values",
        .timed = {"vector_quantize<4x8>"},
        .examples = {"vector_quantize<4x8>(block=64)", "top_k(0.1)|vector_quantize<2x8>(block=16)|cast<bfloat16>"}},
    stage_widths<qsgd, 4, 2, 3, 5, 6, 7, 8>{.kind = family::quantizer, .summary = "stochastic levels of a block's norm; unbiased",
        .compared = {"qsgd<4>"},
        .examples = {"qsgd<4>(block=32, norm=l2)", "qsgd<3>(block=32, norm=l2)", "hadamard_rotate|qsgd<3>",
                     "hadamard_rotate(block=256)|top_k(0.1)|qsgd<6>"}},
    stage_row<natural>{.kind = family::quantizer, .summary = "sign and a power of two, stochastically; unbiased",
        .compared = {"natural"}},
    stage_row<ternary>{.kind = family::sign, .summary = "-1, 0 or 1 times a scale per block, stochastically; unbiased but for clipping",
        .compared = {"ternary"},
        .examples = {"ternary(clip=0)", "ternary(block=2048)"}},
    stage_row<sign_quantize>{.kind = family::sign, .summary = "one bit per value and a scale per block",
        .compared = {"sign_quantize"},
        .examples = {"sign_quantize(scale=two_means)", "sign_quantize(block=128, scale=two_means)", "sign_quantize(scale=l2)"}},
    stage_widths<shared_scale_quantize, 8, 2, 3, 4, 5, 6, 7>{.kind = family::quantizer, .summary = "levels of a scale that all ranks share; integer codes summed in flight",
        .compared = {"shared_scale_quantize<8>"},
        .examples = {"shared_scale_quantize<4>(block=128, round=stochastic)"}},
    stage_row<hadamard_rotate>{.kind = family::transform, .summary = "random signs and a Walsh-Hadamard transform of each block: spreads outliers; linear",
        .compared = {"hadamard_rotate|uniform_quantize<4>"},
        .examples = {"hadamard_rotate|uniform_quantize<2>", "hadamard_rotate|uniform_quantize<4>(round=stochastic)",
                     "hadamard_rotate(block=256)|cast<fp8_e5m2>", "hadamard_rotate(block=2048)|top_k(0.1)"}},
    stage_row<sign_flip>{.kind = family::transform, .summary = "random signs; linear",
        .examples = {"sign_flip|top_k(0.1)|natural", "sign_flip|scale(0.3)|cast<bfloat16>",
                     "hadamard_rotate(block=64)|sign_flip|uniform_quantize<2>(block=32)",
                     "top_k(0.1)|hadamard_rotate(block=16)|sign_flip"}},
    stage_row<scale>{.kind = family::transform, .summary = "a constant factor; linear",
        .examples = {"scale(0.5)", "scale(0.125)|cast<float16>"}},
    stage_row<top_k>{.kind = family::sparsifier, .summary = "the k values of largest magnitude, exactly",
        .compared = {"top_k(0.01)", "top_k(0.01)|uniform_quantize<8>", "top_k(0.001)|uniform_quantize<8>"},
        .examples = {"top_k(0.05)", "top_k(count=7, indices=raw)", "top_k(0.1, indices=raw)", "top_k(0.1, indices=packed)",
                     "top_k(0.4, indices=bitmap)", "top_k(0.3, indices=bitmap)|uniform_quantize<8>", "top_k(0.02)|cast<float16>",
                     "top_k(0.05)|uniform_quantize<8>", "top_k(0.1)|uniform_quantize<8>",
                     "top_k(0.3)|top_k(0.5)|uniform_quantize<3>", "top_k(0.3)|top_k(0.5)|cast<bfloat16>"}},
    stage_row<approximate_top_k>{.kind = family::sparsifier, .summary = "about k values of largest magnitude, and never more, by a bound from a sample",
        .timed = {"approximate_top_k(0.01)"},
        .examples = {"approximate_top_k(0.05)", "approximate_top_k(0.3, indices=raw)|qsgd<4>",
                     "hadamard_rotate(block=64)|approximate_top_k(0.2)|uniform_quantize<8>"}},
    stage_row<block_top_k>{.kind = family::sparsifier, .summary = "the k values of largest magnitude of each block, exactly",
        .compared = {"block_top_k|uniform_quantize<2>(block=64)"},
        .timed = {"block_top_k"},
        .examples = {"block_top_k(4, block=64)", "block_top_k(1, block=16)|natural", "block_top_k(40, block=256)|cast<float16>",
                     "hadamard_rotate(block=256)|block_top_k(100, block=512)|uniform_quantize<4>"}},
    stage_row<threshold>{.kind = family::sparsifier, .summary = "the values at or above a magnitude, up to a bounded number",
        .compared = {"threshold(relative=3)"},
        .timed = {"threshold(0.003)"},
        .examples = {"threshold(relative=2)", "threshold(0.5, capacity_ratio=0.9, indices=raw)",
                     "threshold(relative=1.5, capacity_ratio=0.2)|qsgd<4>", "threshold(indices=raw)|qsgd<4>",
                     "threshold(relative=0.5, indices=packed)|natural", "sign_flip|threshold|hadamard_rotate(block=16)",
                     "threshold(capacity_ratio=0.5)|threshold(capacity_ratio=0.5)"}},
    stage_row<block_threshold>{.kind = family::sparsifier, .summary = "whole blocks whose root mean square reaches a bound; the others are silent",
        .timed = {"block_threshold"},
        .examples = {"block_threshold(block=16)", "block_threshold(0.9, block=64, capacity_ratio=1)|natural",
                     "block_threshold(0.5, whole_tensor=true)|cast<float16>", "block_threshold(relative=0.5, block=4096)",
                     "hadamard_rotate(block=64)|block_threshold(relative=1.1, block=32)|uniform_quantize<4>"}},
    stage_row<random_k>{.kind = family::sparsifier, .summary = "k values at places drawn from a shared seed, no indices sent; linear",
        .compared = {"random_k(0.05)"},
        .timed = {"random_k(0.01)"},
        .examples = {"random_k(0.1)", "random_k(0.1, unbiased=true)", "random_k(0.2)|cast<bfloat16>",
                     "random_k(0.2, unbiased=true)|cast<bfloat16>", "random_k(0.5)|hadamard_rotate(block=64)|sign_quantize",
                     "hadamard_rotate(block=32)|random_k(0.2, unbiased=true)|cast<bfloat16>"}},
    stage_row<random_block>{.kind = family::sparsifier, .summary = "contiguous blocks drawn from a shared seed, no indices sent; linear",
        .compared = {"random_block(0.05, blocks=64)"},
        .timed = {"random_block(0.01)"},
        .examples = {"random_block(0.1)", "random_block(0.2, blocks=3)", "random_block(0.1, blocks=4, unbiased=true)",
                     "random_block(0.2)|uniform_quantize<4>", "random_block(0.3, blocks=3)|uniform_quantize<5>"}});
}
inline constexpr std::array joining_stages{
    joining_row{.name = "power_sgd", .kind = family::low_rank, .summary = "thin factors of a matrix, by one power iteration",
        .needs = "<ccomp/low_rank/power_sgd.hpp>, which needs Eigen (CMake: link ccomp::eigen)",
        .compared = {"power_sgd(4)"}},
    joining_row{.name = "svd", .kind = family::low_rank, .summary = "the best matrix of a rank, as thin factors; slow",
        .needs = "<ccomp/low_rank/svd.hpp>",
        .examples = {"svd(2)", "svd(rank=2, rows=64)", "svd(8)|cast<bfloat16>"}},
    joining_row{.name = "randomized_svd", .kind = family::low_rank, .summary = "nearly the best matrix of a rank, from a few random vectors",
        .needs = "<ccomp/low_rank/randomized_svd.hpp>, which needs Eigen (CMake: link ccomp::eigen)",
        .examples = {"randomized_svd(4)", "randomized_svd(rank=2, rows=64)", "randomized_svd(8)|cast<bfloat16>"}},
    joining_row{.name = "als", .kind = family::low_rank, .summary = "thin factors of a matrix, by alternating least squares with a penalty",
        .needs = "<ccomp/low_rank/als.hpp>",
        .examples = {"als(4)", "als(rank=2, rows=64, iterations=3)"}},
    joining_row{.name = "tucker", .kind = family::low_rank, .summary = "a small core and one factor per side of a tensor",
        .needs = "<ccomp/low_rank/tucker.hpp>",
        .examples = {"tucker(shape=10x10x10, ranks=4x4x4)", "tucker(shape=64x64x3x3, ranks=16x16x3x3)|cast<bfloat16>"}},
    joining_row{.name = "tensor_train", .kind = family::low_rank, .summary = "a chain of small tensors, one per side of a tensor",
        .needs = "<ccomp/low_rank/tensor_train.hpp>",
        .examples = {"tensor_train(shape=10x10x10, ranks=4x4)", "tensor_train(shape=10x10x10, tolerance=0.3)", "tensor_train(shape=64x64x3x3, ranks=32x9x3)|cast<bfloat16>"}},
};
// clang-format on

/// Calls `f(std::type_identity<Stage>{}, row)` for each variant of each row.
template <class F> void for_each_stage(F const& f) {
  auto const each = [&]<class... S>(stage_row<S...> const& row) { (f(std::type_identity<S>{}, row), ...); };
  with_stage_rows([&](auto const&... row) { (each(row), ...); });
}

/// Adds what is not in it yet.
inline void add_texts(std::vector<std::string>& all, text_list const& more) {
  for (auto const text : more) {
    bool known = text.empty();
    for (auto const& each : all) known = known || each == text;
    if (!known) all.emplace_back(text);
  }
}
/// The texts in the lists of every row, joining stages' last: `listed_texts([](auto const& row) { return row.compared; })`.
template <class List> std::vector<std::string> listed_texts(List const& list) {
  std::vector<std::string> all;
  with_stage_rows([&](auto const&... row) { (add_texts(all, list(row)), ...); });
  for (auto const& row : joining_stages) add_texts(all, list(row));
  return all;
}
inline std::vector<std::string> compared_texts() {
  return listed_texts([](auto const& row) { return row.compared; });
}

template <class... S> struct stage_types {};
template <class... A, class... B> stage_types<A..., B...> operator+(stage_types<A...>, stage_types<B...>);
template <bool Take, class S> using taken = std::conditional_t<Take, stage_types<S>, stage_types<>>;

template <std::size_t Usual, class... S, std::size_t... I>
auto first_of_row(stage_row<S...>, std::index_sequence<I...>)
    -> decltype((stage_types<>{} + ... + taken<(I < Usual), S>{}));
template <std::size_t Usual, class... S>
auto first_of_row(stage_row<S...> row) -> decltype(first_of_row<Usual>(row, std::index_sequence_for<S...>{}));

inline constexpr auto usual_counts = with_stage_rows([](auto const&... row) { return std::array{row.usual...}; });
template <class... Row> struct row_types {};
using all_rows = decltype(with_stage_rows([]<class... Row>(Row const&...) { return row_types<Row...>{}; }));
template <class... Row, std::size_t... I>
auto first_of_rows(row_types<Row...>, std::index_sequence<I...>)
    -> decltype((stage_types<>{} + ... + first_of_row<usual_counts[I]>(Row{})));
/// The first `usual` variants of each row, as stage_types<...>.
using usual_stages = decltype(first_of_rows(all_rows{}, std::make_index_sequence<usual_counts.size()>{}));

}  // namespace detail
CCOMP_END
