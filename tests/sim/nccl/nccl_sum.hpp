#pragma once
/// What NCCL's reductions give, in rank order: integers wrap, 16-bit floats are summed in float and rounded once.

#include <nccl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace nccl_sim {

using bytes = std::vector<std::byte>;

/// Bytes of one number; 0 for a type that does not exist.
inline std::size_t width(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8:
      return 1;
    case ncclFloat16:
    case ncclBfloat16:
      return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
      return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
      return 8;
    default:
      return 0;
  }
}

/// `load` makes a number to calculate with, `store` brings it back.
template <class T, class Load, class Store>
bytes fold(std::vector<bytes> const& in, int op, Load const& load, Store const& store) {
  bytes out(in.at(0).size());
  for (std::size_t at = 0; at < out.size(); at += sizeof(T)) {
    auto value = [&](std::size_t rank) {
      T x;
      std::memcpy(&x, in[rank].data() + at, sizeof x);
      return load(x);
    };
    auto result = value(0);
    for (std::size_t r = 1; r < in.size(); ++r) {
      auto const x = value(r);
      if (op == ncclMax)
        result = x > result ? x : result;
      else if (op == ncclMin)
        result = x < result ? x : result;
      else
        result = result + x;
    }
    T const x = store(result);
    std::memcpy(out.data() + at, &x, sizeof x);
  }
  return out;
}
template <class T> bytes fold(std::vector<bytes> const& in, int op) {
  // Integers are added in 64 bits and wrap once, at the end.
  using wide = std::conditional_t<std::is_floating_point_v<T>, T,
                                  std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>;
  return fold<T>(in, op, [](T x) { return static_cast<wide>(x); }, [](wide x) { return static_cast<T>(x); });
}

/// Sum, maximum or minimum over ranks; nothing for other types and operations.
inline bytes reduce(std::vector<bytes> const& in, ncclDataType_t type, int op) {
  if (op != ncclSum && op != ncclMax && op != ncclMin) return {};
  switch (type) {
    case ncclInt8:
      return fold<std::int8_t>(in, op);
    case ncclUint8:
      return fold<std::uint8_t>(in, op);
    case ncclInt32:
      return fold<std::int32_t>(in, op);
    case ncclUint32:
      return fold<std::uint32_t>(in, op);
    case ncclFloat32:
      return fold<float>(in, op);
    case ncclFloat64:
      return fold<double>(in, op);
    case ncclFloat16:
      return fold<__half>(in, op, [](__half x) { return __half2float(x); }, [](float x) { return __float2half_rn(x); });
    case ncclBfloat16:
      return fold<__nv_bfloat16>(
          in, op, [](__nv_bfloat16 x) { return __bfloat162float(x); }, [](float x) { return __float2bfloat16_rn(x); });
    default:
      return {};
  }
}

}  // namespace nccl_sim
