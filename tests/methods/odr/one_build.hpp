#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace odr {

/// What one build of the umbrella did: its compressed and restored values, and the type it worked with, by name.
struct outcome {
  std::vector<std::byte> bytes;
  std::vector<float> restored;
  std::string workspace_type;
};

namespace plain {
outcome run();
}
namespace native {
outcome run();
}

}  // namespace odr
