#pragma once
// The kernels of block_peak: with them it runs with a cuda_exec, in any chain, with error feedback, in any collective.

#include "block_peak.hpp"

#include <ccomp/device_stage.cuh>

// [device]
namespace mylab {

constexpr unsigned threads = ccomp::device_queue::threads, peaks = threads / 32;  // a warp for each 256 values

__global__ void find_peaks(ccomp::device_encode_call call) {
  std::uint64_t const b = blockIdx.x * std::uint64_t{peaks} + threadIdx.x / 32, first = b * block_peak::block;
  if (first >= call.n) return;
  float const* const x = call.values.mine();  // the grid's y tells which of several equal tensors
  unsigned long long best = 0;                // the magnitude, then the place: of equals the first is larger
  for (unsigned i = threadIdx.x % 32; i < block_peak::block && first + i < call.n; i += 32) {
    unsigned long long const key = block_peak::magnitude(x[first + i]);
    unsigned long long const mine = key << 32 | (block_peak::block - i);
    best = mine > best ? mine : best;
  }
  for (int d = 16; d > 0; d /= 2) {
    unsigned long long const other = __shfl_xor_sync(0xffffffffu, best, d);
    best = other > best ? other : best;
  }
  if (threadIdx.x % 32 != 0) return;
  auto const place = static_cast<unsigned>(block_peak::block - (best & 0xffffffffu));
  call.side.mine()[b] = static_cast<std::byte>(place);
  call.carrier.mine()[b] = x[first + place];
}

__global__ void place_peaks(ccomp::device_decode_call call) {
  std::uint64_t const i = blockIdx.x * std::uint64_t{threads} + threadIdx.x, b = i / block_peak::block;
  if (i >= call.n) return;
  auto const place = static_cast<unsigned>(call.side.mine()[b]);
  bool const kept = i % block_peak::block == place;
  // No place behind the end is written to; the first thread of the block says so.
  if (i % block_peak::block == 0 && i + place >= call.n) ccomp::report_bad_payload(call.status);
  call.write(i, kept ? call.carrier.mine()[b] : 0.0f);
}

}

template <> struct ccomp::device_stage<mylab::block_peak> {
  static void encode(mylab::block_peak const& s, device_queue queue, device_encode_call const& call) {
    queue.run("find_peaks", mylab::find_peaks, (s.side_bytes(call.n) + mylab::peaks - 1) / mylab::peaks, call.items,
              call);
  }
  static void decode(mylab::block_peak const&, device_queue queue, device_decode_call const& call) {
    queue.run_each("place_peaks", mylab::place_peaks, call.n, call.items, call);
  }
};
// [/device]
