// The simulator: what CUDA's device functions give, and in which order threads and blocks run.
#include "sim/cuda/cudart_sim.hpp"
#include "support/cuda/device_array.hpp"

#include <ccomp/engine/cuda/launch.cuh>
#include <ccomp/exec/cuda.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

using namespace ccomp;
using detail::launch;
using support::device_array;

namespace {

/// Puts back the schedule that the test was started with.
struct with_schedule {
  cuda_sim::schedule before = cuda_sim::current_schedule();
  explicit with_schedule(cuda_sim::schedule s) { cuda_sim::set_schedule(s); }
  ~with_schedule() { cuda_sim::set_schedule(before); }
  with_schedule(with_schedule const&) = delete;
  with_schedule& operator=(with_schedule const&) = delete;
};

__global__ void number_threads(unsigned* out) {
  unsigned const block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  unsigned const thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

__global__ void reverse_within_block(int const* in, int* out, unsigned n) {
  CCOMP_SHARED(int[64], s);
  unsigned const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) s[threadIdx.x] = in[i];
  __syncthreads();
  unsigned const from = blockDim.x - 1 - threadIdx.x;
  if (blockIdx.x * blockDim.x + from < n) out[blockIdx.x * blockDim.x + from] = s[from] + 1000;
}

struct shuffles {
  unsigned indexed, up, down, exchanged;
  double wide;
  long long negative;
};

__global__ void shuffle_all(shuffles* out, int width) {
  unsigned const v = threadIdx.x + 100;
  shuffles& o = out[threadIdx.x];
  o.indexed = __shfl_sync(~0u, v, static_cast<int>(threadIdx.x) + 3, width);
  o.up = __shfl_up_sync(~0u, v, 2, width);
  o.down = __shfl_down_sync(~0u, v, 5, width);
  o.exchanged = __shfl_xor_sync(~0u, v, 4, width);
  o.wide = __shfl_sync(~0u, threadIdx.x + 0.5, 7, width);
  o.negative = __shfl_sync(~0u, -static_cast<long long>(threadIdx.x), 1, width);
}

struct votes {
  unsigned ballot, match, add, low, high, all_bits, any_bits, odd_bits;
  int any, all, sum, least, most;
};

__global__ void vote_all(votes* out) {
  unsigned const lane = threadIdx.x % 32;
  unsigned const mask = lane < 20 ? 0xfffffu : 0xfff00000u;  // two groups, each by itself
  int const v = static_cast<int>(lane) - 10;
  votes& o = out[threadIdx.x];
  o.ballot = __ballot_sync(mask, lane % 3 == 0);
  o.match = __match_any_sync(mask, lane % 4);
  o.any = __any_sync(mask, lane == 19);
  o.all = __all_sync(mask, lane < 20);
  o.add = __reduce_add_sync(mask, lane + 0xfffffff0u);
  o.sum = __reduce_add_sync(mask, v);
  o.low = __reduce_min_sync(mask, lane + 1u);
  o.high = __reduce_max_sync(mask, lane == 7 ? 0xf0000000u : lane);
  o.least = __reduce_min_sync(mask, v);
  o.most = __reduce_max_sync(mask, -v);
  o.all_bits = __reduce_and_sync(mask, lane | 32u);
  o.any_bits = __reduce_or_sync(mask, 1u << lane);
  o.odd_bits = __reduce_xor_sync(mask, lane);
}

/// Half of the warp meets by itself first, while the others wait already for all.
__global__ void meet_half(unsigned* out) {
  unsigned half = 0;
  if (threadIdx.x < 16) half = __reduce_add_sync(0xffffu, threadIdx.x);
  out[threadIdx.x] = __reduce_add_sync(~0u, half);
}

template <class T> __device__ T& scratch() {
  CCOMP_SHARED(T, mine);
  return mine;
}

__global__ void shared_objects(unsigned* out) {
  auto& a = scratch<unsigned>();
  auto& b = scratch<std::array<unsigned, 3>>();
  if (threadIdx.x == 0) out[0] = a & b[2];  // not written yet
  __syncthreads();
  if (threadIdx.x == 1) a = 5;
  if (threadIdx.x == 2) b = {6, 7, 8};
  __syncthreads();
  if (threadIdx.x == 3) out[1] = scratch<unsigned>() + b[0] + b[1] + b[2];
}

__global__ void count_votes(int* out) {
  int const n = __syncthreads_count(threadIdx.x % 3 == 0);
  int const any = __syncthreads_or(threadIdx.x == 40);
  int const all = __syncthreads_and(threadIdx.x < 40);
  out[threadIdx.x] = n * 100 + any * 10 + all;
}

struct atomics {
  int sum, most, least;
  unsigned bits, kept, wrapped, taken, winner;
  unsigned long long wide;
  float real;
};

__global__ void atomic_all(atomics* a) {
  int const i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  auto const u = static_cast<unsigned>(i);
  atomicAdd(&a->sum, i);
  atomicMax(&a->most, i - 50);
  atomicMin(&a->least, -i);
  atomicOr(&a->bits, 1u << (u % 32));
  atomicAnd(&a->kept, ~(1u << (u % 8)));
  atomicAdd(&a->wrapped, ~0u);
  atomicAdd(&a->wide, 1ull << 32);
  atomicAdd(&a->real, 0.25f);
  if (atomicCAS(&a->taken, 0u, u + 1) == 0) atomicExch(&a->winner, u + 1);
}

/// Which place each block and each thread of it had in the order of running.
__global__ void take_numbers(unsigned* counter, unsigned* place) {
  place[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(counter, 1u);
}

/// Warps take turns: whoever comes first writes down its warp.
__global__ void take_turns(unsigned* counter, unsigned* order) {
  for (int round = 0; round < 2; ++round) {
    if (threadIdx.x % 32 == 0) order[atomicAdd(counter, 1u)] = threadIdx.x / 32;
    __syncwarp();
  }
}

__global__ void spin(unsigned* flag) {
  if (threadIdx.x == 0) {
    while (atomicAdd(flag, 0u) != 63) __nanosleep(20);
    atomicExch(flag, 1000u);
  } else {
    atomicAdd(flag, 1u);
  }
}

}  // namespace

TEST_CASE("a kernel runs when its stream is waited for, and not before") {
  std::vector<int> in(150);
  std::iota(in.begin(), in.end(), 0);
  device_array<int> const from(in), to(in.size());
  cuda_exec const ex;
  ex.synchronize();  // after the arrays' own copies
  auto const before = cudart_sim::count();
  launch(ex, "reverse_within_block", reverse_within_block, 3, 64, from.data(), to.data(), 150u);
  CHECK(cudart_sim::count().launches == before.launches + 1);
  CHECK(cudart_sim::kernel_names().back() == "reverse_within_block");
  CHECK(cudart_sim::count().host_syncs == before.host_syncs);
  CHECK(cudart_sim::pending() == 1);
  CHECK(to.data()[0] == 0);
  ex.synchronize();
  CHECK(cudart_sim::count().host_syncs == before.host_syncs + 1);
  CHECK(cudart_sim::pending() == 0);
  for (auto& v : in) v += 1000;
  CHECK(to.values() == in);
}

TEST_CASE("a grid of 0 blocks is no launch; a block too large is an error that names the kernel") {
  device_array<unsigned> const out(1);
  auto const before = cudart_sim::count().launches;
  launch(cuda_exec(), "number_threads", number_threads, 0, 64, out.data());
  CHECK(cudart_sim::count().launches == before);
  CHECK_THROWS_WITH_AS(launch(cuda_exec(), "number_threads", number_threads, 1, 1025, out.data()),
                       doctest::Contains("number_threads: invalid configuration argument"), cuda_error);
  CHECK_THROWS_AS(launch(cuda_exec(), "number_threads", number_threads, 1, 0, out.data()), cuda_error);
  CHECK(cudart_sim::count().launches == before);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("indices of blocks and threads in three dimensions") {
  device_array<unsigned> const out(2 * 3 * 2 * 4 * 3 * 5);
  cuda_sim::launch(nullptr, "number_threads", number_threads, dim3(2, 3, 2), dim3(4, 3, 5), out.data());
  auto const got = out.values();
  for (unsigned b = 0; b < 12; ++b)
    for (unsigned t = 0; t < 60; ++t) REQUIRE(got[b * 60 + t] == b * 1000 + t);
}

TEST_CASE("shuffles, as the programming guide says, for every width") {
  for (unsigned const width : {1u, 2u, 8u, 32u}) {
    CAPTURE(width);
    device_array<shuffles> const out(64);
    launch(cuda_exec(), "shuffle_all", shuffle_all, 1, 32, out.data(), static_cast<int>(width));
    auto const got = out.values();
    for (unsigned l = 0; l < 32; ++l) {
      CAPTURE(l);
      unsigned const first = l / width * width;
      CHECK(got[l].indexed == 100 + first + (l + 3) % width);
      CHECK(got[l].up == 100 + (l - first >= 2 ? l - 2 : l));
      CHECK(got[l].down == 100 + (l + 5 < first + width ? l + 5 : l));
      CHECK(got[l].exchanged == 100 + ((l ^ 4u) < first + width ? l ^ 4u : l));
      CHECK(got[l].wide == first + 7 % width + 0.5);
      CHECK(got[l].negative == -static_cast<long long>(first + 1 % width));
    }
  }
}

TEST_CASE("votes and reductions within a mask; the two groups of a warp do not wait for each other") {
  device_array<votes> const out(40);
  launch(cuda_exec(), "vote_all", vote_all, 1, 32, out.data());
  auto const got = out.values();
  for (unsigned l = 0; l < 32; ++l) {
    CAPTURE(l);
    bool const low = l < 20;
    unsigned const first = low ? 0 : 20, end = low ? 20 : 32;
    unsigned ballot = 0, match = 0, members = 0, odd = 0, and_ = ~0u;
    int sum = 0;
    for (unsigned i = first; i < end; ++i) {
      ballot |= (i % 3 == 0 ? 1u : 0u) << i;
      match |= (i % 4 == l % 4 ? 1u : 0u) << i;
      members |= 1u << i;
      odd ^= i;
      and_ &= i | 32u;
      sum += static_cast<int>(i) - 10;
    }
    CHECK(got[l].ballot == ballot);
    CHECK(got[l].match == match);
    CHECK(got[l].any == (low ? 1 : 0));
    CHECK(got[l].all == (low ? 1 : 0));
    CHECK(got[l].sum == sum);
    CHECK(got[l].add == static_cast<unsigned>(sum) + (end - first) * (0xfffffff0u + 10u));
    CHECK(got[l].low == first + 1);
    CHECK(got[l].high == (low ? 0xf0000000u : 31u));
    CHECK(got[l].least == static_cast<int>(first) - 10);
    CHECK(got[l].most == 10 - static_cast<int>(first));
    CHECK(got[l].all_bits == and_);
    CHECK(got[l].any_bits == members);
    CHECK(got[l].odd_bits == odd);
  }
}

TEST_CASE("lanes may wait for the whole warp while others of it still meet among themselves") {
  device_array<unsigned> const out(32);
  launch(cuda_exec(), "meet_half", meet_half, 1, 32, out.data());
  CHECK(out.values() == std::vector<unsigned>(32, 16 * 120));
}

TEST_CASE("shared memory: one object per declaration and instantiation, all bits set at first in every block") {
  device_array<unsigned> const out(2);
  for (int launches = 0; launches < 2; ++launches) {
    launch(cuda_exec(), "shared_objects", shared_objects, 1, 32, out.data());
    CHECK(out.values() == std::vector<unsigned>{~0u, 5 + 6 + 7 + 8});
  }
}

TEST_CASE("barriers that count") {
  device_array<int> const out(64);
  launch(cuda_exec(), "count_votes", count_votes, 1, 64, out.data());
  CHECK(out.values() == std::vector<int>(64, 22 * 100 + 10));
}

TEST_CASE("atomics, from several blocks") {
  device_array<atomics> const a(std::vector<atomics>{{0, -1000, 0, 0, ~0u, 5, 0, 0, 0, 0.f}});
  launch(cuda_exec(), "atomic_all", atomic_all, 3, 40, a.data());
  auto const got = a.values()[0];
  CHECK(got.sum == 119 * 120 / 2);
  CHECK(got.most == 69);
  CHECK(got.least == -119);
  CHECK(got.bits == ~0u);
  CHECK(got.kept == 0xffffff00u);
  CHECK(got.wrapped == 5u - 120u);
  CHECK(got.wide == 120ull << 32);
  CHECK(got.real == 30.f);
  CHECK(got.taken > 0);
  CHECK(got.winner == got.taken);
}

TEST_CASE("functions of bits") {
  CHECK(__popc(0xf0f0u) == 8);
  CHECK(__popcll(~0ull) == 64);
  CHECK(__ffs(0) == 0);
  CHECK(__ffs(8) == 4);
  CHECK(__ffsll(1ll << 40) == 41);
  CHECK(__clz(0) == 32);
  CHECK(__clz(1) == 31);
  CHECK(__clz(-1) == 0);
  CHECK(__clzll(0) == 64);
  CHECK(__clzll(1) == 63);
  CHECK(__brev(1) == 0x80000000u);
  CHECK(__brev(0x12345678u) == 0x1e6a2c48u);
  CHECK(__funnelshift_l(0x89abcdefu, 0x01234567u, 8) == 0x23456789u);
  CHECK(__funnelshift_r(0x89abcdefu, 0x01234567u, 8) == 0x6789abcdu);
  CHECK(__funnelshift_l(1, 2, 32) == 2);
  CHECK(__funnelshift_r(1, 2, 32) == 1);
  CHECK(__byte_perm(0x33221100u, 0x77665544u, 0x7531) == 0x77553311u);
  CHECK(__byte_perm(0x00008000u, 0, 0x8899) == 0x0000ffffu);
  CHECK(__umulhi(0x80000000u, 6) == 3);
  CHECK(__umul64hi(1ull << 63, 6) == 3);
  CHECK(__float_as_uint(1.f) == 0x3f800000u);
  CHECK(__uint_as_float(0xbf800000u) == -1.f);
  CHECK(__float_as_int(-0.f) == std::numeric_limits<int>::min());
  CHECK(__int_as_float(0x40000000) == 2.f);
  CHECK(__longlong_as_double(__double_as_longlong(0.1)) == 0.1);
  float4 const v{1, 2, 3, 4};
  CHECK(__ldg(&v).w == 4);
  float4 w{};
  __stcs(&w, __ldcs(&v));
  CHECK(w.z == 3);
}

TEST_CASE("schedules: blocks and threads run in the order that was asked for") {
  auto const places = [](cuda_sim::schedule s) {
    with_schedule const now(s);
    device_array<unsigned> const counter(1), place(4 * 64);
    launch(cuda_exec(), "take_numbers", take_numbers, 4, 64, counter.data(), place.data());
    return place.values();
  };
  std::vector<unsigned> in_order(4 * 64);
  std::iota(in_order.begin(), in_order.end(), 0u);
  CHECK(places({cuda_sim::order::forward}) == in_order);
  CHECK(places({cuda_sim::order::runahead}) == in_order);
  auto const random = places({cuda_sim::order::random, 7});
  CHECK(random == places({cuda_sim::order::random, 7}));
  CHECK(random != places({cuda_sim::order::random, 8}));
  auto sorted = random;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == in_order);
  std::reverse(in_order.begin(), in_order.end());
  CHECK(places({cuda_sim::order::reverse}) == in_order);
}

TEST_CASE("schedules: runahead lets a warp run as far as it can") {
  auto const warps = [](cuda_sim::order how) {
    with_schedule const now({how});
    device_array<unsigned> const counter(1), order(4);
    launch(cuda_exec(), "take_turns", take_turns, 1, 64, counter.data(), order.data());
    return order.values();
  };
  CHECK(warps(cuda_sim::order::forward) == std::vector<unsigned>{0, 1, 0, 1});
  CHECK(warps(cuda_sim::order::reverse) == std::vector<unsigned>{1, 0, 1, 0});
  CHECK(warps(cuda_sim::order::runahead) == std::vector<unsigned>{0, 0, 1, 1});
  CHECK(warps(cuda_sim::order::runahead_reverse) == std::vector<unsigned>{1, 1, 0, 0});
}

TEST_CASE("schedules: their names") {
  CHECK(cuda_sim::parse_schedule("runahead_reverse").how == cuda_sim::order::runahead_reverse);
  auto const random = cuda_sim::parse_schedule("random:12");
  CHECK(random.how == cuda_sim::order::random);
  CHECK(random.seed == 12);
}

TEST_CASE("a thread may wait for others of its block in a loop that sleeps") {
  device_array<unsigned> const flag(1);
  launch(cuda_exec(), "spin", spin, 1, 64, flag.data());
  CHECK(flag.values()[0] == 1000);
}

TEST_CASE("several host threads run kernels at the same time") {
  std::vector<std::vector<int>> got(4);
  for (int round = 0; round < 2; ++round) {
    std::vector<std::thread> ranks;
    for (int r = 0; r < 4; ++r)
      ranks.emplace_back([&mine = got[static_cast<std::size_t>(r)], r] {
        cudaStream_t stream = nullptr;
        detail::check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
        cuda_exec const ex(stream);
        device_array<int> const from(std::vector<int>(200, r)), to(200);
        detail::check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
        launch(ex, "reverse_within_block", reverse_within_block, 4, 64, from.data(), to.data(), 200u);
        ex.synchronize();
        mine = to.values();
        detail::check_cuda(cudaStreamDestroy(stream), "cudaStreamDestroy");
      });
    for (auto& t : ranks) t.join();
    for (int r = 0; r < 4; ++r) CHECK(got[static_cast<std::size_t>(r)] == std::vector<int>(200, 1000 + r));
  }
}
