# SPDX-License-Identifier: Apache-2.0
#
# Lists with NM the functions that OBJECT defines for other units, and fails where that is not its table alone. (Unique
# symbols are data.)
cmake_minimum_required(VERSION 3.24)

execute_process(COMMAND ${NM} --defined-only --extern-only ${OBJECT} OUTPUT_VARIABLE symbols
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+ [^u] [^\n]+" symbols "${symbols}")
list(LENGTH symbols count)
if(NOT count EQUAL 1 OR NOT symbols MATCHES "8dispatch5table")
  list(JOIN symbols "\n" symbols)
  message(FATAL_ERROR "${OBJECT} shares with other units:\n${symbols}")
endif()
