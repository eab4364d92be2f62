#pragma once
/// A stand-in for libnccl, for tests: the real nccl.h, ranks are threads of one process (or communicators of one thread
/// inside a group), and collectives run on the streams of the simulated CUDA runtime. These are its handles for tests.
///
/// What it reports: ranks that disagree about a collective, a size or a root, as an asynchronous ncclInvalidUsage; a
/// rank that does not come, as an asynchronous ncclRemoteError after a while; a rank that aborts, as ncclRemoteError to
/// the others; wrong arguments and handles that are gone at once. Sums run in rank order, 16-bit types in float.

#include <nccl.h>

#include <chrono>
#include <string>

namespace nccl_sim {

/// How long a rank waits for its peers before NCCL calls them lost. 20 s unless set.
void patience(std::chrono::milliseconds);

/// How often a non-blocking communicator says ncclInProgress after a call. 3 unless set.
void polls(int);

/// The next call of this function, on any thread, returns `result` and does nothing.
void fail_next(std::string const& function, ncclResult_t result);

/// The communicator has an asynchronous error from now on.
void fail_async(ncclComm_t, ncclResult_t result);

/// How often a function was called since reset().
int calls(std::string const& function);

/// Communicators, registrations and allocations that exist.
int communicators();
int registrations();
int allocations();

/// Settings, failures to come and counts as at the start. Not the communicators.
void reset();

}  // namespace nccl_sim
