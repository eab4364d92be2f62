#pragma once

#include <ccomp/comm/mpi_error.hpp>

CCOMP_BEGIN

namespace detail {
/// Set once a communicator has failed: then ranks may be gone that MPI_Finalize would wait for.
inline bool& mpi_has_failed() {
  static bool failed = false;
  return failed;
}
}  // namespace detail

/// Starts MPI, and ends it when it goes. For programs that do not do so themselves; at most one.
///
/// The destructor waits for all ranks, as MPI_Finalize does. After a failure of a mpi_communicator it returns at once:
/// MPI_Finalize could wait for a lost rank for ever. mpirun then ends the other ranks when this program ends.
///
/// Throws: invalid_argument if MPI runs already; mpi_error
class mpi_environment {
 public:
  /// MPI_THREAD_FUNNELED serves communicators that the main thread uses; others need MPI_THREAD_SERIALIZED or
  /// MPI_THREAD_MULTIPLE. MPI may give less than that; mpi_communicator checks.
  explicit mpi_environment(int thread_level = MPI_THREAD_FUNNELED) {
    int started = 0, given = 0;
    detail::check_mpi(MPI_Initialized(&started), "MPI_Initialized");
    detail::expects(!started, "mpi_environment: MPI has been initialised before");
    detail::check_mpi(MPI_Init_thread(nullptr, nullptr, thread_level, &given), "MPI_Init_thread");
  }
  mpi_environment(mpi_environment const&) = delete;
  mpi_environment& operator=(mpi_environment const&) = delete;
  ~mpi_environment() {
    int ended = 0;
    if (detail::mpi_has_failed() || MPI_Finalized(&ended) != MPI_SUCCESS || ended) return;
    static_cast<void>(MPI_Finalize());
  }
};

CCOMP_END
