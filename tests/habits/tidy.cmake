# SPDX-License-Identifier: Apache-2.0
#
# CLANG_TIDY has nothing to say about SOURCE and the headers of the library that it includes; CONFIG lists its checks.
cmake_minimum_required(VERSION 3.24)

if(NOT CLANG_TIDY)
  message("skipped: clang-tidy-16 is not installed")
  return()
endif()
list(TRANSFORM INCLUDE PREPEND -I)
list(TRANSFORM DEFINE PREPEND -D)
execute_process(
  COMMAND ${CLANG_TIDY} --quiet --config-file=${CONFIG} ${SOURCE} -- -std=c++20 -DZOQAT_ALLOW_SLOW_KERNELS ${INCLUDE} ${DEFINE}
  RESULT_VARIABLE result OUTPUT_VARIABLE messages ERROR_VARIABLE errors)
if(NOT result EQUAL 0)
  message("${messages}\n${errors}")
  message(FATAL_ERROR "tidy: mend what is listed above; .clang-tidy lists the checks")
endif()
