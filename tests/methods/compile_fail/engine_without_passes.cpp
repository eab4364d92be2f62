// expect: the engine of this execution lacks what collectives ask for
#include <ccomp/collectives.hpp>
#include <ccomp/quantize/uniform.hpp>

struct tape_exec {
  void* allocate(std::size_t) const { return nullptr; }
  void deallocate(void*) const {}
};
/// Has what every engine inherits, and nothing of its own.
struct tape_engine : ccomp::detail::engine_base<tape_exec> {
  using ccomp::detail::engine_base<tape_exec>::engine_base;
};
template <> struct ccomp::detail::engine_for<tape_exec> {
  template <class C> static auto stages_of(C const& c) { return host_stages_of(c); }
  template <bool, bool, class C, class Comm>
  static tape_engine make(tape_exec const&, Comm&, C const&, collective_call const& call, workspace<tape_exec>& ws) {
    return {call, ws};
  }
};

struct bytes_only {
  int rank() const { return 0; }
  int size() const { return 1; }
  void all_gather(tape_exec const&, std::span<std::byte const>, std::span<std::byte>) {}
};

void call(bytes_only& comm, std::span<float> x, ccomp::workspace<tape_exec>& ws) {
  ccomp::allreduce(tape_exec{}, comm, ccomp::uniform_quantize<8>{}, x, ws);
}
