#pragma once
/// What every NCCL header of ccomp needs: results as exceptions, types, and waiting with a deadline.

#include <ccomp/core/communicator.hpp>
#include <ccomp/exec/cuda.hpp>

#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>

#if NCCL_VERSION_CODE < NCCL_VERSION(2, 18, 0)
#error "ccomp needs NCCL 2.18 or later"
#endif

CCOMP_BEGIN
namespace detail {

inline char const* nccl_name(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "ncclSuccess";
    case ncclUnhandledCudaError:
      return "ncclUnhandledCudaError";
    case ncclSystemError:
      return "ncclSystemError";
    case ncclInternalError:
      return "ncclInternalError";
    case ncclInvalidArgument:
      return "ncclInvalidArgument";
    case ncclInvalidUsage:
      return "ncclInvalidUsage";
    case ncclRemoteError:
      return "ncclRemoteError";
    case ncclInProgress:
      return "ncclInProgress";
    default:
      return "an unknown result";
  }
}

/// For destructors, and before an exception tells of it: NCCL leaves what CUDA told it as the runtime's last error.
inline void ignore_error(ncclResult_t result) noexcept {
  if (result == ncclUnhandledCudaError) static_cast<void>(cudaGetLastError());
}
/// `call: NCCL's words (the result's name): what NCCL noted last`.
inline std::string nccl_text(ncclResult_t result, std::string const& call, ncclComm_t comm = nullptr) {
  ignore_error(result);
  std::string text = call + ": " + ncclGetErrorString(result) + " (" + nccl_name(result) + ')';
  if (char const* const last = ncclGetLastError(comm); last && *last) text += std::string(": ") + last;
  return text;
}

/// Throws nccl_error that names the call.
inline void check_nccl(ncclResult_t result, char const* call, source at = source::current()) {
  if (result != ncclSuccess) [[unlikely]]
    fail<nccl_error>(nccl_text(result, call), at);
}

inline char const* wire_name(wire_type t) {
  constexpr char const* names[] = {"float32", "float16", "bfloat16", "int8", "int16", "int32", "uint32"};
  return names[static_cast<std::size_t>(t)];
}

/// NCCL's name of a type; throws invalid_argument for int16, which NCCL cannot add.
inline ncclDataType_t nccl_type(wire_type t, char const* call, source at = source::current()) {
  switch (t) {
    case wire_type::float32:
      return ncclFloat32;
    case wire_type::float16:
      return ncclFloat16;
    case wire_type::bfloat16:
      return ncclBfloat16;
    case wire_type::int8:
      return ncclInt8;
    case wire_type::int32:
      return ncclInt32;
    case wire_type::uint32:
      return ncclUint32;
    default:
      fail(sentence(call, ": NCCL has no ", wire_name(t), "; send int32, or gather and sum"), at);
  }
}
inline ncclRedOp_t nccl_op(wire_op op) { return op == wire_op::sum ? ncclSum : ncclMax; }

/// Asks `done` until it is, more and more rarely, down to once a millisecond. False once `limit` is over.
template <class Done> bool poll(std::chrono::milliseconds limit, Done const& done) {
  using clock = std::chrono::steady_clock;
  constexpr std::chrono::microseconds longest{1000};
  auto const start = clock::now();
  auto nap = std::chrono::microseconds(0);
  for (int asked = 0; !done(); ++asked) {
    // In milliseconds, because the limit may be the largest number there is.
    if (std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - start) >= limit) return false;
    if (asked < 64) {
      std::this_thread::yield();
    } else {
      nap = std::min(longest, nap * 2 + std::chrono::microseconds(10));
      std::this_thread::sleep_for(nap);
    }
  }
  return true;
}

/// How many groups this thread has open: inside one, nothing has been started yet, so there is nothing to wait for.
inline int& open_nccl_groups() {
  thread_local int count = 0;
  return count;
}

/// Makes a device current for a while.
class device_scope {
 public:
  explicit device_scope(int device) : before_(current_device()) {
    if (device != before_) check_cuda(cudaSetDevice(device), "cudaSetDevice");
  }
  device_scope(device_scope const&) = delete;
  device_scope& operator=(device_scope const&) = delete;
  ~device_scope() { ignore_error(cudaSetDevice(before_)); }

 private:
  int before_;
};

}  // namespace detail
CCOMP_END
