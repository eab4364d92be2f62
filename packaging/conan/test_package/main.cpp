#include <ccomp/core/types.hpp>
#include <ccomp/version.hpp>

#include <cstdio>

#if defined(CONSUMER_HAS_eigen) && !__has_include(<Eigen/Core>)
#error "ccomp::eigen does not bring Eigen"
#endif
#ifdef CONSUMER_HAS_compiled
#include <ccomp/any_compressor.hpp>
#if !CCOMP_LINKED
#error "ccomp::compiled does not say that it is linked"
#endif
#endif
#ifdef CONSUMER_HAS_cuda
#include <cuda_runtime_api.h>
#endif
#ifdef CONSUMER_HAS_cublas
#include <cublas_v2.h>
#endif
#ifdef CONSUMER_HAS_cusolver
#include <cusolverDn.h>
#endif
#ifdef CONSUMER_HAS_nccl
#include <nccl.h>
#endif
#ifdef CONSUMER_HAS_mpi
#include <ccomp/comm/mpi.hpp>

// A program that mpirun has not started is the only rank.
static bool starts_mpi() {
  ccomp::mpi_environment const mpi;
  ccomp::mpi_communicator const comm(MPI_COMM_WORLD);
  return comm.rank() < comm.size();
}
#endif

// The smallest program that needs ccomp's headers, C++20 and the libraries of the components. None of its calls needs a GPU.
int main() {
  auto const third = static_cast<float>(ccomp::bfloat16(1.0f / 3));
  bool well = third == 0.333984375f;
  [[maybe_unused]] int version = 0;
#ifdef CONSUMER_HAS_compiled
  well = ccomp::any_compressor("top_k(0.5)|natural").text() == "top_k(ratio=0.5)|natural" && well;
#endif
#ifdef CONSUMER_HAS_cuda
  well = cudaRuntimeGetVersion(&version) == cudaSuccess && well;
#endif
#ifdef CONSUMER_HAS_cublas
  well = cublasGetProperty(MAJOR_VERSION, &version) == CUBLAS_STATUS_SUCCESS && well;
#endif
#ifdef CONSUMER_HAS_cusolver
  well = cusolverGetProperty(MAJOR_VERSION, &version) == CUSOLVER_STATUS_SUCCESS && well;
#endif
#ifdef CONSUMER_HAS_nccl
  well = ncclGetVersion(&version) == ncclSuccess && well;
#endif
#ifdef CONSUMER_HAS_mpi
  well = starts_mpi() && well;
#endif
  std::printf("ccomp %s: a third as bfloat16 is %.9g\n", CCOMP_VERSION_STRING, third);
  return well ? 0 : 1;
}
