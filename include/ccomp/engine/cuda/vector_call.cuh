#pragma once
/// One segment of a chain that ends in a vector stage, and the scratch that its kernels take.

#include <ccomp/engine/cuda/program.cuh>
#include <ccomp/engine/cuda/selection_call.cuh>

CCOMP_BEGIN
namespace detail {

/// Scratch, and how much of it was taken at most.
class metered_scratch {
 public:
  metered_scratch(scratch memory, std::size_t& most) : memory_(memory), whole_(memory.rest().size()), most_(&most) {}

  template <class T> T* take(std::uint64_t count) {
    T* const p = memory_.take<T>(count);
    *most_ = std::max(*most_, whole_ - memory_.rest().size());
    return p;
  }
  /// `count` for each of `items`, each on 64 bytes.
  template <class T> per_item<T> take_each(std::uint64_t count, std::uint64_t items) {
    std::uint64_t const bytes = scratch::bytes_for<T>(count);
    return {reinterpret_cast<T*>(take<std::byte>(bytes * items)), bytes};
  }

 private:
  scratch memory_;
  std::size_t whole_;
  std::size_t* most_;
};

/// Null stays null: sizes are asked for before there are pointers.
template <class T> T* past(T* p, std::uint64_t bytes) {
  return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(p) + (p ? bytes : 0));
}

/// One segment that ends in a vector stage, on equal items.
struct vector_call {
  segment s;
  device_program front, tail;  // the transforms before it, and what codes its carrier
  block_call k;
  unsigned items;
  std::uint64_t n;  // of an item
  device_vector_ops const* ops;
  selection what;  // of a stage that is no sparsifier: n and the size of the carrier
  element_type carrier_type;
  std::uint64_t rest;  // where the carrier's payload begins,
  bool raw;            // which is the carrier itself

  vector_call(device_program const& p, block_call const& call)
      : s(first_segment(p.stages)),
        front(p),
        tail(p.tail(s.transforms.size() + 1)),
        k(call),
        items(call.chunks),
        n(call.chunks > 1 ? call.chunk : call.n),
        carrier_type(carried_type(s, call.type)),
        raw(s.tail.empty() && carrier_type == element_type::float32) {
    front.stages = s.transforms;
    auto const name = [&] { return "CUDA: " + s.end.ops->text(s.end.stage); };
    ops = nullptr;
    for (auto const& table : p.ops)
      if (auto const* const stage = table[s.transforms.size()]) ops = stage->vector;
    expects(ops, [&] { return name() + " runs on the host only"; });
    expects(!k.counted, [&] {
      return name() +
             " runs on the host only where it follows a threshold, of whose carrier only the device knows the "
             "length";
    });
    what = ops->selects ? ops->selects(s.end.stage, n)
                        : selection{.n = n, .kept = s.vector()->carrier_size(s.end.stage, n)};
    rest = pad16(what.side_bytes());
  }

  [[nodiscard]] bool transformed() const { return !s.transforms.empty(); }
  [[nodiscard]] bool selects() const { return ops->selects != nullptr; }
  [[nodiscard]] bool drawn() const {
    return what.kind == selection_kind::drawn || what.kind == selection_kind::drawn_blocks;
  }
  /// A call with this one's place in the run, over `count` items of `values` each.
  [[nodiscard]] block_call plain(std::uint64_t values, unsigned count) const {
    block_call t;
    t.n = values * count;
    t.type = carrier_type;
    t.phase = k.phase;
    t.random = k.random;
    t.first = k.first;
    t.first_stride = k.first_stride;
    t.prescale = k.prescale;
    t.chunks = count;
    t.chunk = values;
    t.status = k.status;
    return t;
  }
  [[nodiscard]] vector_source source() const {
    vector_source from;
    from.in = k.in;
    from.n = from.stride = n;
    from.first = k.first;
    from.first_stride = k.first_stride;
    from.decay = k.decay;
    from.random = k.random;
    from.phase = k.phase;
    return from;
  }
};

/// Calls `f` with chunks of one size at a time.
template <class F> void for_each_size(block_call const& k, F const& f) {
  if (k.chunks <= 1) {
    if (k.n > 0) f(k);
    return;
  }
  auto const full = static_cast<unsigned>(std::min<std::uint64_t>(k.chunks, k.chunk > 0 ? k.n / k.chunk : 0));
  auto const some = [&](unsigned begin, unsigned count, std::uint64_t size) {
    block_call t = k;
    t.chunks = count;
    t.n = count * size;
    t.chunk = size;
    t.first += begin * k.first_stride;
    t.in = advanced(k.in, begin * k.chunk);
    t.residual = advanced(k.residual, begin * k.chunk);
    t.out = advanced(k.out, begin * k.chunk);
    t.payload = past(k.payload, begin * k.payload_stride);
    t.sources = past(k.sources, begin * k.chunk_source_stride);
    f(t);
  };
  if (full > 0) some(0, full, k.chunk);
  if (full < k.chunks && k.n > full * k.chunk) some(full, 1, k.n - full * k.chunk);
}

}  // namespace detail
CCOMP_END
