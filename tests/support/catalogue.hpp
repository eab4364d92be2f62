#pragma once
/// Every text of compressor_texts.hpp, with what the conformance suite holds it to: what its stages' facts claim.

#include <ccomp/testing/claims.hpp>

#include <string>
#include <vector>

namespace support {

struct catalogue_entry : ccomp::testing::compressor_claims {
  std::string text;
};

/// In the library ccomp-test-named.
std::vector<catalogue_entry> const& catalogue();

}  // namespace support
