# cmake -D SOURCE= -D COMPILER= -D INCLUDE= -P CompileFail.cmake
file(STRINGS "${SOURCE}" first_line LIMIT_COUNT 1)
if(NOT first_line MATCHES "^// expect: (.+)$")
  message(FATAL_ERROR "${SOURCE}: the first line must be `// expect: <regex>`")
endif()
set(expected "${CMAKE_MATCH_1}")

execute_process(COMMAND "${COMPILER}" -std=c++20 -fsyntax-only -I "${INCLUDE}" "${SOURCE}"
                RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(status EQUAL 0)
  message(FATAL_ERROR "compiles, but should not: ${SOURCE}")
endif()
if(NOT output MATCHES "${expected}")
  message("${output}")
  message(FATAL_ERROR "the compiler's output does not match: ${expected}")
endif()
