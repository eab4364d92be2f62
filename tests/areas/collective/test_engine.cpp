// The seam between strategies and engines: a model that writes down what a strategy asks of it, and models that each
// lack one thing.
#include <ccomp/codec/host_engine.hpp>
#include <ccomp/collective/gather.hpp>
#include <ccomp/collective/host_engine.hpp>
#include <ccomp/collective/two_shot.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/engine/host/ops.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

namespace {

/// What a model lacks; `nothing`: it is an engine.
enum class lacking {
  nothing,
  begin,
  between,
  write_headers,
  seal,
  headers,
  encode,
  encode_size,
  decode,
  sum,
  reduce,
  scratch,
  encode_scratch,
  decode_scratch,
  reduce_scratch,
  prescale,
  step_bytes,
  compare_steps,
  overflowed,
  expect_output,
  rank,
  ranks,
  flight
};

struct never_in_flight {
  static constexpr bool may_fly = false, must_fly = false, may_have_rounds = false, must_have_rounds = false,
                        knows_lengths = true;
};
struct silent_on_flight {};

/// Two ranks, of which this is the second. It moves nothing.
template <lacking L>
class model_engine : public ccomp::detail::engine_base<ccomp::host_exec>,
                     public std::conditional_t<L == lacking::flight, silent_on_flight, never_in_flight> {
  using job = ccomp::detail::tensor_job;
  using base = ccomp::detail::engine_base<ccomp::host_exec>;

 public:
  using base::base;

  [[nodiscard]] std::size_t rank() const
  requires(L != lacking::rank)
  {
    return 1;
  }
  [[nodiscard]] std::size_t ranks() const
  requires(L != lacking::ranks)
  {
    return 2;
  }
  void begin(std::string_view strategy, int = -1, std::string_view = {})
  requires(L != lacking::begin)
  {
    say("begin " + std::string(strategy));
  }
  void begin_between(int, int)
  requires(L != lacking::between)
  {}
  void write_headers(ccomp::slot_row const& slots)
  requires(L != lacking::write_headers)
  {
    say("write_headers", slots.count);
  }
  void seal(ccomp::slot_row const& slots)
  requires(L != lacking::seal)
  {
    say("seal", slots.count);
  }
  void check_headers(ccomp::slot_row const& slots, std::size_t = 0)
  requires(L != lacking::headers)
  {
    say("check_headers", slots.count);
  }
  std::size_t encode(job const&, ccomp::tensor_cut const& cut, ccomp::slot_row const&, std::span<std::byte>)
  requires(L != lacking::encode && L != lacking::encode_size)
  {
    say("encode", cut.count);
    return 10;
  }
  void encode(job const&, ccomp::tensor_cut const&, ccomp::slot_row const&, std::span<std::byte>)
  requires(L == lacking::encode_size)
  {}
  void decode(job const&, ccomp::detail::program, ccomp::detail::values const&, ccomp::tensor_cut const& cut,
              ccomp::slot_row const&, std::size_t, std::span<std::byte>)
  requires(L != lacking::decode)
  {
    say("decode", cut.count);
  }
  void sum(job const&, ccomp::detail::values const&, std::uint64_t, ccomp::slot_row const& slots, std::size_t,
           std::span<std::byte>)
  requires(L != lacking::sum)
  {
    say("sum", slots.count);
  }
  void reduce(job const&, ccomp::detail::program, ccomp::tensor_cut const&, std::size_t chunk, ccomp::slot_row const&,
              std::size_t, ccomp::slot_row const&, std::span<std::byte>)
  requires(L != lacking::reduce)
  {
    say("reduce chunk", chunk);
  }
  [[nodiscard]] std::size_t encode_scratch(job const&, ccomp::tensor_cut const&) const
  requires(L != lacking::encode_scratch)
  {
    return 0;
  }
  [[nodiscard]] std::size_t decode_scratch(job const&, ccomp::detail::program, ccomp::tensor_cut const&) const
  requires(L != lacking::decode_scratch)
  {
    return 0;
  }
  [[nodiscard]] std::size_t sum_scratch(job const&, std::size_t, std::size_t) const
  requires(L != lacking::scratch)
  {
    return 0;
  }
  [[nodiscard]] std::size_t reduce_scratch(job const&, ccomp::detail::program, std::size_t, std::size_t) const
  requires(L != lacking::reduce_scratch)
  {
    return 0;
  }
  void prescale(int)
  requires(L != lacking::prescale)
  {}
  [[nodiscard]] std::size_t step_bytes() const
  requires(L != lacking::step_bytes)
  {
    return 0;
  }
  void compare_steps(std::span<std::byte>)
  requires(L != lacking::compare_steps)
  {}
  [[nodiscard]] std::size_t overflowed() const
  requires(L != lacking::overflowed)
  {
    return 0;
  }
  void expect_output(ccomp::detail::values const&) const
  requires(L != lacking::expect_output)
  {}

  void all_gather(std::span<std::byte const> send, std::span<std::byte> receive) {
    CHECK(receive.size() == 2 * send.size());
    say("all_gather");
  }
  void all_to_all(std::span<std::byte const> send, std::span<std::byte> receive) {
    CHECK(receive.size() == send.size());
    say("all_to_all");
  }

  ccomp::exchange_handle start_all_gather(std::span<std::byte const> send, std::span<std::byte> receive, int) {
    all_gather(send, receive);
    return {};
  }
  ccomp::exchange_handle start_all_to_all(std::span<std::byte const> send, std::span<std::byte> receive, int) {
    all_to_all(send, receive);
    return {};
  }
  static bool arrived(ccomp::exchange_handle) { return true; }
  static void rest() {}
  static void give_up() {}
  [[nodiscard]] static std::size_t slice_bytes() { return static_cast<std::size_t>(-1); }

  [[nodiscard]] std::string const& said() const { return said_; }

 private:
  void say(std::string const& what) { said_ += (said_.empty() ? "" : ", ") + what; }
  void say(std::string const& what, std::size_t number) { say(what + ' ' + std::to_string(number)); }
  std::string said_;
};

static_assert(ccomp::collective_engine<model_engine<lacking::nothing>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::begin>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::between>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::encode>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::encode_size>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::sum>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::reduce>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::scratch>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::headers>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::write_headers>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::seal>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::decode>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::encode_scratch>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::decode_scratch>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::reduce_scratch>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::prescale>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::step_bytes>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::compare_steps>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::overflowed>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::expect_output>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::rank>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::ranks>>);
static_assert(!ccomp::collective_engine<model_engine<lacking::flight>>);
struct no_engine {
  using exec = ccomp::host_exec;
};
static_assert(!ccomp::collective_engine<no_engine>);

// The host has engines for tensors and for collectives; what nobody has written one for has none.
static_assert(ccomp::detail::has_codec<ccomp::host_exec> && !ccomp::detail::has_codec<no_engine>);
static_assert(ccomp::detail::has_engine<ccomp::host_exec> && !ccomp::detail::has_engine<no_engine>);

static_assert(ccomp::strategy<ccomp::gather> && ccomp::strategy<ccomp::two_shot>);
static_assert(!ccomp::strategy<no_engine> && !ccomp::strategy<int>);

struct bytes_only {
  int rank() const { return 0; }
  int size() const { return 1; }
  void all_gather(ccomp::host_exec const&, std::span<std::byte const>, std::span<std::byte>) {}
};
static_assert(ccomp::can_exchange<ccomp::thread_communicator, ccomp::host_exec>);
static_assert(ccomp::can_exchange<ccomp::self_communicator, ccomp::host_exec>);
static_assert(ccomp::can_exchange<ccomp::communicator_ref, ccomp::host_exec>);
static_assert(!ccomp::can_exchange<bytes_only, ccomp::host_exec>);

/// What the strategy asks of the model for two tensors, and what it reports.
template <class Strategy> std::string asked_by(Strategy const& how, ccomp::collective_report& report) {
  ccomp::uniform_quantize<8> const c{.block = 16};
  auto const stages = ccomp::detail::host_stages_of(c);
  std::vector<float> x(100), y(3);
  std::array<ccomp::detail::tensor_job, 2> jobs{
      {{.data = ccomp::detail::view(std::span(x)), .id = 0}, {.data = ccomp::detail::view(std::span(y)), .id = 1}}};
  ccomp::workspace<ccomp::host_exec> ws{ccomp::host_exec{1}};
  ccomp::detail::collective_call const call{.name = "allreduce", .stages = stages, .jobs = jobs};
  model_engine<lacking::nothing> e(call, ws);
  report = how.run(e);
  return e.said();
}

}  // namespace

TEST_CASE("engine: gather asks for one encoding and one sum per tensor") {
  ccomp::collective_report report;
  CHECK(asked_by(ccomp::gather{}, report) ==
        "begin gather, write_headers 1, encode 1, encode 1, seal 1, all_gather, check_headers 2, sum 2, sum 2");
  CHECK(report.strategy == "gather");
  CHECK(report.payload_bytes == 20);
  // A header of 32 bytes; 100 codes and 7 scales; 3 codes and 1 scale, each part a multiple of 16 bytes.
  CHECK(report.bytes_sent == 32 + (112 + 32) + (16 + 16));
}

TEST_CASE("engine: two_shot encodes a chunk per rank, sums its own and decodes all") {
  ccomp::collective_report report;
  CHECK(asked_by(ccomp::two_shot{}, report) ==
        "begin two_shot, write_headers 3, encode 2, encode 2, seal 2, all_to_all, check_headers 2, reduce chunk 1, "
        "reduce chunk 1, seal 1, all_gather, check_headers 2, decode 2, decode 2");
  CHECK(report.strategy == "two_shot");
}
