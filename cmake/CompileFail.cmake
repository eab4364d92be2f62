# cmake -D SOURCE= -D COMPILER= -D INCLUDE= [-D FIRST=] [-D FLAGS=] -P CompileFail.cmake
# The source's first line is `// expect: <regex>`; a second line `// flags: <flags>` adds flags for the compiler.
# FIRST: a header that stands before the source.
file(STRINGS "${SOURCE}" lines LIMIT_COUNT 2)
list(GET lines 0 first_line)
if(NOT first_line MATCHES "^// expect: (.+)$")
  message(FATAL_ERROR "${SOURCE}: the first line must be `// expect: <regex>`")
endif()
set(expected "${CMAKE_MATCH_1}")
set(flags "")
if(lines MATCHES ";// flags: ([^;]+)$")
  separate_arguments(flags UNIX_COMMAND "${CMAKE_MATCH_1}")
endif()

if(FIRST)
  set(first -include "${FIRST}")
endif()
execute_process(COMMAND "${COMPILER}" -std=c++20 -fsyntax-only ${first} -I "${INCLUDE}" ${FLAGS} ${flags} "${SOURCE}"
                RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(status EQUAL 0)
  message(FATAL_ERROR "compiles, but should not: ${SOURCE}")
endif()
if(NOT output MATCHES "${expected}")
  message("${output}")
  message(FATAL_ERROR "the compiler's output does not match: ${expected}")
endif()
