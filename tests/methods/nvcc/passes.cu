// Compiled, never run: a consumer's .cu file with every pass, behind transforms and without, for each element type.
#include "all_passes.cuh"
#if __has_include(<nccl.h>)
#include <ccomp/comm/nccl.hpp>

void reduce(ccomp::nccl_communicator& comm, std::span<float> x) {
  ccomp::cuda_exec const ex;
  ccomp::workspace<ccomp::cuda_exec> ws{ex};
  ccomp::allreduce(ex, comm, ccomp::hadamard_rotate{} | ccomp::natural{}, x, ws);
  ccomp::allreduce(ex, comm, ccomp::cast<ccomp::bfloat16>{}, x, ws);
}
#endif

void reduce(ccomp::thread_communicator& comm, std::span<float> x) {
  ccomp::cuda_exec const ex;
  ccomp::workspace<ccomp::cuda_exec> ws{ex};
  ccomp::allreduce(ex, comm, ccomp::cast<ccomp::bfloat16>{}, x, ws);
}

void use(std::span<float> x, std::span<ccomp::float16> y, std::span<ccomp::bfloat16> z, std::span<std::byte> payload) {
  all_passes(ccomp::natural{}, x, payload);
  all_passes(ccomp::cast<ccomp::bfloat16>{}, y, payload);
  ccomp::workspace<ccomp::cuda_exec> ws{ccomp::cuda_exec{}};
  ccomp::encode(ccomp::cuda_exec{}, ccomp::cast<ccomp::bfloat16>{}, std::span<__half>(), payload, ws);
  all_passes(ccomp::hadamard_rotate{} | ccomp::natural{}, z, payload);
  all_passes(ccomp::top_k{} | ccomp::natural{}, x, payload);  // every kernel of every sparsifier
}
