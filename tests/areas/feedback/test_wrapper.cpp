#include <support/float_bits.hpp>
#include <support/stepped.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/error_feedback.hpp>

#include <doctest/doctest.h>

using ccomp::element_type;
using ccomp::error_feedback;
using ccomp::feedback_options;
using ccomp::host_exec;
using ccomp::self_communicator;
using support::erase;
using support::erased;
using support::faulty_communicator;
using support::how;
using support::step;
using support::step_on;
using support::wrapped_compressors;
using workspace = ccomp::workspace<host_exec>;

namespace {

constexpr std::size_t n = support::stepped_size;

/// load refuses with a message that has `what` in it, and nothing has changed.
void refuses(error_feedback<erased>& ef, std::span<std::byte const> bytes, char const* what) {
  auto const before = ef.save();
  bool refused = false;
  try {
    ef.load(bytes);
  } catch (ccomp::payload_error const& e) {
    refused = true;
    CAPTURE(std::string(e.what()));
    CHECK(std::string(e.what()).find(what) != std::string::npos);
  }
  CHECK(refused);
  CHECK(ef.valid());
  CHECK(ef.save() == before);
}

}  // namespace

TEST_CASE("save and load go on bit for bit") {
  for (auto const& c : wrapped_compressors())
    for (auto const type : {element_type::float32, element_type::bfloat16})
      for (how const h : {how::gather, how::two_shot}) {
        CAPTURE(c.text());
        error_feedback a{c, n, host_exec{}, {.id = 4, .residual = type, .decay = 0.9f}};
        for (int t = 0; t < 5; ++t) step(a, t, h);
        auto const saved = a.save();
        error_feedback b{c, n, host_exec{}, {.id = 4, .residual = type, .decay = 0.9f}};
        step(b, 77);  // whatever it held is replaced
        b.load(saved);
        CHECK(b.save() == saved);
        for (int t = 5; t < 10; ++t) REQUIRE(support::same_bits(step(a, t, h), step(b, t, h)));
        CHECK(a.save() == b.save());
        CHECK(saved.size() == 80 + n * (type == element_type::float32 ? 4 : 2));
      }
}
TEST_CASE("load refuses bytes that are not its own, names what is wrong, and changes nothing") {
  auto const c = erase(ccomp::uniform_quantize<3>{});
  error_feedback ef{c, 300, host_exec{}, {.id = 4}};
  step(ef, 0);
  auto const good = ef.save();
  step(ef, 1);
  SUBCASE("cut short anywhere, or extended") {
    for (std::size_t size = 0; size < good.size(); ++size)
      refuses(ef, std::span(good).first(size), size < 80 ? "header" : "cut short");
    auto longer = good;
    longer.push_back(std::byte{0});
    refuses(ef, longer, "too long");
    refuses(ef, {}, "header");
  }
  SUBCASE("any bit flipped") {
    char const* const fields[] = {"not the bytes", "version", "compressor", "size", "id", "type", "state", "checksum"};
    for (std::size_t bit = 0; bit < good.size() * 8; bit += bit < 64 * 8 ? 1 : 37) {
      auto bad = good;
      bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      refuses(ef, bad, bit / 64 < 8 ? fields[bit / 64] : "checksum");
    }
  }
  SUBCASE("two values swapped") {
    auto bad = good;
    std::swap_ranges(bad.begin() + 80, bad.begin() + 84, bad.begin() + 84);
    if (bad != good) refuses(ef, bad, "checksum");
  }
  SUBCASE("of another wrapper") {
    refuses(ef, error_feedback{erase(ccomp::uniform_quantize<4>{}), 300, host_exec{}, {.id = 4}}.save(), "compressor");
    refuses(ef, error_feedback{erase(ccomp::uniform_quantize<3>{.seed = 1}), 300, host_exec{}, {.id = 4}}.save(),
            "compressor");
    refuses(ef, error_feedback{c, 301, host_exec{}, {.id = 4}}.save(), "size");
    refuses(ef, error_feedback{c, 300, host_exec{}, {.id = 5}}.save(), "id");
    refuses(ef, error_feedback{c, 300, host_exec{}, {.id = 4, .residual = element_type::bfloat16}}.save(), "type");
  }
  ef.load(good);
  CHECK(ef.save() == good);
}
TEST_CASE("save of an empty tensor") {
  error_feedback ef{erase(ccomp::uniform_quantize<3>{}), 0};
  auto const saved = ef.save();
  ef.load(saved);
  step(ef, 1);
  CHECK(ef.save() == saved);
}
TEST_CASE("reset forgets everything") {
  for (auto const type : {element_type::float32, element_type::bfloat16})
    for (auto const& c : wrapped_compressors()) {
      error_feedback a{c, n, host_exec{}, {.residual = type}}, fresh = a;
      step(a, 0);
      CHECK(a.save() != fresh.save());
      a.reset();
      CHECK(a.save() == fresh.save());
      CHECK(support::same_bits(step(a, 3), step(fresh, 3)));
    }
}
TEST_CASE("scale multiplies the residual: the same as scaled gradients all along") {
  // Powers of two commute with every rounding here.
  for (auto const type : {element_type::float32, element_type::bfloat16}) {
    auto const c = erase(ccomp::uniform_quantize<3>{});
    error_feedback ef{c, n, host_exec{}, {.residual = type}};
    step(ef, 0);
    auto const before = ef.residual_copy();
    ef.scale(0.25f);
    auto const after = ef.residual_copy();
    for (std::size_t i = 0; i < n; ++i) REQUIRE(after[i] == 0.25f * before[i]);
    CHECK_THROWS_AS(ef.scale(support::inf), ccomp::invalid_argument);
    CHECK_THROWS_AS(ef.scale(support::quiet_nan), ccomp::invalid_argument);
    CHECK(support::same_bits(ef.residual_copy(), after));
  }
}
TEST_CASE("scale is refused where a residual would become infinite, and leaves all of them as they were") {
  for (auto const type : {element_type::float32, element_type::bfloat16}) {
    error_feedback ef{erase(ccomp::top_k{.ratio = 0.1}), 100, host_exec{}, {.residual = type}};
    std::vector<float> x(100);
    for (std::size_t i = 0; i < 100; ++i) x[i] = 1e20f * float(i + 1);
    self_communicator comm;
    workspace ws;
    ccomp::allreduce({1}, comm, ef, x, ws);
    auto const before = ef.save();
    for (float const factor : {1e25f, -1e25f, std::numeric_limits<float>::max()})
      CHECK_THROWS_WITH_AS(ef.scale(factor), doctest::Contains("would become infinite"), ccomp::invalid_argument);
    CHECK(ef.save() == before);
    ef.scale(1e15f);
    for (float const r : ef.residual_copy()) CHECK(std::isfinite(r));
  }
  // Rounded to bfloat16 a float just below 2^128 is infinite.
  error_feedback narrow{erase(ccomp::top_k{.ratio = 0.5}), 2, host_exec{}, {.residual = element_type::bfloat16}};
  std::vector<float> x{2.0f, 1.0f};
  self_communicator comm;
  workspace ws;
  ccomp::allreduce({1}, comm, narrow, x, ws);
  CHECK_THROWS_AS(narrow.scale(0x1.fffffep127f), ccomp::invalid_argument);
  CHECK(narrow.residual_copy() == std::vector<float>{0.0f, 1.0f});
}
TEST_CASE("another size is refused before anything happens") {
  error_feedback ef{erase(ccomp::uniform_quantize<3>{}), 100, host_exec{}, {.id = 12}};
  self_communicator comm;
  workspace ws;
  std::vector<float> x(99, 1.0f);
  CHECK_THROWS_WITH_AS(ccomp::allreduce({1}, comm, ef, x, ws), doctest::Contains("tensor 12 had 100 values"),
                       ccomp::invalid_argument);
  CHECK(x == std::vector<float>(99, 1.0f));
  CHECK(ef.valid());
  x.resize(100);
  ccomp::allreduce({1}, comm, ef, x, ws);
}
TEST_CASE("a call that fails leaves the wrapper invalid until reset, load or discard") {
  for (auto const& c : wrapped_compressors())
    for (how const h : {how::gather, how::two_shot}) {
      error_feedback ef{c, n, host_exec{}, {.id = 8, .transactional = true}};
      step(ef, 0, h);
      auto const before = ef.save();
      auto fail = [&] {
        faulty_communicator comm;
        (h == how::gather ? comm.fail_gather : comm.fail_swap) = true;
        CHECK_THROWS_WITH_AS(step_on(comm, ef, 1, h), "the cable is out", ccomp::communicator_error);
        CHECK_FALSE(ef.valid());
        CHECK_THROWS_WITH_AS(step(ef, 2, h), doctest::Contains("tensor 8 is invalid"), ccomp::invalid_argument);
        CHECK_THROWS_AS(static_cast<void>(ef.save()), ccomp::invalid_argument);
        CHECK_FALSE(ef.valid());
      };
      SUBCASE("discard") {
        fail();
        ef.discard();
        CHECK(ef.save() == before);
      }
      SUBCASE("load") {
        fail();
        ef.load(before);
        CHECK(ef.save() == before);
      }
      SUBCASE("a load that is refused") {
        fail();
        auto bad = before;
        bad.back() ^= std::byte{1};
        CHECK_THROWS_AS(ef.load(bad), ccomp::payload_error);
        CHECK_FALSE(ef.valid());
        ef.load(before);
      }
      SUBCASE("reset") {
        fail();
        ef.reset();
        for (float const r : ef.residual()) REQUIRE(r == 0);
      }
      CHECK(ef.valid());
      step(ef, 2, h);
    }
}
TEST_CASE("bytes of another call are rank_mismatch, not numbers") {
  faulty_communicator comm;
  comm.alien = true;
  error_feedback ef{erase(ccomp::uniform_quantize<3>{}), n};
  CHECK_THROWS_AS(step_on(comm, ef, 0, how::gather), ccomp::rank_mismatch);
  CHECK_FALSE(ef.valid());
  ef.reset();
  CHECK_THROWS_AS(step_on(comm, ef, 0, how::two_shot), ccomp::rank_mismatch);
  CHECK_FALSE(ef.valid());
}
TEST_CASE("a rank that is refused before the exchange leaves every wrapper of the group as it was") {
  support::watchdog const guard("failed group call");
  ccomp::thread_group group(3);
  std::vector<error_feedback<erased>> ef;
  for (int r = 0; r < 3; ++r) ef.emplace_back(erase(ccomp::uniform_quantize<3>{}), n);
  std::vector<std::byte> lent(100);
  CHECK_THROWS_AS(group.run([&](ccomp::thread_communicator& comm) {
    workspace own, small({1}, lent);
    std::vector<float> x(n, 1.0f);
    auto const r = static_cast<std::size_t>(comm.rank());
    ccomp::allreduce({1}, comm, ef[r], x, r == 1 ? small : own, {}, ccomp::two_shot{});
  }),
                  ccomp::invalid_argument);
  for (auto& e : ef) {
    CHECK(e.valid());
    CHECK(e.residual_copy() == std::vector<float>(n));
  }
  group.run([&](ccomp::thread_communicator& comm) {
    workspace ws;
    std::vector<float> x(n, 1.0f);
    ccomp::allreduce({1}, comm, ef[static_cast<std::size_t>(comm.rank())], x, ws);
  });
  for (auto& e : ef) CHECK(e.valid());
}
TEST_CASE("options and compressors that cannot work are refused") {
  auto const c = erase(ccomp::uniform_quantize<3>{});
  auto make = [](erased const& e, feedback_options o) { error_feedback{e, 10, host_exec{}, o}; };
  for (float const decay : {0.0f, -0.5f, 1.5f, support::quiet_nan})
    CHECK_THROWS_WITH_AS(make(c, {.decay = decay}), doctest::Contains("decay"), ccomp::invalid_argument);
  CHECK_THROWS_AS(make(c, {.residual = element_type::float16}), ccomp::invalid_argument);
  CHECK_THROWS_AS(make(erase(ccomp::uniform_quantize<3>{.block = 100}), {}), ccomp::invalid_argument);
  for (auto const& wild : {erase(ccomp::random_k{.ratio = 0.1, .unbiased = true}),
                           erase(ccomp::uniform_quantize<1>{.round = ccomp::rounding::stochastic}),
                           erase(ccomp::uniform_quantize<2>{.range = ccomp::code_range::min_max}),
                           erase(ccomp::uniform_quantize<2>{.round = ccomp::rounding::stochastic}),
                           erase(ccomp::sign_quantize{.scale = ccomp::sign_scale::l2}),
                           erase(ccomp::top_k{} | ccomp::sign_quantize{.scale = ccomp::sign_scale::l2})})
    CHECK_THROWS_WITH_AS(make(wild, {}), doctest::Contains("not a contraction"), ccomp::invalid_argument);
  make(erase(ccomp::random_k{.ratio = 0.1}), {});
  error_feedback narrow{c, 10, host_exec{}, {.residual = element_type::bfloat16}};
  CHECK_THROWS_AS(static_cast<void>(narrow.residual()), ccomp::invalid_argument);
  CHECK(narrow.residual_copy().size() == 10);
}
TEST_CASE("feedback in allgather, broadcast and reduce_scatter") {
  support::watchdog const guard("feedback elsewhere");
  constexpr int ranks = 3, steps = 256;
  constexpr std::size_t shard = 700;
  auto const c = erase(ccomp::top_k{.ratio = 0.1} | ccomp::uniform_quantize<4>{});
  ccomp::thread_group group(ranks);
  auto const g = support::gradients(ranks, ranks * shard);
  double errors[3][ranks] = {};
  bool untouched[ranks] = {};
  group.run([&](ccomp::thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    workspace ws;
    std::vector<float> const mine(g[r].begin(), g[r].begin() + shard);
    error_feedback a{c, shard}, b{c, shard}, s{c, ranks * shard};
    std::vector<double> gathered(ranks * shard), sent(shard), chunk(shard);
    for (int t = 0; t < steps; ++t) {
      std::vector<float> full(ranks * shard), x = mine, part(shard);
      ccomp::allgather({1}, comm, a, mine, full, ws, {.at = ccomp::step(t)});
      ccomp::broadcast({1}, comm, b, x, 1, ws, {.at = ccomp::step(t)});
      ccomp::reduce_scatter({1}, comm, s, g[r], part, ws, {.op = ccomp::reduction::sum, .at = ccomp::step(t)});
      for (std::size_t i = 0; i < full.size(); ++i) gathered[i] += double(full[i]) / steps;
      for (std::size_t i = 0; i < shard; ++i) sent[i] += double(x[i]) / steps, chunk[i] += double(part[i]) / steps;
    }
    std::vector<double> size_a, size_b, size_s;
    for (std::size_t i = 0; i < gathered.size(); ++i) {
      size_a.push_back(double(g[i / shard][i % shard]));
      gathered[i] -= size_a.back();
    }
    for (std::size_t i = 0; i < shard; ++i) {
      size_b.push_back(double(g[1][i]));
      sent[i] -= size_b.back();
      double sum = 0;
      for (auto const& row : g) sum += double(row[r * shard + i]);
      size_s.push_back(sum);
      chunk[i] -= sum;
    }
    errors[0][r] = support::norm(gathered) / support::norm(size_a);
    errors[1][r] = support::norm(sent) / support::norm(size_b);
    errors[2][r] = support::norm(chunk) / support::norm(size_s);
    untouched[r] = std::ranges::all_of(b.residual(), [](float v) { return v == 0; });
  });
  for (auto const& kind : errors)
    for (double const e : kind) CHECK(e < 0.1);  // one step leaves more than half
  CHECK(untouched[0]);
  CHECK_FALSE(untouched[1]);
  CHECK(untouched[2]);
}
