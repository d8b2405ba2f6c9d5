# SPDX-License-Identifier: Apache-2.0
#
# Compiles headers of the library with the flags REFUSED, which must fail: the first error is SENTENCE, and there is
# one more at most. See CMakeLists.txt.
cmake_minimum_required(VERSION 3.24)

list(TRANSFORM INCLUDE PREPEND -I)
list(TRANSFORM DEFINE PREPEND -D)
set(ENV{LC_ALL} C)
set(source ${CMAKE_CURRENT_LIST_DIR}/../package/find_package/engine.cpp)  # includes every header
execute_process(
  COMMAND ${COMPILER} -fsyntax-only ${FLAGS} ${REFUSED} ${INCLUDE} ${DEFINE} ${source}
  RESULT_VARIABLE result ERROR_VARIABLE messages)
if(result EQUAL 0)
  message(FATAL_ERROR "${REFUSED} is accepted")
endif()
string(REGEX MATCHALL "error: [^\n]*" errors "${messages}")
list(GET errors 0 first)
list(LENGTH errors count)
if(NOT first MATCHES "${SENTENCE}")
  message(FATAL_ERROR "the first error is not \"${SENTENCE}\":\n${messages}")
endif()
if(count GREATER 2)
  message(FATAL_ERROR "${count} errors, not 2 at most:\n${messages}")
endif()
