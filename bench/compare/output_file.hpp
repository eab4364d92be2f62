#pragma once

#include <filesystem>
#include <string>

namespace compare {

// Whether two names lead to the same file, or would, if it is not there yet.
bool same_file(std::filesystem::path const& one, std::filesystem::path const& other);

// A file to be written at the end of a run. Constructing it proves that it can be written, so that a minute of
// measuring is not lost to a typing error, and leaves nothing behind. The text is written to a new file beside it that
// takes its place when whole: whoever interrupts a run finds the old file or the new one. Throws user_error.
class output_file {
 public:
  explicit output_file(std::filesystem::path path);

  void write(std::string const& text) const;

 private:
  std::filesystem::path path_;    // as given
  std::filesystem::path target_;  // where links lead
  bool replace_ = true;           // no: a device or a pipe, or no new file may be made beside it
};

}
