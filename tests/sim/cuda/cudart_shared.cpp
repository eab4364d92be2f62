// Memory that the host shares with kernels, and the atomics on it.
#include "cuda_sim.hpp"

namespace cuda_sim {
namespace {

// Few ranges, and looked up by every atomic: no lock.
constexpr unsigned most_ranges = 256;
struct {
  void const* begin;
  void const* end;
} shared_ranges[most_ranges];
unsigned range_count = 0;
std::size_t host_writes = 0;
bool is_shared(void const* p) {
  for (unsigned i = 0; i < __atomic_load_n(&range_count, __ATOMIC_ACQUIRE); ++i) {
    auto const* const begin = __atomic_load_n(&shared_ranges[i].begin, __ATOMIC_ACQUIRE);
    if (begin && begin <= p && p < __atomic_load_n(&shared_ranges[i].end, __ATOMIC_ACQUIRE)) return true;
  }
  return false;
}

}  // namespace

void expect_own_word(void const* p, where at) {
  if (is_shared(p)) misuse("an atomic of the device's scope on a word that the host shares; take its _system form", at);
}
void note_system_atomic(void const* p) {
  if (is_shared(p)) __atomic_fetch_add(&host_writes, 1, __ATOMIC_RELAXED);
}
void add_shared_memory(void const* p, std::size_t size) {  // under the runtime's lock
  unsigned i = 0;
  while (i < range_count && shared_ranges[i].begin) ++i;
  if (i == most_ranges) return;
  __atomic_store_n(&shared_ranges[i].end, static_cast<char const*>(p) + size, __ATOMIC_RELEASE);
  __atomic_store_n(&shared_ranges[i].begin, p, __ATOMIC_RELEASE);
  if (i == range_count) __atomic_store_n(&range_count, i + 1, __ATOMIC_RELEASE);
}
void remove_shared_memory(void const* p) {
  for (unsigned i = 0; i < range_count; ++i)
    if (shared_ranges[i].begin == p) __atomic_store_n(&shared_ranges[i].begin, nullptr, __ATOMIC_RELEASE);
}
std::size_t writes_to_host() { return __atomic_load_n(&host_writes, __ATOMIC_RELAXED); }
}  // namespace cuda_sim
