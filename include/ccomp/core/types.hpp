#pragma once
/// Element types and the small words of every call: step, reduction, rounding.

#include <ccomp/core/config.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

static_assert(sizeof(float) == 4 && std::numeric_limits<float>::is_iec559, "ccomp: float must be IEEE 754 binary32");

namespace ccomp {
namespace formats {

/// All ones if a < limit, for numbers below 2^31. A comparison would do, but g++ makes branches of several that ask the
/// same, puts the floating-point operations there, and leaves the loop scalar.
[[gnu::always_inline]] CCOMP_HD constexpr std::uint32_t mask_below(std::uint32_t a, std::uint32_t limit) {
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(a - limit) >> 31);
}

/// Conversion between float and a smaller format with `Mantissa` stored bits and exponent bias `Bias`, on magnitudes
/// (no sign bit). Both directions compute the normal and the subnormal result and select, so that a loop over them
/// vectorises on any instruction set; both are right under flush-to-zero as well.
template <std::uint32_t Mantissa, std::uint32_t Bias> struct small_float {
  static constexpr std::uint32_t shift = 23 - Mantissa;
  static constexpr std::uint32_t rebias = (127 - Bias) << 23;
  static constexpr std::uint32_t min_normal = (128 - Bias) << 23;           // float bits of 2^(1 - Bias)
  static constexpr std::uint32_t magic = (151 - Bias - Mantissa) << 23;     // a float whose last place is our smallest
  static constexpr std::uint32_t smallest = (128 - Bias - Mantissa) << 23;  // our smallest subnormal

  /// Nearest even code of the float with bits `a`. Beyond the largest number it goes on upwards; the caller clamps.
  [[gnu::always_inline]] CCOMP_HD static constexpr std::uint32_t narrow(std::uint32_t a) {
    std::uint32_t const subnormal = mask_below(a, min_normal);
    std::uint32_t const normal = (a + ((1u << (shift - 1)) - 1u) + ((a >> shift) & 1u) - rebias) >> shift;
    // The addition rounds at our smallest place. Zero instead of larger inputs keeps NaN out of constant evaluation.
    float const x = __builtin_bit_cast(float, (a & subnormal));
    std::uint32_t const tiny = __builtin_bit_cast(std::uint32_t, x + __builtin_bit_cast(float, magic)) - magic;
    return (tiny & subnormal) | (normal & ~subnormal);
  }

  /// Bits of the float that code `a` stands for, NaN and Inf codes excepted. Exact.
  [[gnu::always_inline]] CCOMP_HD static constexpr std::uint32_t widen(std::uint32_t a) {
    std::uint32_t const subnormal = mask_below(a, 1u << Mantissa), normal = (a << shift) + rebias;
    float const x = static_cast<float>(static_cast<std::int32_t>(a)) * __builtin_bit_cast(float, smallest);
    return (__builtin_bit_cast(std::uint32_t, x) & subnormal) | (normal & ~subnormal);
  }
};

inline constexpr std::uint32_t float_inf = 0x7f800000u;
inline constexpr std::uint32_t float_nan = 0x7fc00000u;

[[gnu::always_inline]] CCOMP_HD constexpr std::uint32_t at_most(std::uint32_t a, std::uint32_t limit) {
  return a < limit ? a : limit;
}

/// The float, or the one with magnitude bits `largest` and its sign if it is finite and beyond that.
[[gnu::always_inline]] CCOMP_HD constexpr float clamped(float x, std::uint32_t largest) {
  std::uint32_t const u = __builtin_bit_cast(std::uint32_t, x), a = u & 0x7fffffffu;
  std::uint32_t const finite = at_most(a, largest), magnitude = a < float_inf ? finite : a;
  return __builtin_bit_cast(float, magnitude | (u & 0x80000000u));
}

}  // namespace formats

/// IEEE 754 binary16 as storage: the same bits as CUDA's `__half`.
///
/// From float: round to nearest even, overflow to Inf, every NaN to 0x7fff. To float: exact, NaN to 0x7fc00000.
/// `==` compares bits.
struct float16 {
  std::uint16_t bits;

  float16() = default;
  [[gnu::always_inline]] CCOMP_HD explicit constexpr float16(float x) : bits{} {
    std::uint32_t const u = __builtin_bit_cast(std::uint32_t, x), a = u & 0x7fffffffu;
    std::uint32_t const code =
        formats::at_most(formats::small_float<10, 15>::narrow(a), 0x7c00u) | ((u >> 16) & 0x8000u);
    bits = static_cast<std::uint16_t>(a > formats::float_inf ? 0x7fffu : code);
  }
  /// From float, but finite numbers stay finite: larger ones become the largest number, 65504.
  [[gnu::always_inline]] CCOMP_HD static constexpr float16 saturated(float x) {
    return float16(formats::clamped(x, 0x477fe000u));
  }
  [[gnu::always_inline]] CCOMP_HD explicit constexpr operator float() const {
    std::uint32_t const a = bits & 0x7fffu, sign = (bits & 0x8000u) << 16;
    std::uint32_t const finite = formats::small_float<10, 15>::widen(a) | sign;
    std::uint32_t const special = a > 0x7c00u ? formats::float_nan : (formats::float_inf | sign);
    return __builtin_bit_cast(float, a < 0x7c00u ? finite : special);
  }
  [[gnu::always_inline]] CCOMP_HD static constexpr float16 from_bits(std::uint16_t b) {
    float16 r{};
    r.bits = b;
    return r;
  }
  friend bool operator==(float16 const&, float16 const&) = default;
};

/// The upper half of a float as storage: the same bits as CUDA's `__nv_bfloat16`.
///
/// From float: round to nearest even, overflow to Inf, every NaN to 0x7fff. To float: exact, NaN to 0x7fc00000.
/// `==` compares bits.
struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;
  [[gnu::always_inline]] CCOMP_HD explicit constexpr bfloat16(float x) : bits{} {
    std::uint32_t const u = __builtin_bit_cast(std::uint32_t, x);
    std::uint32_t const code = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    bits = static_cast<std::uint16_t>((u & 0x7fffffffu) > formats::float_inf ? 0x7fffu : code);
  }
  /// From float, but finite numbers stay finite: larger ones become the largest number, (2 - 2^-7) 2^127.
  [[gnu::always_inline]] CCOMP_HD static constexpr bfloat16 saturated(float x) {
    return bfloat16(formats::clamped(x, 0x7f7f0000u));
  }
  [[gnu::always_inline]] CCOMP_HD explicit constexpr operator float() const {
    std::uint32_t const u = static_cast<std::uint32_t>(bits) << 16;
    return __builtin_bit_cast(float, (u & 0x7fffffffu) > formats::float_inf ? formats::float_nan : u);
  }
  [[gnu::always_inline]] CCOMP_HD static constexpr bfloat16 from_bits(std::uint16_t b) {
    bfloat16 r{};
    r.bits = b;
    return r;
  }
  friend bool operator==(bfloat16 const&, bfloat16 const&) = default;
};

/// OCP FP8 E4M3 ("FN") as storage: 4 exponent bits, 3 mantissa bits, no Inf, largest number 448.
///
/// From float: round to nearest even; finite values saturate at +-448; Inf becomes NaN (0x7f or 0xff); NaN becomes
/// 0x7f. To float: exact, NaN to 0x7fc00000. `==` compares bits.
struct fp8_e4m3 {
  std::uint8_t bits;

  fp8_e4m3() = default;
  [[gnu::always_inline]] CCOMP_HD explicit constexpr fp8_e4m3(float x) : bits{} {
    std::uint32_t const u = __builtin_bit_cast(std::uint32_t, x), a = u & 0x7fffffffu, sign = (u >> 24) & 0x80u;
    std::uint32_t const code = formats::at_most(formats::small_float<3, 7>::narrow(a), 0x7eu);
    std::uint32_t const special = a > formats::float_inf ? 0x7fu : (0x7fu | sign);
    bits = static_cast<std::uint8_t>(a < formats::float_inf ? (code | sign) : special);
  }
  [[gnu::always_inline]] CCOMP_HD explicit constexpr operator float() const {
    std::uint32_t const a = bits & 0x7fu, sign = (bits & 0x80u) << 24;
    std::uint32_t const finite = formats::small_float<3, 7>::widen(a) | sign;
    return __builtin_bit_cast(float, a == 0x7fu ? formats::float_nan : finite);
  }
  [[gnu::always_inline]] CCOMP_HD static constexpr fp8_e4m3 from_bits(std::uint8_t b) {
    fp8_e4m3 r{};
    r.bits = b;
    return r;
  }
  friend bool operator==(fp8_e4m3 const&, fp8_e4m3 const&) = default;
};

/// OCP FP8 E5M2 as storage: 5 exponent bits, 2 mantissa bits, Inf, largest number 57344.
///
/// From float: round to nearest even; finite values saturate at +-57344; Inf stays Inf; NaN becomes 0x7f.
/// To float: exact, NaN to 0x7fc00000. `==` compares bits.
struct fp8_e5m2 {
  std::uint8_t bits;

  fp8_e5m2() = default;
  [[gnu::always_inline]] CCOMP_HD explicit constexpr fp8_e5m2(float x) : bits{} {
    std::uint32_t const u = __builtin_bit_cast(std::uint32_t, x), a = u & 0x7fffffffu, sign = (u >> 24) & 0x80u;
    std::uint32_t const code = formats::at_most(formats::small_float<2, 15>::narrow(a), 0x7bu);
    std::uint32_t const special = a > formats::float_inf ? 0x7fu : (0x7cu | sign);
    bits = static_cast<std::uint8_t>(a < formats::float_inf ? (code | sign) : special);
  }
  [[gnu::always_inline]] CCOMP_HD explicit constexpr operator float() const {
    std::uint32_t const a = bits & 0x7fu, sign = (bits & 0x80u) << 24;
    std::uint32_t const finite = formats::small_float<2, 15>::widen(a) | sign;
    std::uint32_t const special = a > 0x7cu ? formats::float_nan : (formats::float_inf | sign);
    return __builtin_bit_cast(float, a < 0x7cu ? finite : special);
  }
  [[gnu::always_inline]] CCOMP_HD static constexpr fp8_e5m2 from_bits(std::uint8_t b) {
    fp8_e5m2 r{};
    r.bits = b;
    return r;
  }
  friend bool operator==(fp8_e5m2 const&, fp8_e5m2 const&) = default;
};

static_assert(sizeof(float16) == 2 && sizeof(bfloat16) == 2 && sizeof(fp8_e4m3) == 1 && sizeof(fp8_e5m2) == 1);
static_assert(std::is_trivial_v<float16> && std::is_trivial_v<bfloat16>);
static_assert(std::is_trivial_v<fp8_e4m3> && std::is_trivial_v<fp8_e5m2>);

/// The element type as a value; the numbers are those of the frame.
enum class element_type : std::uint8_t { float32 = 0, float16 = 1, bfloat16 = 2 };

namespace formats {
/// Specialised for each element type; other spellings of the same bits may join (exec/cuda_elements.hpp).
template <class T> struct element_type_trait;
template <> struct element_type_trait<float> {
  static constexpr element_type value = element_type::float32;
};
template <> struct element_type_trait<float16> {
  static constexpr element_type value = element_type::float16;
};
template <> struct element_type_trait<bfloat16> {
  static constexpr element_type value = element_type::bfloat16;
};
}  // namespace formats

/// What a tensor may consist of: float, float16 and bfloat16.
template <class T>
concept element = requires {
  { formats::element_type_trait<T>::value } -> std::convertible_to<element_type>;
};
template <element T> inline constexpr element_type element_type_of = formats::element_type_trait<T>::value;

/// Bytes of one element; 0 for a value that is not an element type (read from a frame of another program, say).
CCOMP_HD constexpr std::size_t element_bytes(element_type type) {
  switch (type) {
    case element_type::float32:
      return 4;
    case element_type::float16:
    case element_type::bfloat16:
      return 2;
  }
  return 0;
}

/// "float32", "float16", "bfloat16"; "unknown" for a value that is not an element type.
constexpr std::string_view element_name(element_type type) {
  switch (type) {
    case element_type::float32:
      return "float32";
    case element_type::float16:
      return "float16";
    case element_type::bfloat16:
      return "bfloat16";
  }
  return "unknown";
}

/// The training step. Every random draw depends on it, so a call with the same step draws the same bits again.
///
/// With a cuda_exec it may be in device memory; the kernels read it when they run. Increment the counter on the stream
/// between replays of a CUDA graph, and each replay draws new random bits.
struct step {
  std::uint64_t number = 0;
  std::uint64_t const* on_device = nullptr;
  bool given = false;  // a call whose random bits depend on the step tells the first step, 0, from none

  constexpr step() = default;
  [[nodiscard]] static constexpr step from_device(std::uint64_t const* counter) {
    step s;
    s.on_device = counter;
    s.given = true;
    return s;
  }
  /// Implicit, so that `{.at = 7}` works; negative numbers wrap modulo 2^64.
  template <std::integral Integer>
  CCOMP_HD constexpr step(Integer n) : number(static_cast<std::uint64_t>(n)), given(true) {}
  friend constexpr bool operator==(step const& a, step const& b) {
    return a.number == b.number && a.on_device == b.on_device;
  }
};

enum class reduction : std::uint8_t { sum, mean };

enum class rounding : std::uint8_t { nearest, stochastic };

}  // namespace ccomp
