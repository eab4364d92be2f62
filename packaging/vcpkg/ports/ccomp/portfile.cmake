# An overlay port: it installs the source tree that it lies in.
# vcpkg install ccomp --overlay-ports=<ccomp>/packaging/vcpkg/ports
cmake_path(SET SOURCE_PATH NORMALIZE "${CURRENT_PORT_DIR}/../../../..")

set(VCPKG_BUILD_TYPE release) # header-only
vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS -DCCOMP_BUILD_TESTS=OFF -DCCOMP_BUILD_BENCH=OFF -DCCOMP_BUILD_EXAMPLES=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(PACKAGE_NAME ccomp CONFIG_PATH share/cmake/ccomp)
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
file(INSTALL "${CURRENT_PORT_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/ccomp")
