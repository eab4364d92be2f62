#pragma once
/// Sixteen floats at a time, in the widest registers an instruction set has: for loops that keep many sums in registers
/// at once, which compilers do not find by themselves.

#include <ccomp/engine/host/isa.hpp>
#include <ccomp/engine/host/vector_types.hpp>

#include <cstddef>
#include <cstring>

CCOMP_BEGIN
namespace detail {

inline constexpr std::size_t lane_count = 16;

/// Vectors are named by their width and passed by reference only: by value they would have another calling convention
/// in each variant.
template <std::size_t Bytes> struct lane_vector;
template <> struct lane_vector<16> {
  using type = float_x4;
};
template <> struct lane_vector<32> {
  using type = float_x8;
};
template <> struct lane_vector<64> {
  using type = float_x16;
};

template <std::size_t Bytes> struct lanes {
  using vector = typename lane_vector<Bytes>::type;
  static constexpr std::size_t width = Bytes / sizeof(float);
  static constexpr std::size_t parts = lane_count / width;
  vector part[parts];

  [[gnu::always_inline]] void load(float const* from) {
    CCOMP_HOST_UNROLL(4)
    for (std::size_t i = 0; i < parts; ++i) std::memcpy(&part[i], from + i * width, sizeof(vector));
  }
  [[gnu::always_inline]] void store(float* to) const {
    CCOMP_HOST_UNROLL(4)
    for (std::size_t i = 0; i < parts; ++i) std::memcpy(to + i * width, &part[i], sizeof(vector));
  }
  [[gnu::always_inline]] void multiply(float factor) {
    CCOMP_NO_CONTRACTION
    CCOMP_HOST_UNROLL(4)
    for (std::size_t i = 0; i < parts; ++i) part[i] = part[i] * factor;
  }
  [[gnu::always_inline]] void add(lanes const& x) {
    CCOMP_NO_CONTRACTION
    CCOMP_HOST_UNROLL(4)
    for (std::size_t i = 0; i < parts; ++i) part[i] = part[i] + x.part[i];
  }
  [[gnu::always_inline]] void subtract(lanes const& x) {
    CCOMP_NO_CONTRACTION
    CCOMP_HOST_UNROLL(4)
    for (std::size_t i = 0; i < parts; ++i) part[i] = part[i] - x.part[i];
  }
  [[gnu::always_inline]] void add_product(lanes const& x, lanes const& y) {
    CCOMP_NO_CONTRACTION
    CCOMP_HOST_UNROLL(4)
    for (std::size_t i = 0; i < parts; ++i) part[i] = part[i] + x.part[i] * y.part[i];
  }
  [[gnu::always_inline]] void set_product(lanes const& x, float y) {
    CCOMP_NO_CONTRACTION
    CCOMP_HOST_UNROLL(4)
    for (std::size_t i = 0; i < parts; ++i) part[i] = x.part[i] * y;
  }
  [[gnu::always_inline]] void add_product(lanes const& x, float y) {
    CCOMP_NO_CONTRACTION
    CCOMP_HOST_UNROLL(4)
    for (std::size_t i = 0; i < parts; ++i) part[i] = part[i] + x.part[i] * y;
  }
};

/// Calls the variant of `f` for an instruction set with the width of its registers, an integral constant.
template <class F> void run_lanes(instruction_set isa, F const& f) {
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512) return run_avx512([&] { f(std::integral_constant<std::size_t, 64>{}); });
  if (isa == instruction_set::avx2) return run_avx2([&] { f(std::integral_constant<std::size_t, 32>{}); });
#endif
  static_cast<void>(isa);
  run_baseline([&] { f(std::integral_constant<std::size_t, 16>{}); });
}

}  // namespace detail
CCOMP_END
