#pragma once
/// Memory that lasts between calls, wherever an exec runs.

#include <ccomp/core/config.hpp>

#include <cstddef>
#include <span>
#include <utility>

CCOMP_BEGIN
namespace detail {

/// `count` values of T, all bits zero at first; copies are deep.
template <class T, class Exec> class storage {
 public:
  explicit storage(Exec const& ex, std::size_t count = 0) : ex_(ex), count_(count) {
    if (count > 0) data_ = static_cast<T*>(ex_.allocate(bytes()));
    clear();
  }
  storage(storage const& other) : storage(other.ex_, other.count_) { copy(other); }
  storage(storage&& other) noexcept : ex_(other.ex_) { swap(other); }
  /// Allocates nothing if the sizes are equal.
  storage& operator=(storage const& other) {
    if (this == &other) return *this;
    if (count_ != other.count_)
      storage(other).swap(*this);
    else
      copy(other);
    return *this;
  }
  storage& operator=(storage&& other) noexcept {
    swap(other);
    return *this;
  }
  ~storage() {
    if (!data_) return;
    if constexpr (requires { ex_.let_go(data_); })
      ex_.let_go(data_);
    else
      ex_.deallocate(data_);
  }
  void swap(storage& other) noexcept {
    std::swap(ex_, other.ex_);
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }

  [[nodiscard]] std::span<T> span() const noexcept { return {data_, count_}; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return count_ * sizeof(T); }
  void clear() {
    ex_.fill_zero(data_, bytes());
    note_use(data_);
  }
  void load(void const* host) { ex_.copy_from_host(data_, host, bytes()); }
  void save(void* host) const { ex_.copy_to_host(host, data_, bytes()); }

 private:
  void copy(storage const& other) {
    ex_.copy(data_, other.data_, bytes());
    note_use(data_);
    note_use(other.data_);
  }
  /// Where work is only queued, memory goes after it.
  void note_use([[maybe_unused]] T const* data) const {
    if constexpr (requires { ex_.note_use(data); }) ex_.note_use(data);
  }

  Exec ex_;
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace detail
CCOMP_END
