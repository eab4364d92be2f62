#pragma once

#include <ccomp/core/error.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/core/statistic.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

CCOMP_BEGIN

/// Where the levels of `nonuniform` come from: the best ones for Gaussian values, those of NF4, or given ones, as parts of
/// a block's largest magnitude or of its root mean square.
enum class codebook { lloyd_max, nf4, of_largest, of_rms };
constexpr auto setting_names(codebook) {
  return std::array<std::string_view, 4>{"lloyd_max", "nf4", "of_largest", "of_rms"};
}

namespace detail {

/// The positive levels that leave a standard normal variable the least squared error; the negative ones mirror them.
template <int Bits> inline constexpr std::array<float, 1 << (Bits - 1)> lloyd_max_levels{};
template <> inline constexpr std::array<float, 1> lloyd_max_levels<1>{.7978846f};
template <> inline constexpr std::array<float, 2> lloyd_max_levels<2>{.4527800f, 1.5104176f};
template <> inline constexpr std::array<float, 4> lloyd_max_levels<3>{.2450942f, .7560053f, 1.3439093f, 2.1519457f};
template <>
inline constexpr std::array<float, 8> lloyd_max_levels<4>{.1283950f,  .3880483f,  .6567591f,  .9423405f,
                                                          1.2562312f, 1.6180464f, 2.0690172f, 2.7325896f};
template <>
inline constexpr std::array<float, 16> lloyd_max_levels<5>{
    .0658897f,  .1980518f,  .3313783f,  .4666995f,  .6049336f,  .7471357f,  .8945651f,  1.0487833f,
    1.2118044f, 1.3863403f, 1.5762281f, 1.7872332f, 2.0287284f, 2.3177394f, 2.6911196f, 3.2607325f};

inline constexpr std::array<float, 16> nf4_levels{-1.0f,
                                                  -.6961928009986877f,
                                                  -.5250730514526367f,
                                                  -.39491748809814453f,
                                                  -.28444138169288635f,
                                                  -.18477343022823334f,
                                                  -.09105003625154495f,
                                                  0.0f,
                                                  .07958029955625534f,
                                                  .16093020141124725f,
                                                  .24611230194568634f,
                                                  .33791524171829224f,
                                                  .44070982933044434f,
                                                  .5626170039176941f,
                                                  .7229568362236023f,
                                                  1.0f};

struct level_parameters {
  float scale;
};
CCOMP_HD inline level_parameters fit_levels(max_abs m, std::size_t) { return {m.key < tiny_bits ? 0.0f : m.value()}; }
CCOMP_HD inline level_parameters fit_levels(sum_squares s, std::size_t n) {
  double const mean = s.sum[0] / static_cast<double>(n), rms = sqrt(mean);
  float const scale = rms < 0x1.fffffep127 ? static_cast<float>(rms) : 0x1.fffffep127f;
  return {mean < 0x1p-236 ? 0.0f : scale};
}
/// What values are multiplied by before they are compared with the levels.
CCOMP_HD inline float to_levels(level_parameters p) { return inverse_or_zero(p.scale, p.scale > 0); }

/// The levels of every width for the loops of the host: loops for each width would take a third of the time that all
/// stages take to compile.
struct host_level_codes {
  using parameters = level_parameters;
  static constexpr bool narrow_codes = true;
  float levels[32] = {};

  [[nodiscard]] float value(std::uint32_t code, parameters p) const { return saturating_mul(levels[code], p.scale); }
};
/// Codes batches that stay in registers while they pass the bounds; compilers do not exchange these loops themselves.
template <class Statistic> struct host_level_pieces : host_level_codes {
  using statistic = Statistic;
  static constexpr std::size_t batch = 32;
  float bounds[31] = {};    // above bound i the code is above i
  std::uint32_t count = 0;  // of bounds

  [[nodiscard]] parameters fit(Statistic const& s, std::size_t n) const { return fit_levels(s, n); }
  [[gnu::always_inline]] void code_batch(float const* CCOMP_RESTRICT x, parameters p,
                                         std::uint8_t* CCOMP_RESTRICT codes) const {
    float const factor = to_levels(p);
    float at[batch];
    std::uint32_t above[batch] = {};
    CCOMP_HOST_UNROLL(4)
    for (std::size_t j = 0; j < batch; ++j) at[j] = mul(x[j], factor);
    CCOMP_HOST_UNROLL(1)
    for (std::uint32_t i = 0; i < count; ++i) {
      CCOMP_HOST_UNROLL(4)
      for (std::size_t j = 0; j < batch; ++j) above[j] += at[j] > bounds[i] ? 1u : 0u;
    }
    CCOMP_HOST_UNROLL(4)
    for (std::size_t j = 0; j < batch; ++j) codes[j] = static_cast<std::uint8_t>(above[j]);
  }
};

/// Codes count levels from the lowest. Selects in place of a look-up: threads of a GPU would need the levels in memory. Plain
/// arrays: device code cannot call members of std::array.
template <int Bits> struct level_codes {
  using parameters = level_parameters;
  static constexpr std::uint32_t count = 1u << Bits;
  float levels[count];

  explicit level_codes(std::array<float, count> const& table) {
    for (std::uint32_t i = 0; i < count; ++i) levels[i] = table[i];
  }
  CCOMP_HD float value(std::uint32_t code, parameters p) const {
    float level = levels[0];
    for (std::uint32_t i = 1; i < count; ++i) level = code >= i ? levels[i] : level;
    return saturating_mul(level, p.scale);
  }
  CCOMP_HD level_codes decoder() const { return *this; }
  [[nodiscard]] host_level_codes on_host() const {
    host_level_codes all;
    for (std::uint32_t i = 0; i < count; ++i) all.levels[i] = levels[i];
    return all;
  }
};
/// `Statistic`: max_abs or sum_squares, which levels are parts of.
template <int Bits, class Statistic> struct level_pieces : level_codes<Bits> {
  using base = level_codes<Bits>;
  using typename base::parameters;
  using statistic = Statistic;
  float bounds[base::count - 1];

  explicit level_pieces(std::array<float, base::count> const& table) : base(table) {
    for (std::uint32_t i = 0; i + 1 < base::count; ++i) bounds[i] = mul(add(table[i], table[i + 1]), 0.5f);
  }
  CCOMP_HD parameters fit(Statistic const& s, std::size_t n) const { return fit_levels(s, n); }
  CCOMP_HD std::uint32_t code(float x, parameters p, std::uint32_t) const {
    float const at = mul(x, to_levels(p));
    std::uint32_t c = 0;
    for (std::uint32_t i = 0; i + 1 < base::count; ++i) c += at > bounds[i] ? 1u : 0u;
    return c;
  }
  [[nodiscard]] host_level_pieces<Statistic> on_host() const {
    host_level_pieces<Statistic> all{base::on_host()};
    all.count = base::count - 1;
    for (std::uint32_t i = 0; i < all.count; ++i) all.bounds[i] = bounds[i];
    return all;
  }
};

}  // namespace detail

/// Rounds each value to the nearest of 2^Bits unevenly spaced levels.
///
/// Shapes:      in [n] -> codes [n] of Bits bits, one scale per block
/// Payload:     pad16(4 ceil(n/block)) + pad16(ceil(n Bits / 8)) bytes; depends on n only
/// Codebook:    lloyd_max: the levels that are best for Gaussian values, times the root mean square of the block; nf4 (4
///              bits): those of QLoRA's NormalFloat, times max|x|; of_largest, of_rms: `levels`, ascending, times max|x|
///              or times the root mean square
/// Range:       the lowest to the highest level, times the scale; values outside become the outermost level
/// Ties:        a value half way between two levels takes the lower one
/// Guarantee:   lloyd_max, Gaussian values: mean squared error .3634, .1175, .0345, .0095, .0025 of the variance for 1
///              to 5 bits. nf4: |x - Q(x)| <= .152 max|x|
/// Feedback:    refused if no level is zero and small values beside a large one may grow: lloyd_max with 1 bit,
///              lloyd_max with 2 bits and blocks above 64, and given levels without a zero
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    make their block NaN, and no other block. Blocks whose max|x| (or root mean square) < 2^-118 decode to
///              zero
/// Throws:      invalid_argument: block is not a power of two in 16..4096; nf4 with a width other than 4 bits; levels
///              that are not finite and ascending
/// Source:      Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 1982; Max, "Quantizing for minimum
///              distortion", IRE Trans. 1960; Dettmers et al., "QLoRA", NeurIPS 2023 (NF4)
template <int Bits> struct nonuniform {
  static_assert(Bits >= 1 && Bits <= 5, "ccomp: nonuniform takes 1 to 5 bits");
  static constexpr std::string_view name = "nonuniform";
  static constexpr int bits = Bits;
  static std::string argument() { return std::to_string(Bits); }
  using level_array = std::array<float, 1u << Bits>;

  std::uint32_t block = 64;
  codebook levels_of = codebook::lloyd_max;
  level_array levels{};  // of_largest, of_rms

  static constexpr auto fields() {
    return std::tuple{field{"block", &nonuniform::block}, field{"codebook", &nonuniform::levels_of},
                      field{"levels", &nonuniform::levels}};
  }
  void validate() const {
    detail::expects(levels_of != codebook::nf4 || Bits == 4, "nonuniform: the codebook nf4 has 4 bits");
    if (levels_of != codebook::of_largest && levels_of != codebook::of_rms) return;
    for (std::size_t i = 0; i < levels.size(); ++i)
      detail::expects(detail::is_finite(levels[i]) && (i == 0 || levels[i - 1] < levels[i]), [&] {
        return detail::sentence("nonuniform: levels must be finite and ascending, level ", i, " is ",
                                detail::print_value(levels[i]));
      });
  }
  /// With a level at zero, no value grows. Without one, the zeros beside one large value become the smallest level.
  [[nodiscard]] bool contracts() const {
    auto const table = table_in_force();
    for (float const level : table)
      if (level == 0) return true;
    if (levels_of != codebook::lloyd_max) return false;
    double const least = table[table.size() / 2], most = table.back();
    double const clipped = 1 - most / std::sqrt(static_cast<double>(block));
    return clipped * clipped + least * least < 1;
  }
  template <class F> void specialise(F const& f) const {
    if (levels_of == codebook::nf4 || levels_of == codebook::of_largest)
      f(detail::level_pieces<Bits, max_abs>(table_in_force()));
    else
      f(detail::level_pieces<Bits, sum_squares>(table_in_force()));
  }

 private:
  [[nodiscard]] level_array table_in_force() const {
    if constexpr (Bits == 4)
      if (levels_of == codebook::nf4) return detail::nf4_levels;
    if (levels_of != codebook::lloyd_max) return levels;
    level_array table{};
    constexpr auto& half = detail::lloyd_max_levels<Bits>;
    for (std::size_t i = 0; i < half.size(); ++i) {
      table[half.size() + i] = half[i];
      table[half.size() - 1 - i] = -half[i];
    }
    return table;
  }
};

template <int Bits> inline constexpr bool detail::standard_stage<nonuniform<Bits>> = true;

CCOMP_END
