#pragma once
/// Memory that NCCL reaches without copying: buffers from its allocator, and the registration of buffers. NCCL 2.19.

#include <ccomp/comm/nccl.hpp>

#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 19, 0)

CCOMP_BEGIN

/// Device memory from NCCL's allocator, as registration wants it. Move-only.
///
/// Throws nccl_error if there is no memory. The destructor unmaps it at once, so work that uses it must be done by
/// then.
class nccl_memory {
 public:
  /// On the current device. No bytes: no allocation.
  explicit nccl_memory(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    void* data = nullptr;
    detail::check_nccl(ncclMemAlloc(&data, bytes), "ncclMemAlloc");
    data_.reset(static_cast<std::byte*>(data));
  }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_.get(), data_ ? bytes_ : 0}; }

 private:
  struct deleter {
    void operator()(std::byte* data) const noexcept { detail::ignore_error(ncclMemFree(data)); }
  };
  std::unique_ptr<std::byte, deleter> data_;
  std::size_t bytes_;
};

/// A buffer that NCCL may use in place, for the lifetime of this object. The buffer must outlive this object; the
/// communicator need not. Results are the same with and without registration. Move-only.
///
/// Throws invalid_argument for host memory, nccl_error if NCCL refuses the buffer. The destructor never throws.
class nccl_registration {
 public:
  /// A buffer of this rank: not collective.
  nccl_registration(nccl_communicator& comm, std::span<std::byte> buffer) : comm_(expect(comm, buffer)) {
    if (buffer.empty()) return;
    auto const handle = comm_.lock();
    handle->settle(ncclCommRegister(handle->get(), buffer.data(), buffer.size(), &buffer_), "ncclCommRegister");
  }

#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
  /// A symmetric window of nccl_memory: collective, with the same number of bytes on every rank. NCCL uses its fastest
  /// kernels if all buffers of a call lie in such windows, at the same offset. With no bytes, the call is not
  /// collective.
  [[nodiscard]] static nccl_registration symmetric(nccl_communicator& comm, std::span<std::byte> buffer) {
    nccl_registration made(expect(comm, buffer));
    if (buffer.empty()) return made;
    auto const handle = made.comm_.lock();
    handle->settle(
        ncclCommWindowRegister(handle->get(), buffer.data(), buffer.size(), &made.window_, NCCL_WIN_COLL_SYMMETRIC),
        "ncclCommWindowRegister");
    return made;
  }
#endif

  nccl_registration(nccl_registration&& other) noexcept { swap(other); }
  nccl_registration& operator=(nccl_registration&& other) noexcept {
    nccl_registration(std::move(other)).swap(*this);
    return *this;
  }
  ~nccl_registration() {
    // With its communicator every registration is gone.
    auto const handle = comm_.lock();
    if (!handle || !handle->get() || !handle->broken().empty()) return;
    if (buffer_) detail::ignore_error(ncclCommDeregister(handle->get(), buffer_));
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
    if (window_) detail::ignore_error(ncclCommWindowDeregister(handle->get(), window_));
#endif
  }

 private:
  using weak_handle = std::weak_ptr<detail::nccl_handle>;

  explicit nccl_registration(weak_handle comm) : comm_(std::move(comm)) {}

  static weak_handle expect(nccl_communicator& comm, std::span<std::byte> buffer) {
    constexpr auto call = "nccl_registration";
    auto const& handle = comm.usable(call);
    if (!buffer.empty()) {
      detail::device_scope const scope(handle.device());
      nccl_communicator::expect_device(cuda_exec{}, call, {buffer.data(), buffer.size(), "the buffer"});
    }
    return comm.handle_;
  }
  void swap(nccl_registration& other) noexcept {
    std::swap(comm_, other.comm_);
    std::swap(buffer_, other.buffer_);
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
    std::swap(window_, other.window_);
#endif
  }

  weak_handle comm_;
  void* buffer_ = nullptr;
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
  ncclWindow_t window_ = nullptr;
#endif
};

CCOMP_END

#endif
