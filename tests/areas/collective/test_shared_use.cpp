#include <support/ranks.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

#include <array>
#include <thread>

using ccomp::host_exec;
using ccomp::self_communicator;
using support::erase;
using host_workspace = ccomp::workspace<host_exec>;

namespace {

/// A group of one that stops inside its exchange until it is told to go on.
struct held_communicator : self_communicator {
  std::atomic<bool> inside{false}, go_on{false};
  void all_gather(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inside = true;
    while (!go_on) std::this_thread::yield();
    self_communicator::all_gather(ex, send, receive);
  }
};

/// While one call is inside its exchange, `other` must be refused with `what` in its message; then the first goes on.
template <class First, class Other>
void check_refused(held_communicator& held, First const& first, Other const& other, char const* what) {
  std::jthread const working(first);
  while (!held.inside) std::this_thread::yield();
  CHECK_THROWS_WITH_AS(other(), doctest::Contains(what), ccomp::invalid_argument);
  held.go_on = true;
}

}  // namespace

TEST_CASE("a second thread is refused a workspace or wrapper that a call uses, and that call goes on undisturbed") {
  ccomp::uniform_quantize<8> const c{};
  std::vector<float> const g = support::gaussian_values(1000, 3);
  auto x = g, y = g, want = g;
  ccomp::error_feedback ef{c, 1000}, alone{c, 1000};
  ccomp::error_feedback_set set{c};
  host_workspace ws, other;
  self_communicator quiet;
  ccomp::allreduce({1}, quiet, alone, want, ws, {.at = 0}, ccomp::gather{});
  std::vector<std::byte> payload(2000);

  SUBCASE("wrapper") {
    held_communicator held;
    check_refused(
        held, [&] { ccomp::allreduce({1}, held, ef, x, ws, {.at = 0}, ccomp::gather{}); },
        [&] {
          auto const refused = [](auto const& f) {
            CHECK_THROWS_WITH_AS(f(), doctest::Contains("using this error_feedback at the same time"),
                                 ccomp::invalid_argument);
          };
          refused([&] { ef.reset(); });
          refused([&] { ef.scale(0.5f); });
          refused([&] { ef.discard(); });
          refused([&] { ef.load({}); });
          refused([&] { static_cast<void>(ef.save()); });
          ccomp::allreduce({1}, quiet, ef, y, other, {.at = 1});
        },
        "using this error_feedback at the same time");
  }
  SUBCASE("set") {
    held_communicator held;
    check_refused(
        held, [&] { ccomp::allreduce({1}, held, set, x, ws, {.at = 0}, ccomp::gather{}); },
        [&] {
          auto const refused = [](auto const& f) {
            CHECK_THROWS_WITH_AS(f(), doctest::Contains("using this error_feedback_set"), ccomp::invalid_argument);
          };
          refused([&] { set.reset(); });
          refused([&] { set.scale(0.5f); });
          refused([&] { set.discard(); });
          refused([&] { set.at(7, 10); });
          ccomp::allreduce({1}, quiet, set, y, other, {.at = 1});
        },
        "using this error_feedback_set");
  }
  SUBCASE("workspace, in every call") {
    for (int call = 0; call < 8; ++call) {
      held_communicator held;
      x = g;
      ef.reset();
      check_refused(
          held, [&] { ccomp::allreduce({1}, held, ef, x, ws, {.at = 0}, ccomp::gather{}); },
          [&] {
            if (call == 0) ccomp::allreduce({1}, quiet, c, y, ws);
            if (call == 1) ccomp::broadcast({1}, quiet, c, y, 0, ws);
            if (call == 2) ccomp::allgather({1}, quiet, c, y, y, ws);
            if (call == 3) ccomp::reduce_scatter({1}, quiet, c, y, y, ws);
            if (call == 4) ccomp::encode({1}, c, y, payload, ws);
            if (call == 5) ccomp::decode({1}, c, payload, y, ws);
            if (call == 6) ccomp::compress({1}, c, y, payload, ws);
            if (call == 7) ccomp::decompress({1}, c, payload, y, ws);
          },
          "using this workspace at the same time");
    }
  }
  CHECK(support::same_bits(x, want));
  CHECK(support::same_bits(y, g));
  CHECK(ef.valid());
}
TEST_CASE("two threads of one rank: one sentence for whoever comes second, no crash and no wrong value") {
  support::watchdog const guard("shared communicator");
  std::atomic<int> wrong{0};
  ccomp::thread_group group(2, std::chrono::seconds(20));
  try {
    group.run([&](ccomp::thread_communicator& comm) {
      auto layer = [&](std::uint64_t id) {
        try {
          host_workspace ws;
          for (int s = 0; s < 50; ++s) {
            std::vector<float> x(1000 + id, float(id + 1));
            ccomp::allreduce({1}, comm, ccomp::cast<ccomp::bfloat16>{}, x, ws, {.at = s, .tensor = id});
            wrong += x[5] != float(id + 1);
          }
        } catch (ccomp::invalid_argument const& e) {
          wrong += std::string(e.what()).find("at the same time") == std::string::npos;
        } catch (ccomp::error const&) {  // of a rank whose partner has gone on alone
        }
      };
      std::jthread const a(layer, 0), b(layer, 1);
    });
  } catch (ccomp::error const&) {
  }
  CHECK(wrong == 0);
  std::vector<float> x(10, 1.0f);
  group.run([&](ccomp::thread_communicator& comm) {  // the group is as good as new
    auto mine = x;
    host_workspace ws;
    ccomp::allreduce({1}, comm, ccomp::cast<ccomp::bfloat16>{}, mine, ws);
    if (comm.rank() == 0) x = mine;
  });
  CHECK(x == std::vector<float>(10, 1.0f));
}
TEST_CASE("a rank that times out waits for those that still read what it shows") {
  support::watchdog const guard("slow reader");
  // Rank 1 reads slowly; the others' patience is over long before. None may return, and free, while it reads.
  struct slow_reader {
    ccomp::thread_communicator& comm;
    std::atomic<int>& gone;
    std::atomic<bool>& too_early;
    [[nodiscard]] int rank() const { return comm.rank(); }
    [[nodiscard]] int size() const { return comm.size(); }
    void all_gather(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
      comm.all_gather(ex, send, receive);
    }
    static std::string describe(void const* self) {
      auto const& me = *static_cast<slow_reader const*>(self);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      if (me.gone != 0) me.too_early = true;
      return "a call";
    }
  };
  std::atomic<int> gone{0};
  std::atomic<bool> too_early{false};
  ccomp::thread_group group(3, std::chrono::milliseconds(30));
  CHECK_THROWS_AS(group.run([&](ccomp::thread_communicator& comm) {
    slow_reader const me{comm, gone, too_early};
    try {
      // Rank 1 alone sees a difference, and describes the others' calls at leisure.
      if (comm.rank() == 1)
        comm.agree(7, &me, &slow_reader::describe);
      else
        comm.agree(6, &me, [](void const*) -> std::string { return "another call"; });
    } catch (...) {
      ++gone;
      throw;
    }
  }),
                  ccomp::error);
  CHECK_FALSE(too_early);
}
TEST_CASE("every patience waits as long as it says, the longest ones too") {
  for (auto const patience :
       {std::chrono::milliseconds::max(), std::chrono::milliseconds(std::chrono::hours(24 * 365 * 300))}) {
    ccomp::thread_group group(2, patience);
    group.run([&](ccomp::thread_communicator& comm) {
      if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      host_workspace ws;
      std::vector<float> x(10);
      ccomp::allreduce({1}, comm, ccomp::cast<ccomp::bfloat16>{}, x, ws);
    });
  }
}
TEST_CASE("arrays, spans of fixed extent and const inputs are tensors in every call") {
  self_communicator comm;
  host_workspace ws;
  ccomp::uniform_quantize<8> const c{};
  auto check = [&](auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    X const& read = x;
    std::array<float, 10> out{};
    alignas(16) std::array<std::byte, 400> bytes{};
    for (float& v : x) v = 3.0f;
    ccomp::allreduce({1}, comm, c, x, ws);
    ccomp::broadcast({1}, comm, c, x, 0, ws);
    ccomp::reduce_scatter({1}, comm, c, read, out, ws);
    ccomp::allgather({1}, comm, c, read, out, ws);
    auto const used = ccomp::compress({1}, c, read, bytes, ws);
    ccomp::decompress({1}, c, std::span(bytes).first(used), x, ws);
    ccomp::encode({1}, c, read, bytes, ws);
    ccomp::decode({1}, c, bytes, x, ws);
    ccomp::decode_accumulate({1}, c, bytes, x, ws);
    std::array<float, 10> rest{};
    ccomp::encode_feedback({1}, c, read, rest, bytes, ws);
    std::vector<ccomp::tensor_view> const views{ccomp::tensor_view(x, 1)};
    ccomp::allreduce({1}, comm, c, views, ws);
    ccomp::error_feedback ef{c, 10};
    ccomp::allreduce({1}, comm, ef, x, ws);
    for (float const v : x) CHECK(v == doctest::Approx(6).epsilon(0.01));
  };
  std::array<float, 10> a{};
  float plain[10] = {};
  std::vector<float> v(10);
  std::span<float, 10> fixed(a);
  check(a);
  check(plain);
  check(v);
  check(fixed);
}
TEST_CASE("sizes that no memory holds are refused, not wrapped") {
  using namespace ccomp;
  for (std::size_t const n :
       {(std::size_t{1} << 56) + 1, std::size_t{1} << 60, std::size_t{1} << 62, ~std::size_t{0}}) {
    CHECK_THROWS_WITH_AS(static_cast<void>(payload_bytes<float>(cast<bfloat16>{}, n)), doctest::Contains("2^56"),
                         invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(max_compressed_bytes<float>(uniform_quantize<1>{}, n)), invalid_argument);
    CHECK_THROWS_AS((error_feedback{uniform_quantize<8>{}, n}), invalid_argument);
  }
  CHECK(payload_bytes<float>(uniform_quantize<8>{.block = 16}, std::size_t{1} << 56) > std::size_t{1} << 56);
}
