#pragma once
/// Stack switching, and what the sanitizers must be told about it. Only the simulator's machine includes this; it is
/// compiled without -fsanitize, and CCOMP_SIM_ASAN or CCOMP_SIM_TSAN say what the rest of the program has.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#if !defined(__x86_64__) && !defined(CCOMP_SIM_UCONTEXT)
#define CCOMP_SIM_UCONTEXT
#endif
#if defined(CCOMP_SIM_UCONTEXT)
#include <ucontext.h>
#endif

extern "C" {
#if defined(CCOMP_SIM_ASAN)
void __sanitizer_start_switch_fiber(void** fake_stack, void const* bottom, std::size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack, void const** old_bottom, std::size_t* old_size);
void __asan_poison_memory_region(void const volatile*, std::size_t);
void __asan_unpoison_memory_region(void const volatile*, std::size_t);
#endif
#if defined(CCOMP_SIM_TSAN)
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned);
void __tsan_destroy_fiber(void*);
void __tsan_switch_to_fiber(void*, unsigned);
void __tsan_acquire(void*);
void __tsan_release(void*);
#endif
#if !defined(CCOMP_SIM_UCONTEXT)
void ccomp_sim_switch(void** save, void* load) __attribute__((visibility("hidden")));
#endif
}

#if !defined(CCOMP_SIM_UCONTEXT)
// Saves the callee-saved registers on this stack, goes on with the other one.
asm(R"(
.pushsection .text
.globl ccomp_sim_switch
.hidden ccomp_sim_switch
.type ccomp_sim_switch,@function
ccomp_sim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size ccomp_sim_switch, .-ccomp_sim_switch
.popsection
)");
#endif

namespace cuda_sim {
namespace {

#if defined(CCOMP_SIM_TSAN)
constexpr bool under_tsan = true;
inline void tsan_acquire(void* tag) { __tsan_acquire(tag); }
inline void tsan_release(void* tag) { __tsan_release(tag); }
#else
constexpr bool under_tsan = false;
inline void tsan_acquire(void*) {}
inline void tsan_release(void*) {}
#endif

#if defined(CCOMP_SIM_ASAN)
inline void poison(void const* p, std::size_t size) { __asan_poison_memory_region(p, size); }
inline void unpoison(void const* p, std::size_t size) { __asan_unpoison_memory_region(p, size); }
#else
inline void poison(void const*, std::size_t) {}
inline void unpoison(void const*, std::size_t) {}
#endif

/// A stack to leave and to come back to.
struct context {
#if defined(CCOMP_SIM_UCONTEXT)
  ucontext_t at{};
#else
  void* at = nullptr;
#endif
  void* fake_stack = nullptr;  // ASan's, kept while the stack is not in use
  void* tsan = nullptr;
};

/// The host thread's own stack.
struct host_side : context {
  void const* bottom = nullptr;
  std::size_t size = 0;
};

/// A stack of its own, with memory below that must not be touched. It is entered again and again, never ended.
struct fiber : context {
  static constexpr std::size_t stack_size = std::size_t{256} << 10;
  static constexpr std::size_t guard = std::size_t{64} << 10;
  char* memory = nullptr;

  explicit fiber(void (*entry)()) {
    void* got =
        mmap(nullptr, guard + stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) {
      std::fprintf(stderr, "cuda_sim: no memory for the stack of a thread\n");
      std::abort();
    }
    memory = static_cast<char*>(got);
    static_cast<void>(mprotect(memory, guard, PROT_NONE));
#if defined(CCOMP_SIM_UCONTEXT)
    getcontext(&at);
    at.uc_stack.ss_sp = stack();
    at.uc_stack.ss_size = stack_size;
    at.uc_link = nullptr;
    makecontext(&at, entry, 0);
#else
    auto** top = reinterpret_cast<void**>(stack() + stack_size);
    *--top = nullptr;  // keeps the stack aligned as after a call
    *--top = reinterpret_cast<void*>(entry);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    at = top;
#endif
#if defined(CCOMP_SIM_TSAN)
    tsan = __tsan_create_fiber(0);
#endif
  }
  ~fiber() {
#if defined(CCOMP_SIM_TSAN)
    __tsan_destroy_fiber(tsan);
#endif
    munmap(memory, guard + stack_size);
  }
  fiber(fiber const&) = delete;
  fiber& operator=(fiber const&) = delete;

  [[nodiscard]] char* stack() const { return memory + guard; }
};

inline void switch_stack(context& from, context& to) {
#if defined(CCOMP_SIM_TSAN)
  __tsan_switch_to_fiber(to.tsan, 1);  // 1: the switch itself orders nothing
#endif
#if defined(CCOMP_SIM_UCONTEXT)
  swapcontext(&from.at, &to.at);
#else
  ccomp_sim_switch(&from.at, to.at);
#endif
}

/// From the host's stack into the fiber, until it gives way.
inline void enter(host_side& host, fiber& to) {
#if defined(CCOMP_SIM_ASAN)
  __sanitizer_start_switch_fiber(&host.fake_stack, to.stack(), fiber::stack_size);
#endif
#if defined(CCOMP_SIM_TSAN)
  host.tsan = __tsan_get_current_fiber();
#endif
  switch_stack(host, to);
#if defined(CCOMP_SIM_ASAN)
  __sanitizer_finish_switch_fiber(host.fake_stack, nullptr, nullptr);
#endif
}

/// From the fiber back to the host's stack.
inline void depart(fiber& from, [[maybe_unused]] host_side& host) {
#if defined(CCOMP_SIM_ASAN)
  __sanitizer_start_switch_fiber(&from.fake_stack, host.bottom, host.size);
#endif
  switch_stack(from, host);
}

/// The first thing after the fiber has been entered, perhaps from another host thread than it departed to.
inline void arrive([[maybe_unused]] fiber& to, [[maybe_unused]] host_side& host) {
#if defined(CCOMP_SIM_ASAN)
  __sanitizer_finish_switch_fiber(to.fake_stack, &host.bottom, &host.size);
#endif
}

/// In the middle of a kernel, which stays with its host thread.
inline void give_way(fiber& from, host_side& host) {
  depart(from, host);
  arrive(from, host);
}

}  // namespace
}  // namespace cuda_sim
