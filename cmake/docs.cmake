# SPDX-License-Identifier: Apache-2.0
#
# The target `docs`: the API reference, in docs/html of the build folder.

find_package(Doxygen 1.9 REQUIRED)
set(ZOQAT_DOCS_INCLUDE ${PROJECT_SOURCE_DIR}/include)
set(ZOQAT_DOCS_DIR ${PROJECT_BINARY_DIR}/docs)
file(MAKE_DIRECTORY ${ZOQAT_DOCS_DIR})
configure_file(cmake/Doxyfile.in ${ZOQAT_DOCS_DIR}/Doxyfile @ONLY)
add_custom_target(docs COMMAND Doxygen::doxygen ${ZOQAT_DOCS_DIR}/Doxyfile VERBATIM)
