#include "output_file.hpp"

#include "user_error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <optional>
#include <system_error>
#include <utility>

namespace compare {
namespace {

namespace fs = std::filesystem;

user_error cannot_write(fs::path const& path, int number) {
  auto const why = number != 0 ? std::generic_category().message(number) : std::string("the system gives no reason");
  return user_error("the output '" + path.string() + "' cannot be written (" + why + ").");
}

// Follows links, the last of which may lead to nothing yet. What is no file has no other name: /dev/stdout may lead to a
// pipe that lies in no folder.
fs::path resolved(fs::path path) {
  std::error_code error;
  if (auto const status = fs::status(path, error); fs::exists(status) && !fs::is_regular_file(status)) return path;
  for (int links = 0; links < 40 && fs::is_symlink(fs::symlink_status(path, error)); ++links) {
    auto const to = fs::read_symlink(path, error);
    if (error) break;
    path = to.is_absolute() ? to : path.parent_path() / to;
  }
  auto const folder = fs::canonical(path.has_parent_path() ? path.parent_path() : fs::path("."), error);
  return error ? path : folder / path.filename();
}

class descriptor {
 public:
  descriptor(fs::path const& path, int flags, mode_t mode = 0666)
      : number_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  descriptor(descriptor const&) = delete;
  descriptor& operator=(descriptor const&) = delete;
  ~descriptor() {
    if (number_ >= 0) ::close(number_);
  }

  explicit operator bool() const { return number_ >= 0; }
  int get() const { return number_; }
  // 0, or the system's number of what went wrong.
  int write(std::string const& text) const {
    for (std::size_t at = 0; at < text.size();) {
      auto const written = ::write(number_, text.data() + at, text.size() - at);
      if (written < 0 && errno != EINTR) return errno;
      if (written > 0) at += static_cast<std::size_t>(written);
    }
    return 0;
  }
  int close() { return ::close(std::exchange(number_, -1)) == 0 ? 0 : errno; }

 private:
  int number_;
};

// For the moment in which a new file lies beside the old one: who interrupts then gets the new one.
class uninterrupted {
 public:
  uninterrupted() {
    for (std::size_t i = 0; i < count; ++i) before_[i] = std::signal(signals[i], SIG_IGN);
  }
  uninterrupted(uninterrupted const&) = delete;
  uninterrupted& operator=(uninterrupted const&) = delete;
  ~uninterrupted() {
    for (std::size_t i = 0; i < count; ++i) std::signal(signals[i], before_[i]);
  }

 private:
  static constexpr std::size_t count = 3;
  static constexpr int signals[count] = {SIGINT, SIGTERM, SIGHUP};
  void (*before_[count])(int) = {};
};

fs::path beside(fs::path const& target) { return target.string() + ".new-" + std::to_string(::getpid()); }

constexpr int new_file = O_WRONLY | O_CREAT | O_EXCL;

}

bool same_file(fs::path const& one, fs::path const& other) {
  std::error_code ignored;
  return fs::equivalent(one, other, ignored) || resolved(one) == resolved(other);
}

output_file::output_file(fs::path path) : path_(std::move(path)), target_(resolved(path_)) {
  std::error_code error;
  auto const status = fs::status(target_, error);
  bool const exists = fs::exists(status);
  if (fs::is_directory(status)) throw cannot_write(path_, EISDIR);
  if (exists && !fs::is_fifo(status)) {  // opening a pipe would wait for its reader
    descriptor const probe(target_, O_WRONLY | O_APPEND);
    if (!probe) throw cannot_write(path_, errno);
  }
  replace_ = !exists || fs::is_regular_file(status);
  if (!replace_) return;
  uninterrupted const now;
  descriptor const probe(beside(target_), new_file);
  int const number = errno;
  if (probe) {
    ::unlink(beside(target_).c_str());
  } else if (exists) {
    replace_ = false;
  } else {
    throw cannot_write(path_, number);
  }
}

void output_file::write(std::string const& text) const {
  if (!replace_) {
    descriptor file(target_, O_WRONLY | O_TRUNC);
    if (!file) throw cannot_write(path_, errno);
    if (int const number = file.write(text); number != 0) throw cannot_write(path_, number);
    if (int const number = file.close(); number != 0) throw cannot_write(path_, number);
    return;
  }
  uninterrupted const now;
  auto const fresh = beside(target_);
  descriptor file(fresh, new_file);
  if (!file) throw cannot_write(path_, errno);
  int number = file.write(text);
  struct stat old{};
  // As far as the system lets it: the new file may be read and written by whom the old one could.
  if (::stat(target_.c_str(), &old) == 0) static_cast<void>(::fchmod(file.get(), old.st_mode & 07777U));
  if (int const closing = file.close(); number == 0) number = closing;
  if (number == 0 && ::rename(fresh.c_str(), target_.c_str()) != 0) number = errno;
  if (number != 0) {
    ::unlink(fresh.c_str());
    throw cannot_write(path_, number);
  }
}

}
