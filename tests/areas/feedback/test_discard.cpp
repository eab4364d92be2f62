#include <support/stepped.hpp>

#include <doctest/doctest.h>

using ccomp::element_type;
using ccomp::error_feedback;
using ccomp::error_feedback_set;
using ccomp::host_exec;
using ccomp::self_communicator;
using support::erase;
using support::faulty_communicator;
using support::how;
using support::step;
using support::wrapped_compressors;
using host_workspace = ccomp::workspace<host_exec>;

TEST_CASE("discard undoes the last call, bit for bit, once") {
  for (auto const& c : wrapped_compressors())
    for (auto const type : {element_type::float32, element_type::bfloat16})
      for (how const h : {how::gather, how::two_shot}) {
        error_feedback ef{c, support::stepped_size, host_exec{}, {.residual = type, .transactional = true}};
        CHECK_THROWS_AS(ef.discard(), ccomp::invalid_argument);
        step(ef, 0, h);
        step(ef, 1, h);
        auto const before = ef.save();
        auto const first = step(ef, 2, h);
        auto const after = ef.save();
        CHECK(before != after);
        ef.discard();
        CHECK(ef.save() == before);
        CHECK_THROWS_AS(ef.discard(), ccomp::invalid_argument);
        CHECK(support::same_bits(step(ef, 2, h), first));
        CHECK(ef.save() == after);
        CHECK(ef.memory_bytes() == 2 * support::stepped_size * (type == element_type::float32 ? 4 : 2));
      }
  error_feedback plain{erase(ccomp::uniform_quantize<3>{}), support::stepped_size};
  step(plain, 0);
  CHECK_THROWS_WITH_AS(plain.discard(), doctest::Contains("transactional"), ccomp::invalid_argument);
}
TEST_CASE("discard after a call that was refused undoes nothing: not the good call before it") {
  error_feedback ef{erase(ccomp::uniform_quantize<3>{}), support::stepped_size, host_exec{}, {.transactional = true}};
  step(ef, 0);
  auto const before = ef.save();
  SUBCASE("by the wrapper") {
    std::vector<float> x(support::stepped_size - 1);
    self_communicator comm;
    host_workspace ws;
    CHECK_THROWS_AS(ccomp::allreduce({1}, comm, ef, x, ws), ccomp::invalid_argument);
  }
  SUBCASE("by the ranks, which disagree") {
    struct : self_communicator {
      void agree(std::uint64_t, void const*, std::string (*)(void const*)) {
        throw ccomp::rank_mismatch("the ranks disagree");
      }
    } comm;
    std::vector<float> x(support::stepped_size);
    host_workspace ws;
    CHECK_THROWS_AS(ccomp::allreduce({1}, comm, ef, x, ws), ccomp::rank_mismatch);
  }
  CHECK(ef.valid());
  ef.discard();
  CHECK(ef.save() == before);
  CHECK_THROWS_AS(ef.discard(), ccomp::invalid_argument);
}
TEST_CASE("a set discards its last call: all of it, and nothing else") {
  self_communicator comm;
  host_workspace ws;
  error_feedback_set set{erase(ccomp::top_k{.ratio = 0.1}), {.transactional = true}};
  CHECK_THROWS_AS(set.discard(), ccomp::invalid_argument);
  auto call = [&](std::vector<std::uint64_t> const& ids, int t) {
    std::vector<std::vector<float>> data(ids.size());
    std::vector<ccomp::tensor_view> views;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      data[i] = support::gradients(1, 50 + 10 * ids[i], static_cast<std::uint64_t>(t) + ids[i])[0];
      views.emplace_back(std::span(data[i]), ids[i]);
    }
    ccomp::allreduce({1}, comm, set, views, ws, {.at = ccomp::step(t)});
  };
  auto bytes = [&](std::uint64_t id) { return set.at(id, 50 + 10 * id).save(); };
  auto const fresh = error_feedback{erase(ccomp::top_k{.ratio = 0.1}), 60, host_exec{}, {.id = 1}}.save();
  call({1, 2}, 1);
  auto const one = bytes(1), two = bytes(2);
  SUBCASE("tensors that the last call did not touch keep their earlier calls") {
    call({1}, 2);
    set.discard();
    CHECK(bytes(1) == one);
    CHECK(bytes(2) == two);
    CHECK_THROWS_AS(set.discard(), ccomp::invalid_argument);
  }
  SUBCASE("a wrapper that never had a call is in nobody's way") {
    set.at(5, 100);
    set.discard();
    CHECK(bytes(1) == fresh);
  }
  SUBCASE("a call that was refused has changed nothing") {
    std::vector<float> right(60, 1.0f), wrong(71, 1.0f);
    std::vector<ccomp::tensor_view> views{{std::span(right), 1}, {std::span(wrong), 2}};
    CHECK_THROWS_AS(ccomp::allreduce({1}, comm, set, views, ws, {.at = 2}), ccomp::invalid_argument);
    set.discard();
    CHECK(bytes(1) == one);
    CHECK(bytes(2) == two);
  }
  SUBCASE("a call that failed half-way is undone in every tensor, also after another try") {
    faulty_communicator broken;
    broken.fail_gather = true;
    std::vector<float> a(60, 1.0f), b(70, 1.0f);
    std::vector<ccomp::tensor_view> views{{std::span(a), 1}, {std::span(b), 2}};
    CHECK_THROWS_AS(ccomp::allreduce({1}, broken, set, views, ws, {.at = 2}, ccomp::gather{}),
                    ccomp::communicator_error);
    CHECK_THROWS_WITH_AS(call({1}, 3), doctest::Contains("is invalid"), ccomp::invalid_argument);
    set.discard();
    CHECK(bytes(1) == one);
    CHECK(bytes(2) == two);
  }
  SUBCASE("a tensor with a call of its own since then is refused, and nothing is undone") {
    std::vector<float> x(70, 1.0f);
    ccomp::allreduce({1}, comm, set.at(2, 70), x, ws, {.at = 2});
    auto const later = bytes(2);
    CHECK_THROWS_WITH_AS(set.discard(), doctest::Contains("tensor 2"), ccomp::invalid_argument);
    CHECK(bytes(1) == one);
    CHECK(bytes(2) == later);
  }
  SUBCASE("scale changes all residuals or none") {
    for (float& r : set.at(2, 70).residual()) r = 1e30f;
    auto const large = bytes(2);
    CHECK_THROWS_AS(set.scale(1e20f), ccomp::invalid_argument);
    CHECK(bytes(1) == one);
    CHECK(bytes(2) == large);
  }
}
