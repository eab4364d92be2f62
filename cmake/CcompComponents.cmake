# The components of ccomp: each is a target that adds one outside library to ccomp::ccomp.
# Used by this build, by find_package(ccomp COMPONENTS ...) and by the package of Conan, so that all know the same list.
set(ccomp_known_components eigen cuda cublas cusolver nccl mpi)

# Sets ccomp_component_library to the target of the component's outside library. Where the library is not found there is no
# such target.
macro(ccomp_find_component_library component)
  if("${component}" STREQUAL "eigen") # low_rank/
    find_package(Eigen3 3.3 QUIET NO_MODULE)
    set(ccomp_component_library Eigen3::Eigen)
  elseif("${component}" STREQUAL "cuda") # exec/cuda.hpp: the runtime
    find_package(CUDAToolkit QUIET)
    set(ccomp_component_library CUDA::cudart)
  elseif("${component}" MATCHES "^(cublas|cusolver)$") # low_rank/power_sgd.cuh; low_rank/svd.cuh and randomized_svd.cuh
    find_package(CUDAToolkit QUIET)
    if(TARGET CUDA::${component} AND NOT TARGET ccomp::${component}_library)
      add_library(ccomp::${component}_library INTERFACE IMPORTED GLOBAL)
      target_link_libraries(ccomp::${component}_library INTERFACE CUDA::${component} CUDA::cudart)
    endif()
    set(ccomp_component_library ccomp::${component}_library)
  elseif("${component}" STREQUAL "nccl") # comm/nccl.hpp
    find_package(CUDAToolkit QUIET)
    if(TARGET CUDA::cudart AND NOT TARGET ccomp::nccl_library)
      find_path(CCOMP_NCCL_INCLUDE nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
      find_library(CCOMP_NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS ${CUDAToolkit_LIBRARY_DIR})
      mark_as_advanced(CCOMP_NCCL_INCLUDE CCOMP_NCCL_LIBRARY)
      if(CCOMP_NCCL_INCLUDE AND CCOMP_NCCL_LIBRARY)
        add_library(ccomp::nccl_library UNKNOWN IMPORTED GLOBAL)
        set_target_properties(ccomp::nccl_library PROPERTIES IMPORTED_LOCATION "${CCOMP_NCCL_LIBRARY}"
                              INTERFACE_INCLUDE_DIRECTORIES "${CCOMP_NCCL_INCLUDE}"
                              INTERFACE_LINK_LIBRARIES CUDA::cudart)
      endif()
    endif()
    set(ccomp_component_library ccomp::nccl_library)
  elseif("${component}" STREQUAL "mpi") # comm/mpi.hpp
    if(NOT TARGET MPI::MPI_CXX)
      set(MPI_CXX_SKIP_MPICXX TRUE) # MPI's own classes left its standard with MPI 3
      find_package(MPI 3.0 QUIET COMPONENTS CXX)
      unset(MPI_CXX_SKIP_MPICXX)
      if(TARGET MPI::MPI_CXX)
        set_target_properties(MPI::MPI_CXX PROPERTIES IMPORTED_GLOBAL TRUE)
      endif()
    endif()
    set(ccomp_component_library MPI::MPI_CXX)
  endif()
endmacro()

# Gives the target ccomp::<component> what its outside library brings.
function(ccomp_link_component component library)
  target_link_libraries(ccomp::${component} INTERFACE ccomp::ccomp ${library})
  # C++20 for .cu files, too. Of a pair of CMake and nvcc that do not know it of each other (3.25 and 13) the flag is
  # asked for by its name.
  if(CMAKE_CUDA_COMPILER_LOADED AND NOT component MATCHES "^(eigen|mpi)$")
    if("cuda_std_20" IN_LIST CMAKE_CUDA_COMPILE_FEATURES)
      target_compile_features(ccomp::${component} INTERFACE cuda_std_20)
    else()
      target_compile_options(ccomp::${component} INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>)
    endif()
  endif()
endfunction()

# Makes ccomp::<component> if its library is found; silent otherwise (ask with TARGET ccomp::<component>).
# Global, so that a project that has ccomp as a subdirectory sees it too.
macro(ccomp_define_component component)
  if(NOT TARGET ccomp::${component})
    ccomp_find_component_library(${component})
    if(TARGET ${ccomp_component_library})
      add_library(ccomp::${component} INTERFACE IMPORTED GLOBAL)
      ccomp_link_component(${component} ${ccomp_component_library})
    endif()
    unset(ccomp_component_library)
  endif()
endmacro()
