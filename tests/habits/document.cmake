# SPDX-License-Identifier: Apache-2.0
#
# DOCUMENT's relative links lead to files, and each of its ```cpp blocks compiles. A block is a whole source file,
# unless the line above it is
#
#   <!-- prelude: NAME -->
#
# which names PRELUDES/NAME.hpp: what the text around the block presupposes, such as an engine. The prelude is included
# first and the block is the body of a function. Whole lines "#include ..." and "using namespace ..." of such a block
# are put before the function.
cmake_minimum_required(VERSION 3.24)

get_filename_component(name ${DOCUMENT} NAME)
get_filename_component(folder ${DOCUMENT} DIRECTORY)
set(failures "")

# --- Links -----------------------------------------------------------------------------------------------------------
file(READ ${DOCUMENT} text)
string(REGEX REPLACE "[][;]" "@" plain "${text}")  # lists of CMake do not hold brackets
string(REGEX MATCHALL "@\\([^)#:]+[)#]" links "${plain}")
foreach(link IN LISTS links)
  string(REGEX REPLACE "^@\\((.*)[)#]$" "\\1" target "${link}")
  if(NOT EXISTS ${folder}/${target})
    list(APPEND failures "${name} links to ${target}, which is not there")
  endif()
endforeach()

# --- Blocks ----------------------------------------------------------------------------------------------------------
# Lists of CMake cannot hold semicolons and brackets of lines as they are, so lines are cut off one by one.
string(APPEND text "\n")
set(number 0)
set(blocks "")
set(previous "")
set(inside FALSE)
while(NOT text STREQUAL "")
  string(FIND "${text}" "\n" end)
  string(SUBSTRING "${text}" 0 ${end} line)
  math(EXPR after "${end} + 1")
  string(SUBSTRING "${text}" ${after} -1 text)
  math(EXPR number "${number} + 1")
  if(inside)
    if(line STREQUAL "```")
      set(inside FALSE)
      set(source ${WORK}/${first}.cpp)
      if(prelude)
        file(WRITE ${source} "#include \"${PRELUDES}/${prelude}.hpp\"\n${head}[[maybe_unused]] static void block() {\n#line ${first} \"${name}\"\n${body}}\n")
      else()
        file(WRITE ${source} "#line ${first} \"${name}\"\n${head}${body}")
      endif()
      list(APPEND blocks ${source})
    elseif(prelude AND line MATCHES "^(#include |using namespace )")
      string(APPEND head "${line}\n")
      string(APPEND body "\n")
    else()
      string(APPEND body "${line}\n")
    endif()
  elseif(line STREQUAL "```cpp")
    set(inside TRUE)
    math(EXPR first "${number} + 1")
    set(head "")
    set(body "")
    set(prelude "")
    if(previous MATCHES "^<!-- prelude: ([a-z0-9_]+) -->$")
      set(prelude ${CMAKE_MATCH_1})
    endif()
  endif()
  set(previous "${line}")
endwhile()
if(inside)
  list(APPEND failures "${name}:${first}: the block has no end")
endif()

list(TRANSFORM INCLUDE PREPEND -I)
list(TRANSFORM DEFINE PREPEND -D)
foreach(source IN LISTS blocks)
  execute_process(
    COMMAND ${COMPILER} -std=c++20 -fsyntax-only ${FLAGS} ${INCLUDE} ${DEFINE} ${source}
    RESULT_VARIABLE result ERROR_VARIABLE messages)
  if(NOT result EQUAL 0)
    list(APPEND failures "${messages}")
  endif()
endforeach()

list(LENGTH blocks count)
message("${name}: ${count} blocks compiled")
if(failures)
  list(JOIN failures "\n" failures)
  message("${failures}")
  message(FATAL_ERROR "${name}: mend the links and blocks above")
endif()
