// Quantizers of stage_list.hpp without a test of their own here, on the (simulated) GPU, with the settings that their rows
// show. What is new in the list is tried by this file.
#include <support/cuda/chain_checks.hpp>

#include <ccomp/stage_list.hpp>
#include <ccomp/text/stage_entry.hpp>

#include <doctest/doctest.h>

using namespace ccomp;

namespace {

/// test_uniform_passes.cpp, test_sign_passes.cpp, test_block_passes.cpp, test_shared_scale.cpp
template <class S>
constexpr bool tested_elsewhere = S::name == uniform_quantize<8>::name || S::name == sign_quantize::name ||
                                  S::name == cast<bfloat16>::name || ccomp::detail::has_reduce<S>;

/// The texts of a row that are this stage and nothing else.
template <class S> std::vector<std::string> texts_of() {
  std::vector<std::string> all{ccomp::detail::stage_type_text<S>()};
  ccomp::detail::for_each_stage([&]<class Listed>(std::type_identity<Listed>, auto const& row) {
    if constexpr (std::same_as<Listed, S>)
      for (auto const text : row.examples)
        if (text.starts_with(all[0] + '(') && text.find('|') == text.npos) all.emplace_back(text);
  });
  return all;
}

template <class S> int check_stage_of_list() {
  if constexpr (quantizer_stage<S> && !tested_elsewhere<S>) {
    for (auto const& text : texts_of<S>()) {
      auto const made = ccomp::detail::make_stage<S>(ccomp::detail::compressor_text(text).parse().at(0));
      support::check_chain(ccomp::detail::as<S>(made.object.get()));
    }
    return 1;
  } else {
    return 0;
  }
}
template <class... S> int check_list(ccomp::detail::stage_types<S...>) { return (check_stage_of_list<S>() + ...); }

}  // namespace

TEST_CASE("cuda: quantizers of the list give the host's bytes") {
  CHECK(check_list(ccomp::detail::usual_stages{}) >= 4);
}
