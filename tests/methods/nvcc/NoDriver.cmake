# cmake -D "COMPILE=<nvcc and its options>" -D PROGRAM=<to be made> -P NoDriver.cmake: builds the program with the real
# libraries and expects one sentence of it.
execute_process(COMMAND ${COMPILE} -o "${PROGRAM}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${PROGRAM}" OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE code)
if(code EQUAL 77)
  message(NOTICE "${said}")
elseif(NOT said MATCHES "^ccomp: (CUDA: this machine has no NVIDIA driver|cudaGetDevice: no CUDA-capable device)[^\n]*\n$")
  message(FATAL_ERROR "exit code ${code}, and it said:\n${said}")
endif()
