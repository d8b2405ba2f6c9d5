# SPDX-License-Identifier: Apache-2.0
#
# Headers and a package that find_package(zoqat) finds.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(package_dir ${CMAKE_INSTALL_DATAROOTDIR}/cmake/zoqat)

install(TARGETS zoqat EXPORT zoqat-targets
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILE_SET adapters DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT zoqat-targets NAMESPACE zoqat:: DESTINATION ${package_dir})

configure_package_config_file(cmake/zoqat-config.cmake.in ${PROJECT_BINARY_DIR}/zoqat-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/zoqat-config-version.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(
  FILES
    ${PROJECT_BINARY_DIR}/zoqat-config.cmake
    ${PROJECT_BINARY_DIR}/zoqat-config-version.cmake
    cmake/zoqat-kernels.cmake
  DESTINATION ${package_dir})
