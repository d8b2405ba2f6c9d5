# SPDX-License-Identifier: Apache-2.0
#
# DOXYGEN, configured by DOXYFILE, has nothing to say about the headers in INCLUDE/zoqat. Writes to WORK.
cmake_minimum_required(VERSION 3.24)

if(NOT DOXYGEN)
  message("skipped: doxygen is not installed")
  return()
endif()
set(ZOQAT_DOCS_INCLUDE ${INCLUDE})
set(ZOQAT_DOCS_DIR ${WORK})
file(MAKE_DIRECTORY ${WORK})
configure_file(${DOXYFILE} ${WORK}/Doxyfile @ONLY)
execute_process(COMMAND ${DOXYGEN} ${WORK}/Doxyfile RESULT_VARIABLE result ERROR_VARIABLE messages)
if(messages OR NOT result EQUAL 0)
  message("${messages}")
  message(FATAL_ERROR "doxygen: mend the comments above")
endif()
