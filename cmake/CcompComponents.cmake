# The components of ccomp: each is a target that adds one outside library to ccomp::ccomp.
# Used by this build and, installed, by find_package(ccomp COMPONENTS ...), so that both know the same list.
set(ccomp_known_components eigen)

# Makes ccomp::<component> if its library is found; silent otherwise (ask with TARGET ccomp::<component>).
# Global, so that a project that has ccomp as a subdirectory sees it too.
macro(ccomp_define_component component)
  if(NOT TARGET ccomp::${component})
    set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
    if("${component}" STREQUAL "eigen") # low_rank/
      find_package(Eigen3 3.3 QUIET NO_MODULE)
      set(ccomp_component_library Eigen3::Eigen)
    endif()
    if(TARGET ${ccomp_component_library})
      add_library(ccomp::${component} INTERFACE IMPORTED GLOBAL)
      target_link_libraries(ccomp::${component} INTERFACE ccomp::ccomp ${ccomp_component_library})
    endif()
    unset(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)
    unset(ccomp_component_library)
  endif()
endmacro()
