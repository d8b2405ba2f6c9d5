# SPDX-License-Identifier: Apache-2.0
#
# Lists with NM what a linker may merge of OBJECT (weak and unique symbols), and fails where one names the library
# without the inline namespace of its instruction set.
cmake_minimum_required(VERSION 3.24)

execute_process(COMMAND ${NM} ${OBJECT} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]* [VWu] [^\n]*zoqat[^\n]*" symbols "${symbols}")
list(LENGTH symbols count)
if(count LESS 300)
  message(FATAL_ERROR "${OBJECT} has ${count} symbols of the library that a linker may merge; that cannot be all")
endif()

# In a mangled name every part has its length before it: zoqat::highway_v3_aes::zo is 5zoqat14highway_v3_aes2zo.
foreach(symbol IN LISTS symbols)
  string(REGEX REPLACE "5zoqat[0-9]+(highway|xsimd|reference)_" "" rest "${symbol}")
  if(rest MATCHES "5zoqat")
    message(SEND_ERROR "shared by every instruction set: ${symbol}")
  endif()
endforeach()
message(STATUS "${count} symbols of the library, each with its instruction set")
