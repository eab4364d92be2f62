#include <bench/compare/output_file.hpp>
#include <bench/compare/user_error.hpp>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

using namespace compare;
namespace fs = std::filesystem;

namespace {

struct scratch_folder {
  fs::path const path = fs::temp_directory_path() / ("ccomp-output-file-" + std::to_string(::getpid()));
  scratch_folder() { fs::create_directories(path); }
  ~scratch_folder() { fs::remove_all(path); }
  long files() const { return std::distance(fs::directory_iterator(path), fs::directory_iterator()); }
};

std::string content(fs::path const& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}

TEST_CASE("an output appears whole, at its end; until then nothing changes, and nothing is left beside it") {
  scratch_folder const folder;
  auto const path = folder.path / "out.json";
  {
    output_file const output(path);
    CHECK(folder.files() == 0);
    output.write("first");
  }
  CHECK(content(path) == "first");
  ::chmod(path.c_str(), 0640);
  output_file const output(path);
  CHECK(content(path) == "first");
  output.write("second");
  CHECK(content(path) == "second");
  CHECK(fs::status(path).permissions() == fs::perms(0640));
  CHECK(folder.files() == 1);
}

TEST_CASE("a link stays a link, a device stays a device") {
  scratch_folder const folder;
  fs::create_symlink("target.json", folder.path / "link.json");
  output_file(folder.path / "link.json").write("through");
  CHECK(fs::is_symlink(folder.path / "link.json"));
  CHECK(content(folder.path / "target.json") == "through");
  output_file("/dev/null").write("away");
  CHECK(fs::is_character_file("/dev/null"));
  int ends[2] = {};
  REQUIRE(::pipe(ends) == 0);
  output_file("/proc/self/fd/" + std::to_string(ends[1])).write("{}");
  char got[2] = {};
  CHECK(::read(ends[0], got, 2) == 2);
  CHECK(std::string(got, 2) == "{}");
  ::close(ends[0]);
  ::close(ends[1]);
  CHECK_THROWS_AS(output_file("/dev/full").write("text"), user_error);
  CHECK_THROWS_AS(output_file(folder.path), user_error);
  CHECK_THROWS_AS(output_file(folder.path / "none" / "out.json"), user_error);
}

TEST_CASE("two names of one file are the same file, there or not yet") {
  scratch_folder const folder;
  auto const path = folder.path / "a";
  CHECK(same_file(path, folder.path / "." / "a"));
  CHECK(same_file(path, folder.path / ".." / folder.path.filename() / "a"));
  CHECK(!same_file(path, folder.path / "b"));
  fs::create_symlink("a", folder.path / "dangling");
  CHECK(same_file(path, folder.path / "dangling"));
  output_file(path).write("x");
  fs::create_hard_link(path, folder.path / "hard");
  CHECK(same_file(path, folder.path / "hard"));
  CHECK(same_file("x", "./x"));
}
