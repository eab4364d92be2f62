#pragma once

#include <filesystem>
#include <string>

namespace compare {

// A file to be written at the end of a run. Constructing it proves that it can be written, so that a minute of
// measuring is not lost to a typing error; a run that fails leaves no new empty file behind. Throws user_error.
class output_file {
 public:
  explicit output_file(std::filesystem::path path);
  output_file(output_file const&) = delete;
  output_file& operator=(output_file const&) = delete;
  ~output_file();

  void write(std::string const& text);

 private:
  std::filesystem::path path_;
  bool remove_if_unwritten_;
};

}
