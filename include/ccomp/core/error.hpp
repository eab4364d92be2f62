#pragma once
/// Types of exceptions. Every message is one sentence that names the call and, if two values disagree, both values.

#include <ccomp/core/config.hpp>
#include <ccomp/core/sentence.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

namespace ccomp {

/// Base of everything ccomp throws.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// The arguments of the call are wrong; nothing was written.
struct invalid_argument : error {
  using error::error;
};
/// The bytes are not a payload of this compressor.
struct payload_error : error {
  using error::error;
};
/// Ranks called a collective with different tensors, compressors or options.
struct rank_mismatch : error {
  using error::error;
};
/// A rank failed or left, or the transport failed.
struct communicator_error : error {
  using error::error;
};
/// A rank did not arrive in time.
struct timeout : communicator_error {
  using communicator_error::communicator_error;
};
/// A call of the CUDA runtime failed.
struct cuda_error : error {
  using error::error;
};
/// NCCL reported a failure, of this rank or of the network.
struct nccl_error : communicator_error {
  using communicator_error::communicator_error;
};
/// MPI reported a failure.
struct mpi_error : communicator_error {
  using communicator_error::communicator_error;
};

}  // namespace ccomp

CCOMP_BEGIN
namespace detail {

/// std::source_location without the header: clang 14 and 15 cannot use libstdc++'s.
struct source {
  char const* file;
  int line;
  static constexpr source current(char const* f = __builtin_FILE(), int l = __builtin_LINE()) noexcept {
    return {f, l};
  }
  [[nodiscard]] std::string text() const {
    std::string_view path{file};
    if (auto const cut = path.rfind("ccomp/"); cut != std::string_view::npos) path.remove_prefix(cut);
    return sentence(path, ":", line);
  }
};

template <class Error = invalid_argument>
[[noreturn, gnu::cold, gnu::noinline]] void fail(std::string_view why, source at = source::current()) {
  throw Error(sentence("ccomp: ", why, " [", at.text(), "]"));
}

/// `why` is constant text or a callable that makes a string, so that a successful check never allocates.
template <class Error = invalid_argument, class Why>
inline void expects(bool ok, Why const& why, source at = source::current()) {
  if (ok) [[likely]]
    return;
  if constexpr (requires { why(); })
    fail<Error>(why(), at);
  else
    fail<Error>(why, at);
}

}  // namespace detail
CCOMP_END
