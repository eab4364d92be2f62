#pragma once
/// The CUDA simulator: kernels compiled by g++ or clang run on the host, one fiber per CUDA thread, blocks one after
/// another on the thread that waits for the stream. The build includes this file before every other (-include), so
/// that the macros at its end come after CUDA's declarations of the same names.
///
/// A kernel's mistake ends the program with one sentence that begins with "cuda_sim:" and names kernel, block, thread
/// and line. Not simulated: dynamic shared memory, blocks that wait for each other, clusters, asynchronous copies,
/// weak memory order, flushing of denormals.

#include <cuda_runtime.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <string_view>
#include <type_traits>

#define CCOMP_CUDA_SIM 1

namespace cuda_sim {

/// In which order ready threads run. runahead: each warp as far as it can before the next one starts.
enum class order : std::uint8_t { forward, reverse, random, runahead, runahead_reverse };

struct schedule {
  order how = order::forward;
  std::uint64_t seed = 1;    ///< of order::random
  unsigned last_blocks = 0;  ///< of the grid's x only so many blocks run, the last ones; 0: all
};

/// At first what the environment variable CCOMP_CUDA_SCHEDULE says: forward, reverse, random, random:SEED, runahead,
/// runahead_reverse. Read when a kernel starts to run, not when it is launched.
schedule current_schedule();
void set_schedule(schedule);
/// Ends the program if the text names no schedule.
schedule parse_schedule(std::string_view);

constexpr std::size_t shared_memory_limit = std::size_t{48} << 10;
constexpr unsigned warp_size = 32;

struct launch_shape {
  char const* name;
  dim3 grid;
  dim3 block;
  void const* function = nullptr;
};

/// Runs the kernel now, on the calling host thread.
void run(launch_shape const&, std::function<void()> const& kernel);
/// A kernel with its arguments, as bytes: std::function of each kernel would be a tenth of the code of the tests.
struct bound_kernel {
  void (*call)(void const* bound);
  void const* bound;
  std::size_t bytes;
};
/// Queues a copy of the kernel on the simulated stream, as cudaLaunchKernel does; defined by the simulated runtime.
cudaError_t enqueue(cudaStream_t, launch_shape const&, bound_kernel const&);

template <class... P, class... A>
cudaError_t launch(cudaStream_t stream, char const* name, void (*kernel)(P...), dim3 grid, dim3 block,
                   A const&... args) {
  static_assert((std::is_trivially_copyable_v<P> && ...), "parameters of a kernel are copied as bytes");
  static_assert((sizeof(P) + ... + 0) <= 4096, "parameters of a kernel have 4096 bytes");
  auto const bound = [kernel, ... values = static_cast<P>(args)] { kernel(values...); };
  static_assert(alignof(decltype(bound)) <= alignof(std::max_align_t));
  return enqueue(stream, {name, grid, block, reinterpret_cast<void const*>(kernel)},
                 {[](void const* b) { (*static_cast<decltype(bound)*>(b))(); }, &bound, sizeof bound});
}

// ---- what the names below are made of
enum class warp_op : std::uint8_t {
  none,
  sync,
  shuffle,
  ballot,
  match_any,
  add,
  min_signed,
  max_signed,
  min_unsigned,
  max_unsigned,
  bit_and,
  bit_or,
  bit_xor
};
using where = std::source_location;

uint3 thread_index();
uint3 block_index();
dim3 block_size();
dim3 grid_size();
unsigned lane();
/// Returns how many threads came with a vote.
unsigned block_barrier(bool vote, where);
/// Every lane of the mask comes with a value; `source` is the lane that a shuffle reads.
std::uint64_t meet(warp_op, unsigned mask, std::uint64_t value, unsigned source, where);
void fence();
float made_nan(float);
void nap(where);
[[noreturn]] void misuse(char const* why, where);
/// Ends the program if the word lies in memory that the host shares: there atomics are of the system's scope.
void expect_own_word(void const*, where);
/// An atomic of the system's scope; those in memory that the host shares are counted.
void note_system_atomic(void const*);
/// The runtime says what of the host's memory kernels can reach.
void add_shared_memory(void const*, std::size_t);
void remove_shared_memory(void const*);
std::size_t writes_to_host();
[[noreturn]] void misaligned(std::size_t size, std::size_t alignment, where);
/// The block's object of this declaration, 0xff at first.
void* shared_object(void const* declaration, std::size_t size, std::size_t alignment);

template <class T> T& shared(void const* declaration) {
  static_assert(std::is_trivially_default_constructible_v<T>, "shared memory starts without a constructor");
  return *static_cast<T*>(shared_object(declaration, sizeof(T), alignof(T)));
}

/// In a kernel a NaN has the bits that a GPU's arithmetic gives it; elsewhere x as it is.
[[gnu::always_inline]] inline float rounded(float x) { return x == x ? x : made_nan(x); }

template <class T>
concept shuffled = std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8);

template <shuffled T> T shuffle(unsigned mask, T value, unsigned source, where at) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = meet(warp_op::shuffle, mask, bits, source, at);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// First lane of the caller's segment of `width` lanes.
inline unsigned segment(int width, where at) {
  if (width < 1 || width > 32 || (width & (width - 1)) != 0)
    misuse("the width of a shuffle is a power of 2 up to 32", at);
  return lane() & ~(static_cast<unsigned>(width) - 1);
}

}  // namespace cuda_sim

#include "device_names.hpp"
