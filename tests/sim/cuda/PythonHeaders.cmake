# ccomp_python_headers(<out> <header> <folder>...): where NVIDIA's Python packages keep that header, one of the folders of
# the site-packages of some python3 (that of the path, the system's, that of tests/run); empty where none has it.
function(ccomp_python_headers out header)
  set(${out} "" PARENT_SCOPE)
  foreach(python python3 /usr/bin/python3 "${PROJECT_SOURCE_DIR}/build/venv/bin/python3")
    execute_process(COMMAND "${python}" -c "import sys; print(*filter(None, sys.path), sep=';')" OUTPUT_VARIABLE path
                    ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    foreach(site IN LISTS path)
      foreach(folder IN LISTS ARGN)
        if(EXISTS "${site}/nvidia/${folder}/include/${header}")
          set(${out} "${site}/nvidia/${folder}/include" PARENT_SCOPE)
          return()
        endif()
      endforeach()
    endforeach()
  endforeach()
endfunction()
