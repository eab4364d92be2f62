#include "exact_mean.hpp"

#include "heavy_values.hpp"

#include <bit>
#include <cmath>

namespace network {

exact_mean::exact_mean(world const& all, std::size_t n) : all_(all) {
  auto const ranks = static_cast<std::size_t>(all.size());
  auto const me = static_cast<std::size_t>(all.rank());
  first_ = n * me / ranks;
  share_.resize(n * (me + 1) / ranks - first_);
  for (std::size_t i = 0; i < share_.size(); ++i) {
    double sum = 0;
    for (int rank = 0; rank < all.size(); ++rank) sum += static_cast<double>(heavy_value(rank, first_ + i));
    share_[i] = sum / all.size();
  }
}

double exact_mean::relative_error(std::span<float const> got, double factor) const {
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < share_.size(); ++i) {
    auto const d = static_cast<double>(got[first_ + i]) * factor - share_[i];
    difference += d * d;
    norm += share_[i] * share_[i];
  }
  difference = all_.sum(difference);
  norm = all_.sum(norm);
  return std::sqrt(difference / norm);
}

std::uint64_t fingerprint(std::span<float const> values) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (float const value : values) hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * 0x100000001b3u;
  return hash;
}

}
