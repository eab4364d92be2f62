#include "output_file.hpp"

#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#include "user_error.hpp"

namespace compare {
namespace {

user_error cannot_write(std::filesystem::path const& path, int number) {
  auto const why = number != 0 ? std::generic_category().message(number) : std::string("the system gives no reason");
  return user_error("the output '" + path.string() + "' cannot be written (" + why + ").");
}

}

output_file::output_file(std::filesystem::path path) : path_(std::move(path)), remove_if_unwritten_(false) {
  std::error_code ignored;
  bool const existed = std::filesystem::exists(path_, ignored);
  errno = 0;
  std::ofstream const probe(path_, std::ios::app);
  if (!probe) throw cannot_write(path_, errno);
  remove_if_unwritten_ = !existed;
}

output_file::~output_file() {
  std::error_code ignored;
  if (remove_if_unwritten_) std::filesystem::remove(path_, ignored);
}

void output_file::write(std::string const& text) {
  errno = 0;
  std::ofstream stream(path_, std::ios::trunc);
  stream << text;
  stream.flush();
  if (!stream) throw cannot_write(path_, errno);
  remove_if_unwritten_ = false;
}

}
