# SPDX-License-Identifier: Apache-2.0
#
# Compiles SOURCE as it is (VARIANT accepted) or with FAULTY defined (VARIANT faulty); see CMakeLists.txt.
cmake_minimum_required(VERSION 3.24)

list(TRANSFORM INCLUDE PREPEND -I)
list(TRANSFORM DEFINE PREPEND -D)
if(VARIANT STREQUAL "faulty")
  list(APPEND DEFINE -DFAULTY)
endif()
set(ENV{LC_ALL} C)
execute_process(
  COMMAND ${COMPILER} -std=c++20 -fsyntax-only ${FLAGS} ${INCLUDE} ${DEFINE} ${SOURCE}
  RESULT_VARIABLE result ERROR_VARIABLE messages)

if(VARIANT STREQUAL "accepted")
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${SOURCE} must compile without its faulty line:\n${messages}")
  endif()
else()
  file(STRINGS ${SOURCE} expectations REGEX "^// expect: ")
  if(NOT expectations)
    message(FATAL_ERROR "${SOURCE} has no comment \"// expect: REGEX\"")
  endif()
  if(result EQUAL 0)
    message(FATAL_ERROR "${SOURCE} compiles in spite of its faulty line")
  endif()
  foreach(line IN LISTS expectations)
    string(REPLACE "// expect: " "" expected "${line}")
    if(NOT messages MATCHES "${expected}")
      message(FATAL_ERROR "${SOURCE}: no message matches\n  ${expected}\nThe compiler said:\n${messages}")
    endif()
  endforeach()
endif()
