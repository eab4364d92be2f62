# cmake -D SOURCE= -D PACKAGES= -D VERSION= -P vcpkg_port.cmake
# Makes the package of packaging/vcpkg/ports/ccomp in PACKAGES and checks it. With vcpkg on this machine that is vcpkg's
# own work; without, the portfile runs here with the functions of vcpkg that it calls stood in for.
set(port "${SOURCE}/packaging/vcpkg/ports/ccomp")
file(REMOVE_RECURSE "${PACKAGES}")

foreach(manifest "${SOURCE}/vcpkg.json" "${port}/vcpkg.json")
  file(READ "${manifest}" text)
  string(JSON manifest_version GET "${text}" version-semver)
  if(NOT manifest_version STREQUAL VERSION)
    message(FATAL_ERROR "${manifest} says version ${manifest_version}, version.hpp says ${VERSION}")
  endif()
endforeach()

find_program(VCPKG vcpkg HINTS ENV VCPKG_ROOT)
if(VCPKG)
  cmake_path(GET PACKAGES PARENT_PATH root)
  execute_process(COMMAND "${VCPKG}" install ccomp --classic "--overlay-ports=${SOURCE}/packaging/vcpkg/ports"
                          "--x-install-root=${root}/installed" "--x-packages-root=${root}/made"
                  COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB made "${root}/made/ccomp_*")
  file(RENAME "${made}" "${PACKAGES}")
else()
  message("note: vcpkg is not on this machine: its functions were stood in for when the overlay port ran; "
          "for the real thing install vcpkg and set VCPKG_ROOT")
  set(CURRENT_PORT_DIR "${port}")
  set(CURRENT_PACKAGES_DIR "${PACKAGES}")
  set(build "${PACKAGES}-build")
  file(REMOVE_RECURSE "${build}")

  function(vcpkg_cmake_configure)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "SOURCE_PATH" "OPTIONS")
    if(arg_UNPARSED_ARGUMENTS)
      message(FATAL_ERROR "the stand-in for vcpkg_cmake_configure does not know: ${arg_UNPARSED_ARGUMENTS}")
    endif()
    execute_process(COMMAND "${CMAKE_COMMAND}" -G Ninja -S "${arg_SOURCE_PATH}" -B "${build}" -DCMAKE_BUILD_TYPE=Release
                            "-DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR}" ${arg_OPTIONS}
                    COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
  endfunction()
  function(vcpkg_cmake_install)
    execute_process(COMMAND "${CMAKE_COMMAND}" --install "${build}" COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
  endfunction()
  function(vcpkg_cmake_config_fixup) # moves the package's CMake files to share/<name>, as vcpkg does
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "PACKAGE_NAME;CONFIG_PATH" "")
    file(RENAME "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}" "${CURRENT_PACKAGES_DIR}/share/${arg_PACKAGE_NAME}")
    file(GLOB left "${CURRENT_PACKAGES_DIR}/share/cmake/*")
    if(NOT left)
      file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/cmake")
    endif()
    # The files now lie one folder higher, so the prefix is two folders up instead of three.
    file(GLOB files "${CURRENT_PACKAGES_DIR}/share/${arg_PACKAGE_NAME}/*.cmake")
    foreach(file IN LISTS files)
      file(READ "${file}" text)
      string(REPLACE [[${CMAKE_CURRENT_LIST_DIR}/../../../]] [[${CMAKE_CURRENT_LIST_DIR}/../../]] text "${text}")
      string(REPLACE [[get_filename_component(_IMPORT_PREFIX "${CMAKE_CURRENT_LIST_FILE}" PATH)]]
                     [[get_filename_component(_IMPORT_PREFIX "${CMAKE_CURRENT_LIST_FILE}/.." PATH)]] text "${text}")
      file(WRITE "${file}" "${text}")
    endforeach()
  endfunction()
  function(vcpkg_install_copyright)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "FILE_LIST")
    file(COPY_FILE "${arg_FILE_LIST}" "${CURRENT_PACKAGES_DIR}/share/ccomp/copyright")
  endfunction()
  include("${port}/portfile.cmake")
endif()

# What vcpkg asks of a header-only port.
foreach(needed include/ccomp/version.hpp share/ccomp/ccompConfig.cmake share/ccomp/copyright share/ccomp/usage)
  if(NOT EXISTS "${PACKAGES}/${needed}")
    message(FATAL_ERROR "the port does not install ${needed}")
  endif()
endforeach()
foreach(unwanted debug lib share/cmake)
  if(EXISTS "${PACKAGES}/${unwanted}")
    message(FATAL_ERROR "the port leaves ${unwanted} behind")
  endif()
endforeach()
