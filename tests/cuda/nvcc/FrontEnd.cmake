# cmake -D "SOURCES=<files>" -D TOGETHER=<to be written> -D "FRONT_END=<nvcc and its options>" -P FrontEnd.cmake: one file as it
# is; several as one text, written out, since nvcc gives some warnings for its main file only, not for what that includes
# or what #line calls by another name.
list(LENGTH SOURCES count)
if(count GREATER 1)
  set(text "")
  foreach(source IN LISTS SOURCES)
    file(READ "${source}" own)
    string(APPEND text "// ---- ${source}\n${own}\n")
  endforeach()
  file(WRITE "${TOGETHER}" "${text}")
  set(SOURCES "${TOGETHER}")
endif()
execute_process(COMMAND ${FRONT_END} -x cu "${SOURCES}" -o /dev/null RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "nvcc ended with ${code}")
endif()
