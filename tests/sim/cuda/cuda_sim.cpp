// The machine: one per host thread, so that ranks launch at the same time. Compiled without -fsanitize (fiber.hpp).
// Whatever runs on a fiber's stack uses only types of this file: the linker could replace the code of a shared
// template by an instrumented copy, and TSan would see fibers race for the machine's own memory.
#include "cuda_sim.hpp"

#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

#include "block_tags.hpp"
#include "device_thread.hpp"
#include "shared_arena.hpp"
#include "warp_meetings.hpp"

#include <algorithm>
#include <cstdarg>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

namespace cuda_sim {
namespace {

class machine {
 public:
  // Not inlined: a fiber may go on under another host thread, so its address must be looked up again.
  [[gnu::noinline]] static machine& here() {
    thread_local machine m;
    return m;
  }
  ~machine() {
    std::scoped_lock const hold(idle_lock);
    for (auto& t : pool_) idle().push_back(std::move(t));
  }

  void run(launch_shape const& shape, std::function<void()> const& kernel);

  [[nodiscard]] device_thread& self() {
    if (!current_) {
      std::fprintf(stderr, "cuda_sim: a device function was called outside of a kernel\n");
      std::abort();
    }
    return *current_;
  }
  [[nodiscard]] bool in_kernel() const { return current_ != nullptr; }
  [[nodiscard]] launch_shape const& shape() const { return shape_; }
  [[nodiscard]] uint3 block_index() const { return block_index_; }

  unsigned barrier(bool vote, where at);
  std::uint64_t meet(warp_op op, unsigned mask, std::uint64_t value, unsigned source, where at);
  void nap(where at);
  void fence() {
    // A fence orders with every later fence: enough for "the last block to arrive adds up".
    tsan_acquire(&fence_tag_);
    tsan_release(&fence_tag_);
  }
  void* shared(void const* declaration, std::size_t size, std::size_t alignment);
  [[noreturn]] void fail(where at, char const* text, ...) __attribute__((format(printf, 3, 4)));

 private:
  static void entry();
  void body();
  void leave();
  void resume(device_thread& t) {
    current_ = &t;
    enter(host_, t);
    current_ = nullptr;
  }
  void pause() { give_way(*current_, host_); }
  void need_threads(std::size_t n);
  void run_block(unsigned block);
  bool pass(std::vector<unsigned>& order);
  void complete(unsigned mask, unsigned first);
  [[noreturn]] void deadlock();

  launch_shape shape_{"", {}, {}};
  std::function<void()> const* kernel_ = nullptr;
  schedule schedule_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<device_thread>> pool_;
  device_thread* threads_[max_threads] = {};
  device_thread* current_ = nullptr;
  host_side host_;
  shared_arena arena_;
  std::unique_ptr<block_tags> tags_;
  warp_meetings warps_[max_threads / warp_size];
  uint3 block_index_{};
  unsigned block_ = 0, size_ = 0, live_ = 0;
  unsigned waiting_ = 0, votes_ = 0, votes_before_ = 0, barriers_ = 0;
  where barrier_at_{};
  unsigned long naps_ = 0;
  char start_tag_ = 0, end_tag_ = 0, fence_tag_ = 0;

  // Fibers that no host thread uses: making one takes the sanitizers a millisecond. They go at the program's end, or
  // TSan would take them for threads and wait a second for them.
  static inline std::mutex idle_lock;
  static std::vector<std::unique_ptr<device_thread>>& idle() {
    static std::vector<std::unique_ptr<device_thread>> all;
    return all;
  }
};

void machine::fail(where at, char const* text, ...) {
  std::fprintf(stderr, "cuda_sim: kernel %s, block %u, thread %u, %s:%u: ", shape_.name, block_,
               current_ ? current_->rank : 0, at.file_name(), static_cast<unsigned>(at.line()));
  va_list values;
  va_start(values, text);
  std::vfprintf(stderr, text, values);
  va_end(values);
  std::fputc('\n', stderr);
  std::abort();
}

void machine::entry() {
  device_thread& self = *here().current_;
  for (;;) {
    arrive(self, here().host_);
    here().body();
    here().leave();
    depart(self, here().host_);
  }
}

void machine::need_threads(std::size_t n) {
  std::scoped_lock const hold(idle_lock);
  while (pool_.size() < n && !idle().empty()) {
    pool_.push_back(std::move(idle().back()));
    idle().pop_back();
  }
  while (pool_.size() < n) pool_.push_back(std::make_unique<device_thread>(&entry));
}

void machine::body() {
  tsan_acquire(&start_tag_);
  try {
    (*kernel_)();
  } catch (...) {
    fail(current_->at, "an exception left the kernel");
  }
  tsan_release(&end_tag_);
}

void machine::leave() {
  device_thread& t = *current_;
  t.now = state::done;
  --live_;
  naps_ = 0;
  if (waiting_ != 0) fail(barrier_at_, "this thread ended while %u others wait at this barrier", waiting_);
  unsigned const first = t.rank / warp_size * warp_size;
  warps_[first / warp_size].end(t.rank - first);
  for (unsigned i = first; i < std::min(first + warp_size, size_); ++i) {
    device_thread const& other = *threads_[i];
    if (other.now == state::in_warp && (other.mask >> (t.rank - first) & 1u) != 0)
      fail(other.at, "this thread ended while lane %u waits for it in %s", i - first, name_of(other.op));
  }
}

unsigned machine::barrier(bool vote, where at) {
  device_thread& t = self();
  void* const tag = &tags_->barriers[barriers_ % 2];  // two in turn, see warp_tags
  tsan_release(tag);
  t.at = at;
  t.now = state::at_barrier;
  naps_ = 0;
  if (live_ != size_) fail(at, "barrier after %u threads of the block have ended", size_ - live_);
  if (waiting_ == 0) barrier_at_ = at;
  if (!same_place(at, barrier_at_))
    fail(at, "threads meet at different barriers, the other one is %s:%u", barrier_at_.file_name(),
         static_cast<unsigned>(barrier_at_.line()));
  votes_ += vote;
  if (++waiting_ == live_) {
    for (unsigned i = 0; i < size_; ++i) threads_[i]->now = state::ready;
    waiting_ = 0;
    votes_before_ = votes_;
    votes_ = 0;
    ++barriers_;
  }
  pause();
  tsan_acquire(tag);
  return votes_before_;
}

std::uint64_t machine::meet(warp_op op, unsigned mask, std::uint64_t value, unsigned source, where at) {
  device_thread& t = self();
  unsigned const first = t.rank / warp_size * warp_size, lane = t.rank - first;
  if ((mask >> lane & 1u) == 0) fail(at, "lane %u is not in its mask 0x%08x", lane, mask);
  // Of the warp's operations only __syncwarp orders memory.
  void* const tag = op == warp_op::sync ? tags_->warps[first / warp_size].arrive(mask) : nullptr;
  if (tag) tsan_release(tag);
  t.at = at;
  t.op = op;
  t.mask = mask;
  t.value = value;
  t.source = source;
  t.now = state::in_warp;
  naps_ = 0;
  warp_meetings& warp = warps_[first / warp_size];
  if (unsigned const absent = warp.absent(mask); absent != 0)
    fail(at, "the mask 0x%08x names lane %d, which the block does not have", mask, __builtin_ctz(absent));
  if (unsigned const ended = warp.ended(mask); ended != 0)
    fail(at, "the mask 0x%08x names lane %d, which has ended", mask, __builtin_ctz(ended));
  warp_meeting* const others = warp.find(lane, op, mask, at);
  if (others && !others->is(op, mask, at))
    fail(at,
         "lanes meet in different warp operations: lane %u in %s with mask 0x%08x, lane %d in %s with 0x%08x at %s:%u",
         lane, name_of(op), mask, __builtin_ctz(others->arrived & mask), name_of(others->op), others->mask,
         others->at.file_name(), static_cast<unsigned>(others->at.line()));
  if (warp.join(others, lane, op, mask, at)) complete(mask, first);
  pause();
  if (tag) tsan_acquire(tag);
  return t.result;
}

/// The last lane to arrive works out every lane's result.
void machine::complete(unsigned mask, unsigned first) {
  warp_op const op = current_->op;
  std::uint64_t total = current_->value;
  if (op == warp_op::add || op == warp_op::ballot || op == warp_op::bit_xor) total = 0;
  for (unsigned l = 0; l < warp_size; ++l) {
    if ((mask >> l & 1u) == 0) continue;
    std::uint64_t const v = threads_[first + l]->value;
    switch (op) {
      case warp_op::ballot:
        total |= v << l;
        break;
      case warp_op::add:
        total += v;
        break;
      case warp_op::min_signed:
        if (static_cast<std::int64_t>(v) < static_cast<std::int64_t>(total)) total = v;
        break;
      case warp_op::max_signed:
        if (static_cast<std::int64_t>(v) > static_cast<std::int64_t>(total)) total = v;
        break;
      case warp_op::min_unsigned:
        if (v < total) total = v;
        break;
      case warp_op::max_unsigned:
        if (v > total) total = v;
        break;
      case warp_op::bit_and:
        total &= v;
        break;
      case warp_op::bit_or:
        total |= v;
        break;
      case warp_op::bit_xor:
        total ^= v;
        break;
      default:
        break;
    }
  }
  for (unsigned l = 0; l < warp_size; ++l) {
    if ((mask >> l & 1u) == 0) continue;
    device_thread& t = *threads_[first + l];
    t.result = total;
    if (op == warp_op::shuffle)  // undefined on the device where the mask has no such lane
      t.result = (mask >> t.source & 1u) != 0 ? threads_[first + t.source]->value : 0xdeadbeefdeadbeefu;
    if (op == warp_op::match_any) {
      t.result = 0;
      for (unsigned o = 0; o < warp_size; ++o)
        if ((mask >> o & 1u) != 0 && threads_[first + o]->value == t.value) t.result |= std::uint64_t{1} << o;
    }
    t.now = state::ready;
  }
}

void machine::nap(where at) {
  device_thread& t = self();
  t.at = at;
  if (++naps_ > 1ul << 20)
    fail(at, "a loop waits for what does not come: blocks run one after another, and no thread of this one goes on");
  pause();
}

void* machine::shared(void const* declaration, std::size_t size, std::size_t alignment) {
  device_thread const& t = self();
  void* const found = arena_.object(declaration, size, alignment);
  if (!found) fail(t.at, "shared memory of the kernel takes more than %zu bytes", shared_memory_limit);
  return found;
}

void machine::run(launch_shape const& shape, std::function<void()> const& kernel) {
  if (current_) fail(current_->at, "a kernel was started inside of a kernel");
  shape_ = shape;
  kernel_ = &kernel;
  schedule_ = current_schedule();
  random_.seed(schedule_.seed);
  size_ = shape.block.x * shape.block.y * shape.block.z;
  if (size_ == 0 || size_ > max_threads) fail({}, "a block has 1 to %u threads, not %u", max_threads, size_);
  // Under TSan blocks take turns with two sets of fibers: what one fiber does for two blocks is in order, and a
  // block's barriers put its fibers in order with each other. So two blocks that race do so with other fibers, unless
  // both have even or both have odd places. Large blocks do without: TSan knows 8128 threads at most.
  std::size_t const sets = under_tsan && size_ <= max_threads / 2 ? 2 : 1;
  need_threads(size_ * sets);
  std::vector<unsigned> blocks(std::size_t{shape.grid.x} * shape.grid.y * shape.grid.z);
  std::iota(blocks.begin(), blocks.end(), 0u);
  if (unsigned const last = schedule_.last_blocks; last > 0)
    std::erase_if(blocks, [&](unsigned b) { return b % shape.grid.x + last < shape.grid.x; });
  if (schedule_.how == order::reverse || schedule_.how == order::runahead_reverse)
    std::reverse(blocks.begin(), blocks.end());
  if (schedule_.how == order::random) std::shuffle(blocks.begin(), blocks.end(), random_);
  std::size_t set = 0;
  for (unsigned const block : blocks) {
    for (unsigned i = 0; i < size_; ++i) threads_[i] = pool_[i * sets + set].get();
    set = (set + 1) % sets;
    arena_.next_block();
    tsan_release(&start_tag_);  // of the host thread alone: it has learnt nothing from the blocks before
    run_block(block);
  }
  tsan_acquire(&end_tag_);
  arena_.end();
  kernel_ = nullptr;
}

void machine::run_block(unsigned block) {
  dim3 const grid = shape_.grid, size = shape_.block;
  block_ = block;
  block_index_ = {block % grid.x, block / grid.x % grid.y, block / grid.x / grid.y};
  live_ = size_;
  waiting_ = votes_ = 0;
  naps_ = 0;
  if (under_tsan || !tags_) {
    tags_.reset();
    tags_ = std::make_unique<block_tags>();
  }
  for (unsigned i = 0; i < size_; ++i) {
    device_thread& t = *threads_[i];
    t.rank = i;
    t.index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    t.now = state::ready;
    t.at = {};
  }
  for (unsigned first = 0; first < size_; first += warp_size) warps_[first / warp_size].begin(size_ - first);
  std::vector<unsigned> order(size_);
  std::iota(order.begin(), order.end(), 0u);
  if (schedule_.how == order::reverse) std::reverse(order.begin(), order.end());
  while (live_ != 0)
    if (!pass(order)) deadlock();
}

/// Lets every thread that can run do so; false if there was none.
bool machine::pass(std::vector<unsigned>& order) {
  bool any = false;
  if (schedule_.how == order::runahead || schedule_.how == order::runahead_reverse) {
    unsigned const warps = (size_ + warp_size - 1) / warp_size;
    for (unsigned k = 0; k < warps; ++k) {
      unsigned const first = (schedule_.how == order::runahead ? k : warps - 1 - k) * warp_size;
      for (bool more = true; more;) {
        more = false;
        for (unsigned i = first; i < std::min(first + warp_size, size_); ++i) {
          if (threads_[i]->now != state::ready) continue;
          any = more = true;
          resume(*threads_[i]);
        }
        if (naps_ >= warp_size) break;  // it waits for another warp
      }
    }
    return any;
  }
  if (schedule_.how == order::random) std::shuffle(order.begin(), order.end(), random_);
  for (unsigned const i : order) {
    if (threads_[i]->now != state::ready) continue;
    any = true;
    resume(*threads_[i]);
  }
  return any;
}

void machine::deadlock() {
  std::fprintf(stderr, "cuda_sim: kernel %s, block %u: deadlock\n", shape_.name, block_);
  for (unsigned i = 0; i < size_;) {
    device_thread const& t = *threads_[i];
    unsigned end = i + 1;
    while (end < size_ && threads_[end]->now == t.now && same_place(threads_[end]->at, t.at)) ++end;
    if (t.now == state::done)
      std::fprintf(stderr, "cuda_sim:   threads %u to %u have ended\n", i, end - 1);
    else
      std::fprintf(stderr, "cuda_sim:   threads %u to %u wait at %s:%u in %s\n", i, end - 1, t.at.file_name(),
                   static_cast<unsigned>(t.at.line()), t.now == state::at_barrier ? "a barrier" : name_of(t.op));
    i = end;
  }
  std::abort();
}

}  // namespace

void run(launch_shape const& shape, std::function<void()> const& kernel) { machine::here().run(shape, kernel); }

uint3 thread_index() { return machine::here().self().index; }
uint3 block_index() {
  static_cast<void>(machine::here().self());
  return machine::here().block_index();
}
dim3 block_size() { return machine::here().shape().block; }
dim3 grid_size() { return machine::here().shape().grid; }
unsigned lane() { return machine::here().self().rank % warp_size; }
unsigned block_barrier(bool vote, where at) { return machine::here().barrier(vote, at); }
std::uint64_t meet(warp_op op, unsigned mask, std::uint64_t value, unsigned source, where at) {
  return machine::here().meet(op, mask, value, source, at);
}
void fence() { machine::here().fence(); }
float made_nan(float x) { return machine::here().in_kernel() ? __builtin_bit_cast(float, 0x7fffffffu) : x; }
void nap(where at) { machine::here().nap(at); }
void misuse(char const* why, where at) { machine::here().fail(at, "%s", why); }
void misaligned(std::size_t size, std::size_t alignment, where at) {
  machine::here().fail(at, "an access of %zu bytes at an address that is no multiple of %zu", size, alignment);
}
void* shared_object(void const* declaration, std::size_t size, std::size_t alignment) {
  return machine::here().shared(declaration, size, alignment);
}

}  // namespace cuda_sim
