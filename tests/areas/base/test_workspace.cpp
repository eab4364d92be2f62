#include <ccomp/core/error.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/core/workspace.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace ccomp;

namespace {

// Counts what the workspace asks of its exec.
struct counting_exec {
  int* allocations = nullptr;
  int* deallocations = nullptr;
  void* allocate(std::size_t bytes) const {
    ++*allocations;
    return host_exec::allocate(bytes);
  }
  void deallocate(void* p) const noexcept {
    ++*deallocations;
    host_exec::deallocate(p);
  }
};

bool aligned(void const* p, std::size_t to) { return reinterpret_cast<std::uintptr_t>(p) % to == 0; }

}  // namespace

TEST_CASE("workspace: grows when needed, and only then") {
  int made = 0, freed = 0;
  {
    workspace ws{counting_exec{&made, &freed}};
    CHECK(made == 0);
    auto const a = ws.reserve(1000);
    CHECK(a.size() >= 1000);
    CHECK(aligned(a.data(), 16));
    std::memset(a.data(), 1, a.size());
    CHECK(made == 1);
    static_cast<void>(ws.reserve(10));
    static_cast<void>(ws.reserve(1000));
    CHECK(made == 1);
    auto const b = ws.reserve(100000);
    CHECK(b.size() >= 100000);
    std::memset(b.data(), 1, b.size());
    CHECK(made == 2);
    CHECK(freed == 1);
    CHECK(ws.size() >= 100000);
  }
  CHECK(freed == 2);
}

TEST_CASE("workspace: a lent buffer is used wherever it starts, and never outside") {
  // 15 bytes more than asked for are enough for any start.
  std::vector<std::byte> buffer(4096 + 64, std::byte{0xcc});
  for (std::size_t start = 16; start < 32; ++start) {
    workspace ws{host_exec{}, std::span<std::byte>(buffer).subspan(start, 1015)};
    auto const part = ws.reserve(1000);
    CHECK(part.size() >= 1000);
    CHECK(aligned(part.data(), 16));
    CHECK(part.data() >= buffer.data() + start);
    CHECK(part.data() + part.size() <= buffer.data() + start + 1015);
  }
}

TEST_CASE("workspace: bytes lost to alignment count against a lent buffer") {
  alignas(16) std::array<std::byte, 2048> buffer{};
  for (std::size_t start = 1; start < 16; ++start) {
    workspace ws{host_exec{}, std::span<std::byte>(buffer).subspan(start, 1000 + 15 - start)};
    CHECK_THROWS_AS(static_cast<void>(ws.reserve(1000)), invalid_argument);
  }
}

TEST_CASE("workspace: a lent buffer that is too small is an error with both sizes, and is never replaced") {
  std::array<std::byte, 64> buffer{};
  workspace ws{host_exec{}, std::span<std::byte>(buffer)};
  std::string text;
  try {
    static_cast<void>(ws.reserve(4752));
  } catch (invalid_argument const& e) {
    text = e.what();
  }
  CAPTURE(text);
  CHECK(text.find("workspace") != std::string::npos);
  CHECK(text.find("64") != std::string::npos);
  CHECK(text.find("47") != std::string::npos);
  CHECK(ws.size() == 64);
  CHECK_NOTHROW(static_cast<void>(ws.reserve(32)));
}

TEST_CASE("workspace: moving hands the memory over once") {
  CHECK_FALSE(std::is_copy_constructible_v<workspace<host_exec>>);
  int made = 0, freed = 0;
  {
    workspace a{counting_exec{&made, &freed}};
    auto const held = a.reserve(100);
    workspace b{std::move(a)};
    CHECK(b.size() >= 100);
    CHECK(b.reserve(100).data() == held.data());
    workspace c{counting_exec{&made, &freed}};
    static_cast<void>(c.reserve(50));
    c = std::move(b);
    CHECK(c.reserve(100).data() == held.data());
  }
  CHECK(made == 2);
  CHECK(freed == 2);
}

TEST_CASE("workspace: a lent buffer is not freed") {
  int made = 0, freed = 0;
  std::array<std::byte, 256> buffer{};
  {
    workspace a{counting_exec{&made, &freed}, std::span<std::byte>(buffer)};
    static_cast<void>(a.reserve(100));
    workspace b{std::move(a)};
    static_cast<void>(b.reserve(100));
  }
  CHECK(made == 0);
  CHECK(freed == 0);
}

TEST_CASE("scratch: parts are disjoint, aligned, and as many as were counted") {
  using detail::scratch;
  std::size_t const bytes = scratch::bytes_for<float>(10) + scratch::bytes_for<std::uint8_t>(3) +
                            scratch::bytes_for<double>(0) + scratch::bytes_for<std::uint64_t>(5);
  alignas(64) std::array<std::byte, 512> memory{};
  REQUIRE(bytes <= memory.size());
  scratch s{std::span<std::byte>(memory).first(bytes)};
  auto* a = s.take<float>(10);
  auto* b = s.take<std::uint8_t>(3);
  auto* c = s.take<double>(0);
  auto* d = s.take<std::uint64_t>(5);
  CHECK(aligned(a, 64));
  CHECK(aligned(b, 64));
  CHECK(aligned(c, alignof(double)));
  CHECK(aligned(d, 64));
  CHECK(reinterpret_cast<std::byte*>(b) >= reinterpret_cast<std::byte*>(a + 10));
  CHECK(reinterpret_cast<std::byte*>(d) >= reinterpret_cast<std::byte*>(b + 3));
  CHECK(reinterpret_cast<std::byte*>(d + 5) <= memory.data() + bytes);
  CHECK(s.remaining().empty());
  CHECK_THROWS_AS(s.take<char>(1), error);
}
