# ccomp::compiled: include/ccomp/compiled.cpp, compiled once. A program that links it must be compiled for the same
# threads and instruction sets: the target hands on the build tag (docs/adr/0008-build-tag.md), which the headers compare.

# What CCOMP_BUILD_TAG is in a file of this folder that the compiler gets these <flags>, too.
function(ccomp_build_tag result)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
  separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${config}}")
  get_directory_property(options COMPILE_OPTIONS)
  get_directory_property(definitions COMPILE_DEFINITIONS)
  list(TRANSFORM definitions PREPEND -D)
  set(file "${CMAKE_CURRENT_BINARY_DIR}/ccomp_build_tag.cpp")
  file(WRITE "${file}" "#define CCOMP_COMPILED\n#include <ccomp/core/config.hpp>\nCCOMP_BUILD_TAG\n")
  set(target "")
  if(CMAKE_CXX_COMPILER_TARGET)
    set(target "--target=${CMAKE_CXX_COMPILER_TARGET}")
  endif()
  execute_process(
    COMMAND ${CMAKE_CXX_COMPILER} ${target} ${flags} ${options} ${definitions} ${ARGN} -std=c++20 -E -P -I "${PROJECT_SOURCE_DIR}/include" "${file}"
    OUTPUT_VARIABLE text ERROR_VARIABLE trouble RESULT_VARIABLE status)
  if(NOT status EQUAL 0 OR NOT text MATCHES "(v0_[a-z0-9_]+)[\n ]*$")
    message(FATAL_ERROR "ccomp: the compiler does not tell the build tag of ccomp::compiled: ${trouble}")
  endif()
  set(${result} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()

add_library(ccomp-compiled "${PROJECT_SOURCE_DIR}/include/ccomp/compiled.cpp")
add_library(ccomp::compiled ALIAS ccomp-compiled)
set_target_properties(ccomp-compiled PROPERTIES EXPORT_NAME compiled OUTPUT_NAME ccomp POSITION_INDEPENDENT_CODE ON UNITY_BUILD OFF)
if(NOT CCOMP_BUILD_COMPILED) # for ccomp's own programs only
  set_target_properties(ccomp-compiled PROPERTIES EXCLUDE_FROM_ALL ON)
endif()
target_link_libraries(ccomp-compiled PUBLIC ccomp)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU") # otherwise it inlines nothing that another library might replace
  target_compile_options(ccomp-compiled PRIVATE -fno-semantic-interposition)
endif()
set(ccomp_compiled_openmp OFF)
set(ccomp_compiled_flags "")
if(CCOMP_USE_OPENMP)
  find_package(OpenMP QUIET COMPONENTS CXX)
  if(TARGET OpenMP::OpenMP_CXX)
    target_link_libraries(ccomp-compiled PUBLIC OpenMP::OpenMP_CXX)
    set(ccomp_compiled_openmp ON)
    set(ccomp_compiled_flags "${OpenMP_CXX_FLAGS}")
  endif()
endif()
separate_arguments(openmp_flags UNIX_COMMAND "${ccomp_compiled_flags}")
ccomp_build_tag(ccomp_compiled_tag ${openmp_flags})
target_compile_definitions(ccomp-compiled PUBLIC CCOMP_COMPILED=${ccomp_compiled_tag})
file(WRITE "${PROJECT_BINARY_DIR}/ccomp_build_tag" "${ccomp_compiled_tag}") # for the package of Conan
