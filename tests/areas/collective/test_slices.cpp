// Slices over threads: the bits of whole tensors, and a header more for each.
#include <support/ranks.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/comm/thread.hpp>

#include <doctest/doctest.h>

#include <utility>
#include <vector>

TEST_CASE("slices over threads have the bits of whole tensors") {
  using support::how;
  std::size_t const n = 30001;
  for (auto const& one : {std::pair{"uniform_quantize<8>", how::two_shot},
                          {"qsgd<4>", how::gather},
                          {"natural", how::automatic},
                          {"cast<bfloat16>", how::in_flight},
                          {"top_k(0.1)", how::two_shot}})
    for (int const ranks : {1, 3}) {
      CAPTURE(one.first);
      CAPTURE(ranks);
      ccomp::any_compressor const c(one.first);
      auto const in = support::gradients(ranks, n);
      struct {
        support::per_rank<float> x;
        std::size_t sent = 0, memory = 0;
      } whole{in}, sliced{in};
      auto const run = [&](auto& result, std::size_t slice) {
        ccomp::thread_group group(ranks);
        group.use_slices(slice);
        group.run([&](ccomp::thread_communicator& comm) {
          ccomp::workspace<ccomp::host_exec> ws;
          auto const r = static_cast<std::size_t>(comm.rank());
          auto const report = support::allreduce_by(one.second, {1}, comm, c, result.x[r], ws, {.at = 3});
          if (r > 0) return;
          result.sent = report.bytes_sent;
          result.memory = report.workspace_bytes;
        });
      };
      run(whole, 0);
      run(sliced, 600);
      CHECK(support::same_bits(sliced.x, whole.x));
      bool const cut = one.second != how::in_flight && std::string_view(one.first) != "top_k(0.1)" && ranks > 1;
      CHECK((sliced.sent > whole.sent) == cut);
      if (cut) CHECK((sliced.sent - whole.sent) % 32 == 0);
      if (cut) CHECK(sliced.memory < whole.memory);
    }
}
