#include "contestant.hpp"

#include <ccomp/stage_list.hpp>

#include <algorithm>
#include <string_view>

namespace network {
namespace {

constexpr std::string_view feedback_mark = "feedback:";

// Beside those that ccomp-compare compares.
constexpr auto more = {
    "e8_lattice",  "vector_quantize<4x8>",    "top_k(0.01, indices=raw)", "top_k(0.001, indices=raw)",
    "block_top_k", "approximate_top_k(0.01)", "block_threshold",          "power_sgd(2)"};

constexpr auto with_feedback = {"uniform_quantize<2>",
                                "sign_quantize",
                                "top_k(0.01)",
                                "top_k(0.01)|uniform_quantize<8>",
                                "top_k(0.001)|uniform_quantize<8>",
                                "block_top_k|uniform_quantize<2>(block=64)",
                                "threshold(relative=3)",
                                "random_k(0.05)",
                                "random_block(0.05, blocks=64)",
                                "power_sgd(4)",
                                "power_sgd(4, half_steps=true)"};

}

contestant read_contestant(std::string const& text) {
  if (text.starts_with(feedback_mark)) return {text.substr(feedback_mark.size()), true};
  return {text, false};
}

std::vector<contestant> default_contestants() {
  auto texts = ccomp::detail::compared_texts();
  texts.insert(texts.end(), more.begin(), more.end());
  std::vector<contestant> all;
  for (auto const& text : texts) {
    all.push_back({text, false});
    if (std::find(with_feedback.begin(), with_feedback.end(), text) != with_feedback.end()) all.push_back({text, true});
  }
  all.push_back({"power_sgd(4, half_steps=true)", true});  // without feedback it is power_sgd(4)
  return all;
}

std::vector<contestant> quick_contestants() {
  return {{"cast<bfloat16>", false},
          {"uniform_quantize<8>", false},
          {"uniform_quantize<4>", false},
          {"sign_quantize", true},
          {"top_k(0.01)|uniform_quantize<8>", true}};
}

}
