#pragma once
/// Every stage and a selection of chains, with what the conformance suite holds each to.

#include <cstddef>
#include <string>
#include <vector>

namespace support {

/// Which values a compressor transmits.
enum class sends { all, largest, drawn };
/// Whether the step changes the bytes: not at all, alike on all ranks, each rank on its own.
enum class draws { nothing, shared, own };

inline constexpr float largest_float = 0x1.fffffep127f;

struct catalogue_entry {
  std::string text;
  /// A non-finite value reaches at most so many values: those of its aligned block, or (of a sparsifier, whose
  /// carriers' blocks gather values from afar) any.
  std::size_t spread = 1;
  sends sent = sends::all;
  draws random = draws::nothing;
  /// Finite values up to this magnitude decode to finite ones.
  float reach = largest_float;
  /// E decoded = x, but for so many times the largest |x|; negative: not claimed.
  double bias = -1;
  bool exact_size = true;
};

inline std::vector<catalogue_entry> catalogue() {
  constexpr double fine = 0x1p-15;  // 16 random bits on a scale that was rounded up
  using enum sends;
  using enum draws;
  std::vector<catalogue_entry> all_of_them {
    {"cast<bfloat16>", 1}, {"cast<float16>", 1}, {"cast<fp8_e4m3>", 128}, {"cast<fp8_e5m2>(block=32)", 32},
        {"uniform_quantize<1>", 512}, {"uniform_quantize<2>", 512}, {"uniform_quantize<3>(block=16)", 16},
        {"uniform_quantize<4>", 512}, {"uniform_quantize<5>", 512}, {"uniform_quantize<6>(block=32)", 32},
        {"uniform_quantize<7>", 512}, {"uniform_quantize<8>", 512},
        {"uniform_quantize<8>(block=4096, range=min_max)", 4096},
        {"uniform_quantize<4>(round=stochastic)", 512, all, own, largest_float, fine},
        {"uniform_quantize<3>(block=64, round=stochastic, range=min_max)", 64, all, own, largest_float, 2 * fine},
        {"qsgd<2>", 512, all, own, largest_float, fine}, {"qsgd<3>", 512, all, own, largest_float, fine},
        {"qsgd<4>", 512, all, own, largest_float, fine},
        {"qsgd<4>(block=32, norm=l2)", 32, all, own, largest_float, 6 * fine},
        {"qsgd<5>", 512, all, own, largest_float, fine}, {"qsgd<6>", 512, all, own, largest_float, fine},
        {"qsgd<7>", 512, all, own, largest_float, fine}, {"qsgd<8>", 512, all, own, largest_float, fine},
        {"sign_quantize", 1024, all, nothing, largest_float / 4096},
        {"sign_quantize(block=128, scale=two_means)", 128, all, nothing, largest_float / 4096},
        {"sign_quantize(scale=l2)", 1024}, {"ternary", 512, all, own},
        {"ternary(clip=0)", 512, all, own, largest_float, fine}, {"natural", 1024, all, own, largest_float, fine},
        {"hadamard_rotate", 1024, all, shared, largest_float / 4096}, {"sign_flip", 1, all, shared}, {"scale(0.5)", 1},
        {"top_k", 1, largest}, {"top_k(count=7, indices=raw)", 1, largest}, {"top_k(0.1, indices=packed)", 1, largest},
        {"top_k(0.4, indices=bitmap)", 1, largest},
#if __has_include(<ccomp/sparsify/threshold.hpp>)
        {"threshold", 1, drawn, shared, largest_float, -1, false},  // reached by more than it has room for
        {"threshold(relative=3)", 1, largest, nothing, largest_float, -1, false},
        {"threshold(0.5, capacity_ratio=0.9, indices=raw)", 1, largest, nothing, largest_float, -1, false},
        {"threshold(relative=1.5, capacity_ratio=0.2)|qsgd<4>", 512, largest, own, largest_float, -1, false},
#endif
#if __has_include(<ccomp/sparsify/random_k.hpp>)
        {"random_k(0.1)", 1, drawn, shared},
        {"random_k(0.1, unbiased=true)", 1, drawn, shared, largest_float / 4096, 0x1p-20},
        {"random_k(0.2)|cast<bfloat16>", 1, drawn, shared},
        {"random_k(0.5)|hadamard_rotate(block=64)|sign_quantize", 1024, drawn, shared, largest_float / 4096},
        {"hadamard_rotate(block=32)|random_k(0.2, unbiased=true)|cast<bfloat16>", 32, drawn, shared,
         largest_float / 65536},
#endif
#if __has_include(<ccomp/sparsify/random_block.hpp>)
        {"random_block(0.1)", 1, drawn, shared},
        {"random_block(0.1, blocks=4, unbiased=true)", 1, drawn, shared, largest_float / 4096, 0x1p-20},
        {"random_block(0.2)|uniform_quantize<4>", 512, drawn, shared},
#endif
#if __has_include(<ccomp/quantize/shared_scale.hpp>)
        {"shared_scale_quantize<8>", 512}, {"shared_scale_quantize<7>", 512}, {"shared_scale_quantize<6>", 512},
        {"shared_scale_quantize<5>", 512},
        {"shared_scale_quantize<4>(block=128, round=stochastic)", 128, all, own, largest_float, fine},
        {"shared_scale_quantize<3>", 512}, {"shared_scale_quantize<2>", 512},
#endif
        {"top_k(0.05)|uniform_quantize<8>", 512, largest}, {"top_k(0.02)|cast<float16>", 1, largest},
        {"top_k(0.3)|top_k(0.5)|uniform_quantize<3>", 512, largest},
        {"top_k(0.1)|hadamard_rotate(block=16)|sign_flip", 16, largest, shared, largest_float / 4096},
        {"sign_flip|top_k(0.1)|natural", 1024, largest, own},
        {"hadamard_rotate|uniform_quantize<4>(round=stochastic)", 1024, all, own, largest_float / 4096, fine},
        {"hadamard_rotate(block=64)|sign_flip|uniform_quantize<2>(block=32)", 64, all, shared, largest_float / 4096},
        {"hadamard_rotate(block=256)|cast<fp8_e5m2>", 256, all, shared, largest_float / 4096},
        {"hadamard_rotate(block=2048)|top_k(0.1)", 2048, largest, shared, largest_float / 4096},
        {"scale(0.125)|cast<float16>", 1},
  };
  return all_of_them;
}

}  // namespace support
