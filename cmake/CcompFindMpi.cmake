# For ccomp's own programs: MPI by its flavour, because Debian has Open MPI and MPICH beside each other.
include_guard(GLOBAL)

# ccomp_find_mpi(<flavour>): makes the target ccomp-mpi-<flavour> and sets mpirun_<flavour>, if it is installed.
function(ccomp_find_mpi flavour)
  find_program(CCOMP_MPICXX_${flavour} mpicxx.${flavour})
  find_program(CCOMP_MPIRUN_${flavour} mpirun.${flavour})
  mark_as_advanced(CCOMP_MPICXX_${flavour} CCOMP_MPIRUN_${flavour})
  if(NOT CCOMP_MPICXX_${flavour} OR NOT CCOMP_MPIRUN_${flavour})
    return()
  endif()
  set(mpirun_${flavour} ${CCOMP_MPIRUN_${flavour}} PARENT_SCOPE)
  if(TARGET ccomp-mpi-${flavour}) # another folder has asked before
    return()
  endif()
  execute_process(COMMAND ${CCOMP_MPICXX_${flavour}} -show OUTPUT_VARIABLE command RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    return()
  endif()
  separate_arguments(words UNIX_COMMAND "${command}")
  add_library(ccomp-mpi-${flavour} INTERFACE)
  foreach(word IN LISTS words)
    if(word MATCHES "^-I(.+)")
      target_include_directories(ccomp-mpi-${flavour} SYSTEM INTERFACE "${CMAKE_MATCH_1}")
    elseif(word MATCHES "^-[Ll]" AND NOT word MATCHES "cxx$") # MPI's own C++ classes are not used
      target_link_libraries(ccomp-mpi-${flavour} INTERFACE "${word}")
    endif()
  endforeach()
endfunction()
