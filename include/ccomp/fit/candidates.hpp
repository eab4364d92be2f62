#pragma once
/// The compressors among which a fit chooses.

#include <ccomp/fit/clip.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

CCOMP_BEGIN

/// One text per width: `sign_quantize` for 1 bit, `uniform_quantize<2>` to `uniform_quantize<8>`. `before`: stages that
/// stand before each, such as "hadamard_rotate".
std::vector<std::string> width_texts(std::string_view before = {});

struct fit_options {
  /// Texts of the compressors among which to choose.
  std::vector<std::string> texts = width_texts();
  /// Whether chains that end in uniform_quantize with range=symmetric and no clip get one by fit_clip.
  bool clip = true;
};

namespace detail {

/// Compressors of texts, those with the smallest payloads first.
class fit_candidates {
 public:
  fit_candidates(char const* call, fit_bench& bench, fit_options const& options);

  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] std::size_t bytes(std::size_t i) const { return bench_.payload_bytes(all_[i]); }
  [[nodiscard]] fitted_compressor measure(std::size_t i) const;

 private:
  fit_bench& bench_;
  bool clip_;
  std::vector<any_compressor> all_;
};

}  // namespace detail

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION std::vector<std::string> width_texts(std::string_view before) {
  std::string const first = before.empty() ? "" : std::string(before) + '|';
  std::vector<std::string> texts{first + "sign_quantize"};
  for (int bits = 2; bits <= 8; ++bits) texts.push_back(detail::sentence(first, "uniform_quantize<", bits, ">"));
  return texts;
}

namespace detail {

CCOMP_FUNCTION fit_candidates::fit_candidates(char const* call, fit_bench& bench, fit_options const& options)
    : bench_(bench), clip_(options.clip) {
  expects(!options.texts.empty(), [&] { return sentence(call, ": the options name no compressor"); });
  // By pairs, for clang 19 warns of what std::stable_sort of libstdc++ 12 calls.
  std::vector<std::pair<std::size_t, std::size_t>> order;
  order.reserve(options.texts.size());
  for (auto const& text : options.texts) order.emplace_back(bench.payload_bytes(any_compressor(text)), order.size());
  std::ranges::sort(order);
  for (auto const& [bytes, given] : order) all_.emplace_back(options.texts[given]);
}
CCOMP_FUNCTION fitted_compressor fit_candidates::measure(std::size_t i) const {
  clip_place const place(all_[i].stages());
  return clip_ && place.unset() ? clip_search(bench_, place).run() : bench_.measure(all_[i]);
}

}  // namespace detail
#endif
CCOMP_END
