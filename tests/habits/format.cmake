# SPDX-License-Identifier: Apache-2.0
#
# Every source of the tree is as CLANG_FORMAT with STYLE writes it. `clang-format-16 -i FILE` mends one.
cmake_minimum_required(VERSION 3.24)

if(NOT CLANG_FORMAT)
  message("skipped: clang-format-16 is not installed")
  return()
endif()
set(patterns "")
foreach(folder IN ITEMS include tests bench examples cmake)
  list(APPEND patterns ${ROOT}/${folder}/*.hpp ${ROOT}/${folder}/*.cpp)
endforeach()
file(GLOB_RECURSE sources ${patterns})
if(NOT sources)
  message(FATAL_ERROR "format: no sources in ${ROOT}")
endif()
execute_process(COMMAND ${CLANG_FORMAT} --style=file:${STYLE} --dry-run -Werror ${sources} RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "format: the files above are not formatted; run clang-format-16 -i on them")
endif()
