# SPDX-License-Identifier: Apache-2.0
#
# Headers, a package that find_package(zoqat) finds, and files for pkg-config.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(package_dir ${CMAKE_INSTALL_DATAROOTDIR}/cmake/zoqat)

# A set of its own for each component, so that the targets of one whose packages are missing do not exist.
install(TARGETS zoqat_zo EXPORT zoqat-zo-targets
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILE_SET adapters DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT zoqat-zo-targets NAMESPACE zoqat:: DESTINATION ${package_dir})
if(ZOQAT_IO)
  install(TARGETS zoqat_io zoqat EXPORT zoqat-io-targets)
  install(EXPORT zoqat-io-targets NAMESPACE zoqat:: DESTINATION ${package_dir})
endif()

configure_package_config_file(cmake/zoqat-config.cmake.in ${PROJECT_BINARY_DIR}/zoqat-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/zoqat-config-version.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(
  FILES
    ${PROJECT_BINARY_DIR}/zoqat-config.cmake
    ${PROJECT_BINARY_DIR}/zoqat-config-version.cmake
    cmake/zoqat-kernels.cmake
    cmake/zoqat-dispatch.cmake
  DESTINATION ${package_dir})

foreach(module IN ITEMS zoqat-zo zoqat)
  configure_file(cmake/${module}.pc.in ${PROJECT_BINARY_DIR}/${module}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${module}.pc DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/pkgconfig)
endforeach()

install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
