#include <ccomp/core/error.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>

using namespace ccomp;

namespace {

template <class F> std::string message_of(F const& f) {
  try {
    f();
  } catch (error const& e) {
    return e.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("error: every type is a ccomp::error and a std::runtime_error") {
  CHECK(std::is_base_of_v<std::runtime_error, error>);
  CHECK(std::is_base_of_v<error, invalid_argument>);
  CHECK(std::is_base_of_v<error, payload_error>);
  CHECK(std::is_base_of_v<error, rank_mismatch>);
  CHECK(std::is_base_of_v<error, communicator_error>);
  CHECK(std::is_base_of_v<error, timeout>);
  // Handlers must be able to tell the caller's mistake from damaged bytes.
  CHECK_FALSE(std::is_base_of_v<invalid_argument, payload_error>);
  CHECK_FALSE(std::is_base_of_v<payload_error, invalid_argument>);
}

TEST_CASE("error: the message names the library, the reason, the file and the line") {
  int const line = __LINE__ + 1;
  std::string const text = message_of([] { detail::fail("top_k: the ratio is 2"); });
  CHECK(text.find("ccomp: top_k: the ratio is 2 [") == 0);
  CHECK(text.find("test_error.cpp:" + std::to_string(line) + "]") != std::string::npos);
}

TEST_CASE("error: a path inside the library begins at the library") {
  detail::source const header{"/opt/vendor/include/ccomp/sparsify/top_k.hpp", 12};
  CHECK(header.text() == "ccomp/sparsify/top_k.hpp:12");
  detail::source const elsewhere{"main.cpp", 3};
  CHECK(elsewhere.text() == "main.cpp:3");
}

TEST_CASE("error: expects throws the asked type, at the place of the call, only when it must") {
  CHECK_NOTHROW(detail::expects(true, "unused"));
  CHECK_THROWS_AS(detail::expects(false, "why"), invalid_argument);
  CHECK_THROWS_AS(detail::expects<payload_error>(false, "why"), payload_error);
  int const line = __LINE__ + 1;
  std::string const text = message_of([] { detail::expects(false, "short input"); });
  CHECK(text.find("short input") != std::string::npos);
  CHECK(text.find("test_error.cpp:" + std::to_string(line)) != std::string::npos);
}

TEST_CASE("error: a message built by a callable is built only when it is thrown") {
  int built = 0;
  auto const why = [&] {
    ++built;
    return "have " + std::to_string(1) + ", need " + std::to_string(2);
  };
  detail::expects(true, why);
  CHECK(built == 0);
  std::string const text = message_of([&] { detail::expects(false, why); });
  CHECK(built == 1);
  CHECK(text.find("have 1, need 2") != std::string::npos);
}
