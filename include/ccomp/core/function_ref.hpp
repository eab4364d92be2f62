#pragma once
/// A function object by reference. What takes one is compiled once, not once for each lambda.

#include <ccomp/core/config.hpp>

#include <type_traits>

CCOMP_BEGIN
namespace detail {

template <class> class function_ref;

/// Valid while the object it was made of lives. Calls need its const operator().
template <class R, class... Args> class function_ref<R(Args...)> {
 public:
  template <class F>
  requires(!std::is_same_v<F, function_ref>)
  function_ref(F const& f) noexcept
      : object_(&f),
        call_([](void const* object, Args... args) -> R { return (*static_cast<F const*>(object))(args...); }) {}

  R operator()(Args... args) const { return call_(object_, args...); }

 private:
  void const* object_;
  R (*call_)(void const*, Args...);
};

}  // namespace detail
CCOMP_END
