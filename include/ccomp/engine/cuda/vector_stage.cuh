#pragma once
/// Vector stages that are no sparsifiers, on a GPU: what such a stage gets of one tensor, and what it offers.

#include <ccomp/engine/cuda/transform.cuh>
#include <ccomp/exec/cuda_workspace.hpp>
#include <ccomp/sparsify/selection.hpp>

CCOMP_BEGIN
namespace detail {

/// n values as floats and their carrier, in device memory; `memory` is as large as the stage asked for.
struct device_encode_call {
  float const* values = nullptr;
  std::uint64_t n = 0;
  float* carrier = nullptr;
  device_random at{};
  std::span<std::byte> memory{};
};
/// What a carrier that stands for nothing (of values that were not finite) becomes.
enum class lost_values { nan, zero };
struct device_decode_call {
  float const* carrier = nullptr;
  float* values = nullptr;
  std::uint64_t n = 0;
  bool add = false;  // to what is there
  lost_values lost = lost_values::nan;
  std::span<std::byte> memory{};
};

/// What a vector stage S without side bytes offers on a GPU, specialised in its own .cuh header:
///   static std::size_t encode_bytes(S const&, std::size_t n);  // of device_encode_call::memory
///   static std::size_t decode_bytes(S const&, std::size_t n);
///   static void prepare(S const&, std::size_t n, workspace<cuda_exec>&);
///   static void encode(S const&, cuda_exec const&, workspace<cuda_exec>&, device_encode_call const&);
///   static void decode(S const&, cuda_exec const&, device_decode_call const&);
/// `prepare` refuses what cannot be encoded, before anything is queued; `encode` and `decode` only queue.
template <class S> struct device_vector;

template <class S>
concept has_device_vector = requires {
  sizeof(device_vector<S>);
};
template <class S>
concept has_selects = requires(S const& s, std::size_t n) {
  s.selects(n);
};

/// The same without the type. A sparsifier has `selects` alone.
struct device_vector_ops {
  selection (*selects)(void const* stage, std::size_t n) = nullptr;
  std::size_t (*encode_bytes)(void const* stage, std::size_t n) = nullptr;
  std::size_t (*decode_bytes)(void const* stage, std::size_t n) = nullptr;
  void (*prepare)(void const* stage, std::size_t n, workspace<cuda_exec>&) = nullptr;
  void (*encode)(void const* stage, cuda_exec const&, workspace<cuda_exec>&, device_encode_call const&) = nullptr;
  void (*decode)(void const* stage, cuda_exec const&, device_decode_call const&) = nullptr;
};
template <class S> constexpr device_vector_ops make_device_vector_ops() {
  device_vector_ops ops;
  if constexpr (has_selects<S>) {
    ops.selects = [](void const* s, std::size_t n) -> selection { return as<S>(s).selects(n); };
  } else {
    using own = device_vector<S>;
    ops.encode_bytes = [](void const* s, std::size_t n) { return own::encode_bytes(as<S>(s), n); };
    ops.decode_bytes = [](void const* s, std::size_t n) { return own::decode_bytes(as<S>(s), n); };
    ops.prepare = [](void const* s, std::size_t n, workspace<cuda_exec>& ws) { own::prepare(as<S>(s), n, ws); };
    ops.encode = [](void const* s, cuda_exec const& ex, workspace<cuda_exec>& ws, device_encode_call const& c) {
      own::encode(as<S>(s), ex, ws, c);
    };
    ops.decode = [](void const* s, cuda_exec const& ex, device_decode_call const& c) { own::decode(as<S>(s), ex, c); };
  }
  return ops;
}
template <class S> inline constexpr device_vector_ops device_vector_ops_of = make_device_vector_ops<S>();

}  // namespace detail
CCOMP_END
