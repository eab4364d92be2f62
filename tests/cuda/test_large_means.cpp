// two_shot of values whose sums do not fit float16, on the (simulated) GPU.
#include <doctest/doctest.h>

#include <ccomp/collectives.cuh>
#include <ccomp/comm/thread.cuh>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/ranks.hpp>
#include <vector>

using namespace ccomp;
using support::device_array;
using support::own_stream;
using support::per_rank;

namespace {

/// Means of two steps by two_shot with feedback, of float16 values whose sums do not fit float16; bytes of every rank.
template <class Exec, class T, class C> per_rank<std::byte> large_means(C const& c, int ranks) {
  per_rank<std::byte> all(static_cast<std::size_t>(ranks));
  thread_group group(ranks);
  group.run([&](thread_communicator& comm) {
    own_stream const stream;
    Exec const ex = [&] {
      if constexpr (std::same_as<Exec, cuda_exec>)
        return cuda_exec{stream.get()};
      else
        return host_exec{.threads = 1};
    }();
    workspace ws{ex};
    std::vector<T> x(3000);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = T(i % 100 == 0 ? 60000.0f : static_cast<float>(i % 7) * 100.0f + static_cast<float>(comm.rank()));
    error_feedback feedback{c, x.size(), ex};
    auto& row = all[static_cast<std::size_t>(comm.rank())];
    auto const keep = [&](auto const& values) {
      auto const some = std::as_bytes(std::span(values));
      row.insert(row.end(), some.begin(), some.end());
    };
    for (int step = 1; step < 3; ++step) {
      allreduce_options const options{.op = reduction::mean, .at = step};
      if constexpr (std::same_as<Exec, cuda_exec>) {
        device_array<T> const there(x);
        allreduce(ex, comm, feedback, there.span(), ws, options, two_shot{});
        detail::check_cuda(cudaStreamSynchronize(stream.get()), "synchronize");
        keep(there.values());
      } else {
        auto here = x;
        allreduce(ex, comm, feedback, here, ws, options, two_shot{});
        keep(here);
      }
    }
    keep(feedback.residual_copy());
  });
  return all;
}
template <class T, class C> void check_large_means(C const& c) {
  auto const name = text(c);
  CAPTURE(name);
  CHECK(large_means<cuda_exec, T>(c, 3) == large_means<host_exec, T>(c, 3));
}

}  // namespace

TEST_CASE("cuda: two_shot of large float16 values gives the host's means and residuals") {
  check_large_means<float16>(top_k{.ratio = 0.02});
  check_large_means<float16>(uniform_quantize<8>{});
  check_large_means<float>(cast<float16>{});
}
