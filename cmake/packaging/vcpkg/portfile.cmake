# SPDX-License-Identifier: Apache-2.0
#
# An overlay port that builds from the sources it lies in: vcpkg install zoqat --overlay-ports=cmake/packaging/vcpkg

get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
vcpkg_check_features(OUT_FEATURE_OPTIONS features FEATURES io ZOQAT_IO)
vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS ${features} -DZOQAT_TESTS=OFF -DZOQAT_PROJECT_TESTS=OFF -DZOQAT_BENCH=OFF -DZOQAT_EXAMPLES=OFF
    -DZOQAT_INSTALL=ON)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/zoqat)
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug")  # headers only
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
