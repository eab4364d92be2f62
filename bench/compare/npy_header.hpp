#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace compare {

// The dictionary at the head of a NumPy file, e.g. {'descr': '<f4', 'fortran_order': False, 'shape': (4, 100), }.
struct npy_header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
};

// Throws std::invalid_argument with a clause such as "the header has no key 'shape'".
npy_header parse_npy_header(std::string_view text);

}
