# SPDX-License-Identifier: Apache-2.0
#
# Brings stock llama.cpp to the folder PACKAGES, once: a pinned version of the package node-llama-cpp, whose prebuilt
# library for the CPU is a package of its own. No script of a package is run.
cmake_minimum_required(VERSION 3.24)

set(version 3.22.1)  # of llama.cpp 0.5.0
if(EXISTS ${PACKAGES}/installed-${version})
  return()
endif()
if(NOT NPM OR NOT PROCESSOR STREQUAL "Linux-x86_64")
  message("skipped: there is no npm, or no prebuilt llama.cpp for ${PROCESSOR}")
  return()
endif()
file(MAKE_DIRECTORY ${PACKAGES})
execute_process(
  COMMAND ${NPM} install --ignore-scripts --no-audit --no-fund --omit=optional --prefix ${PACKAGES}
    node-llama-cpp@${version} @node-llama-cpp/linux-x64@${version}
  TIMEOUT 300 RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT result EQUAL 0)
  message("skipped: npm cannot install llama.cpp (${result}): ${output}")
  return()
endif()
file(TOUCH ${PACKAGES}/installed-${version})
