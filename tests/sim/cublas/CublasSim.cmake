# ccomp-cublas-sim: a stand-in for libcublas over the simulated CUDA runtime, for the tests of tests/areas/cuda/. Needs cublas_v2.h
# only; without it the tests of power_sgd on GPUs are skipped. After CudaSim.cmake.
set(CCOMP_CUBLAS_SIM_INCLUDE "" CACHE STRING "Folder of cublas_v2.h (12.0 or later), if it is not among CUDA's headers")
find_path(ccomp_cublas_sim_include cublas_v2.h HINTS ${CCOMP_CUBLAS_SIM_INCLUDE} ${ccomp_cuda_include} NO_CACHE)

if(NOT TARGET ccomp-cuda-sim OR NOT ccomp_cublas_sim_include)
  return()
endif()

add_library(ccomp-cublas-sim STATIC EXCLUDE_FROM_ALL "${CMAKE_CURRENT_LIST_DIR}/cublas_sim.cpp")
target_link_libraries(ccomp-cublas-sim PRIVATE ccomp-own)
target_include_directories(ccomp-cublas-sim SYSTEM PUBLIC ${ccomp_cuda_include} ${ccomp_cublas_sim_include})
