# CUDA as a language of ccomp's own programs. None of it reaches a consumer.
find_program(CCOMP_NVCC nvcc HINTS "${CUDAToolkit_BIN_DIR}" /usr/local/cuda/bin)
mark_as_advanced(CCOMP_NVCC)

# Without anybody asking: where nvcc stands beside the compiler that it takes by itself, for the examples.
if(CCOMP_NVCC AND TARGET ccomp::cuda AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(ccomp_has_nvcc ON)
else()
  set(ccomp_has_nvcc OFF)
endif()

# At the top of the tree: enables the language, with C++20, and defines ccomp-own-cuda, the flags of .cu files. The
# programs share libcudart, as the tests on a GPU come between it and them.
macro(ccomp_enable_cuda)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 90)
  endif()
  set(CMAKE_CUDA_COMPILER "${CCOMP_NVCC}")
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
  enable_language(CUDA)
  if(NOT "cuda_std_20" IN_LIST CMAKE_CUDA_COMPILE_FEATURES) # CMake 3.25 does not know it of nvcc 13
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_COMPILE_FEATURES cuda_std_20)
    list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
  endif()
  add_library(ccomp-own-cuda INTERFACE)
  target_link_libraries(ccomp-own-cuda INTERFACE ccomp::cuda)
  target_compile_features(ccomp-own-cuda INTERFACE cuda_std_20)
  # A file has dozens of kernels; the optimizer takes all cores for them.
  target_compile_options(ccomp-own-cuda INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra;--split-compile=0>)
endmacro()
