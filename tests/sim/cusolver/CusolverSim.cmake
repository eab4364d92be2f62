# ccomp-cusolver-sim: a stand-in for libcusolver over the simulated CUDA runtime, for the tests of tests/areas/cuda/. Needs
# cusolverDn.h only, which includes cublas_v2.h; without it the tests of svd on GPUs are skipped. After CublasSim.cmake.
set(CCOMP_CUSOLVER_SIM_INCLUDE "" CACHE STRING "Folder of cusolverDn.h (12.0 or later), if it is not among CUDA's headers")
find_path(ccomp_cusolver_sim_include cusolverDn.h HINTS ${CCOMP_CUSOLVER_SIM_INCLUDE} ${ccomp_cuda_include} NO_CACHE)

if(NOT TARGET ccomp-cublas-sim OR NOT ccomp_cusolver_sim_include)
  return()
endif()

add_library(ccomp-cusolver-sim STATIC EXCLUDE_FROM_ALL "${CMAKE_CURRENT_LIST_DIR}/cusolver_sim.cpp")
target_link_libraries(ccomp-cusolver-sim PRIVATE ccomp-own PUBLIC ccomp-cublas-sim)
target_include_directories(ccomp-cusolver-sim SYSTEM PUBLIC ${ccomp_cusolver_sim_include})
