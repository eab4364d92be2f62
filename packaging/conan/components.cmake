# Included by the CMake files that Conan generates for ccomp, after they have made its targets: the rest of what ccomp's own
# CMake package says.
include("${CMAKE_CURRENT_LIST_DIR}/CcompComponents.cmake")
target_compile_features(ccomp::ccomp INTERFACE cxx_std_20)

# The CUDA toolkit is not a package of Conan, and MPI is to be the one that starts the programs: their libraries are those of the
# machine.
foreach(component IN ITEMS cuda cublas cusolver nccl mpi)
  if(TARGET ccomp::${component})
    ccomp_find_component_library(${component})
    if(TARGET ${ccomp_component_library})
      ccomp_link_component(${component} ${ccomp_component_library})
    elseif(component IN_LIST ccomp_FIND_COMPONENTS)
      set(ccomp_FOUND FALSE)
      set(ccomp_NOT_FOUND_MESSAGE "component \"${component}\" needs a library that was not found on this machine")
    endif()
  endif()
endforeach()

foreach(component IN LISTS ccomp_FIND_COMPONENTS)
  if(NOT TARGET ccomp::${component})
    set(ccomp_FOUND FALSE)
    set(ccomp_NOT_FOUND_MESSAGE
        "this package of ccomp has no component \"${component}\"; Conan's options ccomp/*:with_eigen=True (eigen), ccomp/*:with_cuda=True (cuda, cublas, cusolver, nccl), ccomp/*:with_mpi=True (mpi) and ccomp/*:compiled=True (compiled) add some"
    )
  endif()
endforeach()
