#pragma once
/// A compressor known by its text, without the text of every stage: any_compressor is compiled once, into the library
/// ccomp-test-named, and not again in each test.

#include <ccomp/core/chain.hpp>

#include <memory>
#include <span>
#include <string>

namespace support {

class named_compressor {
 public:
  explicit named_compressor(std::string const& text);
  [[nodiscard]] std::span<ccomp::detail::stage_ref const> stages() const { return stages_; }

 private:
  std::shared_ptr<void const> owner_;
  std::span<ccomp::detail::stage_ref const> stages_;
};

}  // namespace support
