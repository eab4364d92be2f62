#pragma once
/// Seeds of k-means, drawn from a sample of vectors.

#include <ccomp/core/layout.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/core/random.hpp>
#include <ccomp/engine/host/isa.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// k-means++: the first seed is any vector of the sample, and each further one is drawn with a probability in proportion to
/// its squared distance from the nearest seed.
///
/// It runs on one thread. Each seed waits for the one before it and takes less than a millisecond, while threads that meet
/// after every seed wait longer than that on a machine that does something else as well.
class word_seeds {
 public:
  /// `sample`: number i of vector v is sample[i * vectors + v].
  word_seeds(instruction_set isa, float const* sample, std::size_t vectors, std::size_t dim,
             random_stream const& stream)
      : isa_(isa),
        sample_(sample),
        vectors_(vectors),
        dim_(dim),
        stream_(stream),
        distance_(vectors, largest_float),
        sums_(ceil_div(vectors, run_length)) {}

  /// Writes `count` seeds, of which some are equal where the sample has fewer vectors that differ.
  void write_to(double* words, std::size_t count);

 private:
  static constexpr std::size_t run_length = 1024, lanes = 8;

  [[nodiscard]] double uniform(std::uint64_t draw) const {
    philox_words const w = random_words(stream_, draw);
    return static_cast<double>((std::uint64_t{w.w[0]} << 21) ^ w.w[1] >> 11) * 0x1p-53;
  }
  void note(std::size_t seed);
  [[nodiscard]] std::size_t draw(double place) const;

  instruction_set isa_;
  float const* sample_;
  std::size_t vectors_, dim_;
  random_stream stream_;
  std::vector<float> distance_;  // squared, from the nearest seed
  std::vector<double> sums_;     // of runs of distances, so that a draw does not add up all of them
};

#if CCOMP_DEFINITIONS
/// Brings the distances up to date. (Sums are added in an order that no instruction set changes.)
CCOMP_FUNCTION void word_seeds::note(std::size_t seed) {
  run(isa_, [&] {
    float squares[run_length];
    for (std::size_t r = 0; r < sums_.size(); ++r) {
      std::size_t const first = r * run_length, n = std::min(run_length, vectors_ - first);
      float* const nearest = distance_.data() + first;
      for (std::size_t v = 0; v < n; ++v) squares[v] = 0;
      for (std::size_t i = 0; i < dim_; ++i) {
        float const* const x = sample_ + i * vectors_ + first;
        float const center = sample_[i * vectors_ + seed];
        for (std::size_t v = 0; v < n; ++v) {
          float const d = sub(x[v], center);
          squares[v] = add(squares[v], mul(d, d));
        }
      }
      for (std::size_t v = 0; v < n; ++v) nearest[v] = squares[v] < nearest[v] ? squares[v] : nearest[v];
      double sum[lanes] = {};
      std::size_t const whole = n - n % lanes;
      for (std::size_t v = 0; v < whole; v += lanes)
        for (std::size_t l = 0; l < lanes; ++l) sum[l] = add(sum[l], static_cast<double>(nearest[v + l]));
      for (std::size_t v = whole; v < n; ++v) sum[v - whole] = add(sum[v - whole], static_cast<double>(nearest[v]));
      for (std::size_t half = lanes / 2; half > 0; half /= 2)
        for (std::size_t l = 0; l < half; ++l) sum[l] = add(sum[l], sum[l + half]);
      sums_[r] = sum[0];
    }
  });
}
/// The vector at which the sum of the distances up to it exceeds `place`.
CCOMP_FUNCTION std::size_t word_seeds::draw(double place) const {
  std::size_t r = 0;
  for (; r + 1 < sums_.size() && place >= sums_[r]; ++r) place -= sums_[r];
  std::size_t v = r * run_length;
  std::size_t const end = std::min(vectors_, v + run_length);
  for (; v + 1 < end && place >= static_cast<double>(distance_[v]); ++v) place -= static_cast<double>(distance_[v]);
  return v;
}
CCOMP_FUNCTION void word_seeds::write_to(double* words, std::size_t count) {
  auto seed = std::min(vectors_ - 1, static_cast<std::size_t>(uniform(0) * static_cast<double>(vectors_)));
  for (std::size_t w = 0; w < count; ++w) {
    for (std::size_t i = 0; i < dim_; ++i) words[w * dim_ + i] = static_cast<double>(sample_[i * vectors_ + seed]);
    note(seed);
    double total = 0;
    for (double const each : sums_) total += each;
    seed = draw(uniform(w + 1) * total);
  }
}
#endif

}  // namespace detail
CCOMP_END
