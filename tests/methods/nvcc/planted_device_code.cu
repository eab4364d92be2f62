// Compiled to see that it is refused: a mistake in code that only the device's compiler reads.
__global__ void kernel(int* out) {
#if defined(__CUDA_ARCH__)
  *out = threadIdx.x + ;
#else
  *out = 0;
#endif
}
