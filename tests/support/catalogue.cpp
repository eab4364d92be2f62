#include <support/catalogue.hpp>
#include <support/compressor_texts.hpp>
#include <support/named_compressor.hpp>

#include <ccomp/stage_list.hpp>

#include <map>
#include <set>

namespace support {
namespace {

using ccomp::testing::detail::stage_claims;

stage_claims claims_of(ccomp::detail::stage_ref const& s) {
  static std::map<ccomp::detail::stage_facts const*, stage_claims> const all = [] {
    std::map<ccomp::detail::stage_facts const*, stage_claims> made;
    ccomp::detail::for_each_stage([&]<class S>(std::type_identity<S>, auto const&) {
      made[&ccomp::detail::facts_of<S>()] = ccomp::testing::detail::stage_claims_of<S>;
    });
    return made;
  }();
  return all.at(s.facts);
}

catalogue_entry entry_of(std::string const& text) {
  named_compressor const c(text);
  std::vector<stage_claims> own;
  for (auto const& s : c.stages()) own.push_back(claims_of(s));
  return {ccomp::testing::detail::claims_in_force(c.stages(), own), text};
}

}  // namespace

std::vector<catalogue_entry> const& catalogue() {
  static std::vector<catalogue_entry> const all = [] {
    std::vector<catalogue_entry> made;
    std::set<std::string> seen;  // top_k is top_k(0.01)
    for (auto const& text : compressor_texts())
      if (seen.insert(ccomp::text(named_compressor(text))).second) made.push_back(entry_of(text));
    return made;
  }();
  return all;
}

}  // namespace support
