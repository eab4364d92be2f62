# ccomp-nccl-sim: a stand-in for libnccl over the simulated CUDA runtime, for the tests of tests/areas/cuda/. Needs nccl.h only;
# without it the NCCL tests are skipped. After CudaSim.cmake.
set(CCOMP_NCCL_SIM_INCLUDE "" CACHE STRING "Folder of nccl.h (2.19 or later), if it is not among CUDA's headers")
ccomp_python_headers(ccomp_nccl_python_include nccl.h nccl cu13)
find_path(ccomp_nccl_sim_include nccl.h HINTS ${CCOMP_NCCL_SIM_INCLUDE} ${ccomp_cuda_include} PATHS
          ${ccomp_nccl_python_include} NO_CACHE)
set(ccomp_nccl_hint "pip install nvidia-nccl-cu13, or apt-get install libnccl-dev from NVIDIA's repository")

if(NOT TARGET ccomp-cuda-sim OR NOT ccomp_nccl_sim_include)
  return()
endif()

file(GLOB ccomp_nccl_sim_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/nccl_*.cpp")
add_library(ccomp-nccl-sim STATIC EXCLUDE_FROM_ALL ${ccomp_nccl_sim_sources})
target_link_libraries(ccomp-nccl-sim PRIVATE ccomp-own)
target_include_directories(ccomp-nccl-sim SYSTEM PUBLIC ${ccomp_cuda_include} ${ccomp_nccl_sim_include})
