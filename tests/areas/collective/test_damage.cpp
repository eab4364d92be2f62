// Checksums: bytes that are changed below ccomp are found before they are used.
#include <support/ranks.hpp>
#include <support/text_checks.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

using ccomp::host_exec;
using ccomp::thread_communicator;
using ccomp::thread_group;

namespace damage {
namespace {

/// A rank whose network changes one bit of what it receives in its call number `call`.
class bent {
 public:
  bent(thread_communicator& inner, int call, std::size_t bit) : inner_(inner), call_(call), bit_(bit) {}

  [[nodiscard]] int rank() const { return inner_.rank(); }
  [[nodiscard]] int size() const { return inner_.size(); }
  [[nodiscard]] bool checksums() const { return inner_.checksums(); }
  void agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    inner_.agree(fingerprint, what, describe);
  }
  void all_gather(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner_.all_gather(ex, send, receive);
    bend(receive);
  }
  void all_to_all(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner_.all_to_all(ex, send, receive);
    bend(receive);
  }
  void broadcast(host_exec const& ex, std::span<std::byte> data, int root) {
    inner_.broadcast(ex, data, root);
    bend(data);
  }
  void exchange(host_exec const& ex, std::span<std::byte const> send, int to, std::span<std::byte> receive, int from) {
    inner_.exchange(ex, send, to, receive, from);
    bend(receive);
  }
  /// Of a slot, the bits that a call has.
  [[nodiscard]] std::size_t received_bits() const { return 8 * received_; }

 private:
  void bend(std::span<std::byte> received) {
    if (calls_++ != call_) return;
    received_ = received.size();
    if (bit_ < received_bits()) received[bit_ / 8] ^= std::byte{1} << (bit_ % 8);
  }
  thread_communicator& inner_;
  int call_, calls_ = 0;
  std::size_t bit_, received_ = 0;
};

constexpr std::size_t values = 40;
using tensor = std::vector<float>;
using call_of = std::function<void(bent&, tensor&, ccomp::workspace<host_exec>&)>;

struct outcome {
  std::string said;
  bool untouched = false;
  std::size_t bits = 0;
};
/// The call on two ranks, on the first of which a bit is changed.
outcome damaged(call_of const& f, int call, std::size_t bit, bool checksums = true) {
  outcome result;
  thread_group group(2);
  group.use_checksums(checksums);
  try {
    group.run([&](thread_communicator& comm) {
      bool const first = comm.rank() == 0;
      bent ranks(comm, first ? call : -1, bit);
      tensor x(values);
      for (std::size_t i = 0; i < values; ++i) x[i] = static_cast<float>(i) - 10.5f * static_cast<float>(comm.rank());
      tensor const before = x;
      ccomp::workspace<host_exec> ws;
      try {
        f(ranks, x, ws);
      } catch (ccomp::payload_error const& e) {
        result.said = e.what();
        result.untouched = x == before;
      }
      if (first) result.bits = ranks.received_bits();
    });
  } catch (ccomp::communicator_error const&) {  // the other rank, which waited for the first one
  }
  return result;
}

TEST_CASE("checksums: every bit that is changed on its way is found, and nothing of it is used") {
  ccomp::uniform_quantize<4> const c{.block = 16};
  auto const by = [&](auto how) {
    return [&c, how](bent& comm, tensor& x, ccomp::workspace<host_exec>& ws) {
      ccomp::allreduce(host_exec{1}, comm, c, x, ws, {}, how);
    };
  };
  struct {
    char const* name;
    call_of f;
    int calls;
  } const cases[] = {
      {"gather", by(ccomp::gather{}), 1},
      {"two_shot", by(ccomp::two_shot{}), 2},
      {"ring", by(ccomp::ring{}), 2},
      {"allgather",
       [&](bent& comm, tensor& x, ccomp::workspace<host_exec>& ws) {
         tensor const in(values, 1.5f);
         tensor all(2 * values, 7.0f);
         try {
           ccomp::allgather(host_exec{1}, comm, c, in, all, ws);
         } catch (ccomp::payload_error const&) {
           if (all != tensor(2 * values, 7.0f)) x[0] = 1e6f;
           throw;
         }
       },
       1},
      {"reduce_scatter",
       [&](bent& comm, tensor& x, ccomp::workspace<host_exec>& ws) {
         tensor const in(2 * values, 1.5f);
         ccomp::reduce_scatter(host_exec{1}, comm, c, in, x, ws);
       },
       1},
      {"broadcast",
       [&](bent& comm, tensor& x, ccomp::workspace<host_exec>& ws) {
         ccomp::broadcast(host_exec{1}, comm, c, x, 1, ws);
       },
       1},
  };
  for (auto const& one : cases)
    for (int call = 0; call < one.calls; ++call) {
      CAPTURE(one.name);
      CAPTURE(call);
      std::size_t const bits = damaged(one.f, call, ~std::size_t{0}).bits;
      REQUIRE(bits > 8 * 32);
      std::size_t missed = 0;
      for (std::size_t bit = 0; bit < bits; bit += 3) {
        auto const found = damaged(one.f, call, bit);
        missed += !support::has(found.said, "were changed on their way") || !found.untouched;
      }
      CHECK(missed == 0);
    }
}

TEST_CASE("checksums: without them a changed code is summed, with them nothing else changes") {
  ccomp::uniform_quantize<8> const c{};
  auto const f = [&](bent& comm, tensor& x, ccomp::workspace<host_exec>& ws) {
    ccomp::allreduce(host_exec{1}, comm, c, x, ws, {}, ccomp::gather{});
  };
  std::size_t const code = 8 * (32 + 16);
  CHECK(damaged(f, 0, code, false).said.empty());
  CHECK(support::has(damaged(f, 0, code).said, "bytes from rank 0 were changed"));

  auto const in = support::gradients(3, 1001);
  auto const result = [&](bool checksums) {
    auto x = in;
    std::size_t sent = 0;
    thread_group group(3);
    group.use_checksums(checksums);
    group.run([&](thread_communicator& comm) {
      ccomp::workspace<host_exec> ws;
      ccomp::top_k const k{.ratio = 0.1};
      auto const report = ccomp::allreduce(host_exec{1}, comm, k, x[static_cast<std::size_t>(comm.rank())], ws);
      if (comm.rank() == 0) sent = report.bytes_sent;
    });
    return std::pair{x, sent};
  };
  CHECK(result(true) == result(false));
}

TEST_CASE("checksums: ranks that disagree about them are told") {
  struct odd : bent {
    using bent::bent;
    [[nodiscard]] bool checksums() const { return rank() == 1; }
  };
  std::string said;
  thread_group(2).run([&](thread_communicator& comm) {
    odd ranks(comm, -1, 0);
    tensor x(values, 1.0f);
    ccomp::workspace<host_exec> ws;
    try {
      ccomp::allreduce(host_exec{1}, ranks, ccomp::uniform_quantize<8>{}, x, ws);
    } catch (ccomp::rank_mismatch const& e) {
      if (comm.rank() == 0) said = e.what();
    }
  });
  CHECK(support::has(said, "with checksums"));
}

}  // namespace
}  // namespace damage
