#pragma once
/// Results of MPI as exceptions, for every MPI header of ccomp.

#include <ccomp/core/error.hpp>

// Only MPI's C interface is used; that of C++ left the standard with MPI 3.
#if !defined(OMPI_SKIP_MPICXX)
#define OMPI_SKIP_MPICXX 1
#endif
#if !defined(MPICH_SKIP_MPICXX)
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <string>

#if MPI_VERSION < 3
#error "ccomp needs MPI 3.0 or later"
#endif

CCOMP_BEGIN
namespace detail {

/// What MPI says of a result.
inline std::string mpi_text(int result) {
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  if (MPI_Error_string(result, text, &length) != MPI_SUCCESS) return sentence("error ", result);
  return text;
}

/// Throws mpi_error that names the call.
inline void check_mpi(int result, char const* call, source at = source::current()) {
  if (result != MPI_SUCCESS) [[unlikely]]
    fail<mpi_error>(sentence(call, ": ", mpi_text(result)), at);
}

inline char const* mpi_level_name(int level) {
  return level == MPI_THREAD_SINGLE       ? "MPI_THREAD_SINGLE"
         : level == MPI_THREAD_FUNNELED   ? "MPI_THREAD_FUNNELED"
         : level == MPI_THREAD_SERIALIZED ? "MPI_THREAD_SERIALIZED"
                                          : "MPI_THREAD_MULTIPLE";
}

}  // namespace detail
CCOMP_END
