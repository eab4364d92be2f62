#pragma once
/// The compressors that tests go through, as text: of each row of stage_list.hpp every variant with its defaults, and all
/// texts of the row.

#include <ccomp/stage_list.hpp>

#include <string>
#include <vector>

namespace support {

inline std::vector<std::string> compressor_texts() {
  std::vector<std::string> all;
  ccomp::detail::for_each_stage([&]<class S>(std::type_identity<S>, auto const& row) {
    std::string const plain = ccomp::detail::stage_type_text<S>();
    ccomp::detail::add_texts(all, {plain});
    for (auto const* list : {&row.compared, &row.timed, &row.examples}) ccomp::detail::add_texts(all, *list);
  });
  return all;
}

}  // namespace support
