#include <support/ranks.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

using ccomp::bfloat16;
using ccomp::float16;
using ccomp::thread_communicator;
using ccomp::thread_group;
using support::erase;
using support::erased;
using support::how;
using workspace = ccomp::workspace<ccomp::host_exec>;

namespace {

/// A small model: tensors of all types, some empty, with ids that are in no order.
struct model {
  std::vector<float> a, b, empty;
  std::vector<float16> c;
  std::vector<bfloat16> d, e;

  explicit model(std::size_t seed)
      : a(support::gradients(1, 5000, seed)[0]),
        b(support::gradients(1, 1, seed + 1)[0]),
        c(support::gradients<float16>(1, 777, seed + 2)[0]),
        d(support::gradients<bfloat16>(1, 513, seed + 3)[0]),
        e(support::gradients<bfloat16>(1, 2048, seed + 4)[0]) {}
  std::vector<ccomp::tensor_view> views() {
    return {{std::span(d), 40u}, {std::span(a), 7u}, {std::span(empty), 3u},
            {std::span(b), 1u},  {std::span(c), 2u}, {std::span(e), 1000000007u}};
  }
  template <class F> void each(F const& f) { f(d, 40u), f(a, 7u), f(empty, 3u), f(b, 1u), f(c, 2u), f(e, 1000000007u); }
  bool operator==(model const& o) const {
    return support::same_bits(a, o.a) && support::same_bits(b, o.b) && support::same_bits(c, o.c) &&
           support::same_bits(d, o.d) && support::same_bits(e, o.e);
  }
};

std::vector<erased> some_compressors() {
  using namespace ccomp;
  return {erase(uniform_quantize<8>{}), erase(uniform_quantize<2>{.round = rounding::stochastic, .seed = 4}),
          erase(top_k{.ratio = 0.1} | uniform_quantize<4>{.round = rounding::stochastic}), erase(cast<bfloat16>{}),
          erase(cast<float16>{})};
}

}  // namespace

TEST_CASE("several tensors in one call give the bits of one call each") {
  support::watchdog const guard("many tensors");
  for (int const ranks : {1, 2, 3, 7}) {
    thread_group group(ranks);
    for (auto const& c : some_compressors())
      for (how const h : {how::gather, how::two_shot, how::in_flight}) {
        if (h == how::in_flight && !ccomp::detail::is_linear(c.stages())) continue;
        CAPTURE(c.text());
        CAPTURE(support::name_of(h));
        CAPTURE(ranks);
        std::vector<model> together, apart;
        for (int r = 0; r < ranks; ++r) together.emplace_back(10 * r + 1);
        apart = together;
        std::vector<std::size_t> bytes(together.size()), bytes_apart(together.size());
        group.run([&](thread_communicator& comm) {
          auto const r = static_cast<std::size_t>(comm.rank());
          workspace ws;
          auto const views = together[r].views();
          bytes[r] = support::allreduce_by(h, {1}, comm, c, views, ws, {.at = 6}).bytes_sent;
          apart[r].each([&](auto& x, std::uint64_t id) {
            bytes_apart[r] += support::allreduce_by(h, {1}, comm, c, x, ws, {.at = 6, .tensor = id}).bytes_sent;
          });
        });
        for (auto const& m : together) CHECK(m == together[0]);
        CHECK(together[0] == apart[0]);
        CHECK_FALSE(together[0] == model(1));
        // One header for all instead of one for each of the six.
        auto const w = static_cast<std::size_t>(ranks);
        if (h == how::gather) CHECK(bytes_apart[0] - bytes[0] == (w - 1) * 5 * 32);
        if (h == how::two_shot) CHECK(bytes_apart[0] - bytes[0] == 2 * (w - 1) * 5 * 32);
      }
  }
}
TEST_CASE("a set of wrappers over several calls gives the bits of single wrappers, whatever the order of tensors") {
  support::watchdog const guard("set");
  for (how const h : {how::gather, how::two_shot}) {
    auto const c = erase(ccomp::top_k{.ratio = 0.1} | ccomp::uniform_quantize<3>{.round = ccomp::rounding::stochastic});
    constexpr int ranks = 3;
    thread_group group(ranks);
    std::vector<model> last(ranks, model(0)), last_single(ranks, model(0));
    bool residuals_equal[ranks] = {};
    group.run([&](thread_communicator& comm) {
      auto const r = static_cast<std::size_t>(comm.rank());
      workspace ws;
      ccomp::error_feedback_set set(c, {.decay = 0.9f});
      std::map<std::uint64_t, ccomp::error_feedback<erased>> single;
      for (int t = 0; t < 6; ++t) {
        last[r] = last_single[r] = model(100 * r + static_cast<std::size_t>(t));
        auto views = last[r].views();
        if (t % 2 == 1) std::ranges::reverse(views);
        if (t == 3) views.pop_back();  // a tensor without a gradient in this step
        support::allreduce_by(h, {1}, comm, set, views, ws, {.at = ccomp::step(t)});
        last_single[r].each([&](auto& x, std::uint64_t id) {
          if (t == 3 && id == 40) return;
          auto& ef =
              single.try_emplace(id, c, x.size(), ccomp::host_exec{}, ccomp::feedback_options{.id = id, .decay = 0.9f})
                  .first->second;
          support::allreduce_by(h, {1}, comm, ef, x, ws, {.at = ccomp::step(t)});
        });
      }
      bool equal = set.size() == single.size();
      for (auto const& [id, ef] : set) equal = equal && single.at(id).save() == ef.save();
      residuals_equal[r] = equal;
    });
    for (std::size_t r = 0; r < ranks; ++r) {
      CHECK(last[r] == last_single[r]);
      CHECK(last[r] == last[0]);
      CHECK(residuals_equal[r]);
    }
  }
}
TEST_CASE("two tensors of one id are refused, and nothing changes") {
  thread_group group(2);
  ccomp::uniform_quantize<8> const c{};
  std::vector<int> refused(2);
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    workspace ws;
    std::vector<float> x(100, 1.5f), y(100, 2.5f), z(10, 1.0f);
    std::vector<ccomp::tensor_view> const views{{std::span(x), 5u}, {std::span(z), 6u}, {std::span(y), 5u}};
    ccomp::error_feedback_set set(c);
    for (bool const feedback : {false, true}) try {
        if (feedback)
          ccomp::allreduce({1}, comm, set, views, ws);
        else
          ccomp::allreduce({1}, comm, c, views, ws);
      } catch (ccomp::invalid_argument const& e) {
        refused[r] += std::string(e.what()).find("id 5") != std::string::npos && x[0] == 1.5f && y[0] == 2.5f;
      }
    std::vector<ccomp::tensor_view> const fine{{std::span(x), 5u}, {std::span(z), 6u}};
    ccomp::allreduce({1}, comm, set, fine, ws);  // the group and the set still serve
  });
  CHECK(refused == std::vector<int>{2, 2});
}
TEST_CASE("a set refuses a tensor that changed its size, names it, and leaves the others valid") {
  thread_group group(1);
  group.run([&](thread_communicator& comm) {
    workspace ws;
    ccomp::error_feedback_set set(ccomp::uniform_quantize<4>{});
    std::vector<float> x(100, 1.5f), y(50, 2.5f);
    std::vector<ccomp::tensor_view> const views{{std::span(x), 5u}, {std::span(y), 6u}};
    ccomp::allreduce({1}, comm, set, views, ws);
    auto const before = set.at(5, 100).save();
    std::vector<ccomp::tensor_view> const resized{{std::span(x), 5u}, {std::span(y).first(49), 6u}};
    CHECK_THROWS_WITH_AS(set.at(6, 49), doctest::Contains("tensor 6 had 50 values and now has 49"),
                         ccomp::invalid_argument);
    CHECK_THROWS_WITH_AS(ccomp::allreduce({1}, comm, set, resized, ws), doctest::Contains("tensor 6 had 50 values"),
                         ccomp::invalid_argument);
    CHECK(set.at(5, 100).save() == before);
    CHECK(set.at(6, 50).valid());
    ccomp::allreduce({1}, comm, set, views, ws);
  });
}
TEST_CASE("no tensors at all, and one wrapper for several") {
  thread_group group(2);
  std::vector<int> refused(2);
  group.run([&](thread_communicator& comm) {
    workspace ws;
    std::vector<ccomp::tensor_view> const none;
    ccomp::uniform_quantize<8> const c{};
    auto const same = erase(c);
    for (how const h : {how::automatic, how::gather, how::two_shot}) {
      auto const report = support::allreduce_by(h, {1}, comm, same, none, ws, {});
      if (report.payload_bytes != 0) throw std::logic_error("payload of nothing");
    }
    std::vector<float> x(10), y(10);
    std::vector<ccomp::tensor_view> const two{{std::span(x), 1u}, {std::span(y), 2u}};
    ccomp::error_feedback ef{c, 10};
    try {
      ccomp::allreduce({1}, comm, ef, two, ws);
    } catch (ccomp::invalid_argument const& e) {
      refused[static_cast<std::size_t>(comm.rank())] =
          std::string(e.what()).find("error_feedback_set") != std::string::npos;
    }
  });
  CHECK(refused == std::vector<int>{1, 1});
}
