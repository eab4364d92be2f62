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

# ccomp_front_end_test(<name> <source>...): the sources, as one, pass through nvcc's front end, host and device code, warnings
# as errors: ctest nvcc.<name> of label nvcc. For the programs for GPUs, which nothing else compiles on a machine without
# one. For one architecture: the front end reads nearly the same text for all. -ptx: no host compiler after it.
function(ccomp_front_end_test name)
  if(NOT CCOMP_NVCC OR NOT CCOMP_BUILD_TESTS) # tests/areas/cuda says so
    return()
  endif()
  set(files "")
  set(headers "")
  set(folders "")
  foreach(source IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH source NORMALIZE OUTPUT_VARIABLE file)
    file(STRINGS "${file}" found REGEX "#include <ccomp/(comm/nccl|low_rank/).*>")
    string(APPEND headers "${found}")
    list(APPEND files "${file}")
    cmake_path(GET file PARENT_PATH folder)
    list(APPEND folders "${folder}")
  endforeach()
  list(REMOVE_DUPLICATES folders)
  if((headers MATCHES "nccl" AND NOT TARGET ccomp::nccl) #
     OR (headers MATCHES "low_rank" AND NOT (TARGET ccomp::eigen AND TARGET ccomp::cublas AND TARGET ccomp::cusolver)))
    ccomp_skipped_test(nvcc.${name} nvcc "what nvcc says of ${name}; get NCCL with its package, Eigen with: apt-get install libeigen3-dev")
    return()
  endif()
  set(include "")
  foreach(folder IN LISTS folders ITEMS "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/tests" "${PROJECT_SOURCE_DIR}")
    list(APPEND include -I "${folder}")
  endforeach()
  if(TARGET ccomp::eigen)
    get_target_property(folder Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
    list(APPEND include -isystem "${folder}")
  endif()
  if(TARGET ccomp::nccl)
    list(APPEND include -isystem "${CCOMP_NCCL_INCLUDE}")
  endif()
  set(front_end "${CCOMP_NVCC}" -std=c++20 -arch=compute_90 -fdevice-syntax-only -ptx -Werror all-warnings -DNDEBUG
                "-DCCOMP_BENCH_GRADIENTS=\"\"" ${include})
  add_test(NAME nvcc.${name}
           COMMAND ${CMAKE_COMMAND} "-DSOURCES=${files}" "-DTOGETHER=${CMAKE_CURRENT_BINARY_DIR}/${name}.cu"
                   "-DFRONT_END=${front_end}" -P "${PROJECT_SOURCE_DIR}/tests/methods/nvcc/FrontEnd.cmake")
  ccomp_test_properties(nvcc.${name} nvcc TIMEOUT 600)
endfunction()
