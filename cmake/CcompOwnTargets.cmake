# What ccomp's own programs (tests, benchmarks, examples) are built with. None of it reaches a consumer.

add_library(ccomp-own INTERFACE)
target_link_libraries(ccomp-own INTERFACE ccomp::ccomp)
target_compile_options(ccomp-own INTERFACE -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow)
if(CCOMP_CCACHE) # with paths that begin at this folder, clones in other folders find each other's results
  target_compile_options(ccomp-own INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.>")
endif()
if(TARGET ccomp::eigen)
  target_link_libraries(ccomp-own INTERFACE ccomp::eigen)
endif()
if(CCOMP_USE_OPENMP)
  find_package(OpenMP QUIET COMPONENTS CXX)
  if(TARGET OpenMP::OpenMP_CXX)
    target_link_libraries(ccomp-own INTERFACE OpenMP::OpenMP_CXX)
  else()
    message(STATUS "ccomp: no OpenMP for this compiler; its own programs use std::thread")
  endif()
endif()

# The same on ccomp::compiled, for programs that would compile many stages: most tests.
if(TARGET ccomp::compiled)
  add_library(ccomp-own-compiled INTERFACE)
  target_link_libraries(ccomp-own-compiled INTERFACE ccomp-own ccomp::compiled)
  target_compile_options(ccomp-compiled PRIVATE -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow)
endif()

# find_package that says which Debian package brings what is missing.
macro(ccomp_require package debian option)
  find_package(${package} QUIET)
  if(NOT ${package}_FOUND)
    message(FATAL_ERROR "${option} needs ${package}; on Debian: apt-get install ${debian}. "
                        "Or configure with -D${option}=OFF.")
  endif()
endmacro()

# ctest properties that all of ccomp's tests share: exit code 77 means skipped.
function(ccomp_test_properties test label)
  # Tests run beside each other, and with more threads than cores: a thread of OpenMP that waits must not spin.
  set_tests_properties(${test} PROPERTIES LABELS ${label} SKIP_RETURN_CODE 77
                                          ENVIRONMENT_MODIFICATION OMP_WAIT_POLICY=set:passive ${ARGN})
endfunction()

# Instead of a test that cannot be built here: says what is skipped, and how to get it.
function(ccomp_skipped_test test label what)
  add_test(NAME ${test} COMMAND ${CMAKE_COMMAND} -E echo "skipped: ${what}")
  ccomp_test_properties(${test} ${label} SKIP_REGULAR_EXPRESSION "skipped: ")
endfunction()
