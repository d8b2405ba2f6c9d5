# SPDX-License-Identifier: Apache-2.0
#
# Compiles the kernels with the flags SLOW, and looks for the message SAID; see CMakeLists.txt.
cmake_minimum_required(VERSION 3.24)

list(TRANSFORM INCLUDE PREPEND -I)
set(ENV{LC_ALL} C)
set(source ${CMAKE_CURRENT_LIST_DIR}/../package/add_subdirectory/main.cpp)  # includes the kernels
execute_process(
  COMMAND ${COMPILER} -std=c++20 -Werror -fsyntax-only ${SLOW} ${INCLUDE} ${source}
  ERROR_VARIABLE messages COMMAND_ERROR_IS_FATAL ANY)
if(SAID STREQUAL "" AND NOT messages STREQUAL "")
  message(FATAL_ERROR "nothing was to be said, but the compiler said:\n${messages}")
elseif(NOT messages MATCHES "${SAID}")
  message(FATAL_ERROR "the compiler was to say \"${SAID}\", but said:\n${messages}")
endif()
