# SPDX-License-Identifier: Apache-2.0
#
# Sources and documents of the tree have American spelling.
cmake_minimum_required(VERSION 3.24)

set(british "[Nn]eighbour|[Bb]ehaviour|[Cc]entre([^a-z]|d|s)|[Ll]icence|[Ll]earnt|([Oo]ptim|[Ii]nitial|[Nn]ormal|[Ss]pecial|[Mm]inim|[Mm]axim|[Rr]andom|[Gg]eneral|[Qq]uant|[Tt]oken|[Ss]erial)is(e|ed|es|er|ers|ing|ation)([^a-z]|$)")

set(patterns "")
foreach(folder IN ITEMS include tests bench examples .github)
  list(APPEND patterns ${ROOT}/${folder}/*.hpp ${ROOT}/${folder}/*.cpp ${ROOT}/${folder}/*.md)
endforeach()
file(GLOB_RECURSE sources ${patterns})
list(APPEND sources ${ROOT}/README.md ${ROOT}/CHANGELOG.md)
set(found 0)
foreach(source IN LISTS sources)
  if(EXISTS ${source})
    file(STRINGS ${source} lines REGEX "${british}")
    if(lines)
      message("${source}:\n  ${lines}")
      math(EXPR found "${found} + 1")
    endif()
  endif()
endforeach()
if(found)
  message(FATAL_ERROR "spelling: ${found} files have British spelling")
endif()
