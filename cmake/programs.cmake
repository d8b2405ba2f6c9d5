# SPDX-License-Identifier: Apache-2.0
#
# What the project's own programs have in common. None of it reaches those who use the library.

set(CMAKE_CXX_EXTENSIONS OFF)

add_library(zoqat_warnings INTERFACE)
target_compile_options(zoqat_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(zoqat_warnings INTERFACE -Wno-restrict)  # given for its own std::string
endif()
# zoqat_report_simd_target says it once, when the project is configured.
target_compile_definitions(zoqat_warnings INTERFACE ZOQAT_ALLOW_SLOW_KERNELS)
if(ZOQAT_QUICK_BUILD)  # releases check format strings, for a tenth of the time that Clang takes without optimization
  target_compile_definitions(zoqat_warnings INTERFACE $<$<CONFIG:Debug>:FMT_CONSTEVAL=>)
endif()
if(ZOQAT_WERROR)
  target_compile_options(zoqat_warnings INTERFACE -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # These follow from what the optimizer happens to inline, so they come and go with the flags of a machine, and
    # GCC 12 gives them for its own intrinsics. They stay warnings.
    foreach(unstable IN ITEMS array-bounds maybe-uninitialized uninitialized stringop-overflow stringop-overread)
      target_compile_options(zoqat_warnings INTERFACE -Wno-error=${unstable})
    endforeach()
  endif()
endif()

# zoqat_add_program(NAME SOURCE...): an executable of the project.
function(zoqat_add_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE zoqat::zoqat zoqat_warnings)
endfunction()

# zoqat_check_syntax(NAME SOURCE): what the compiler says of a program that is not made, at a quarter of the cost.
function(zoqat_check_syntax name source)
  add_library(${name} OBJECT ${source})
  target_compile_options(${name} PRIVATE -fsyntax-only)
  target_link_libraries(${name} PRIVATE zoqat::zoqat zoqat_warnings)
endfunction()

# zoqat_compile_quickly(LEVEL TARGET...): these are optimized by -OLEVEL where ZOQAT_QUICK_BUILD asks for it and
# releases are built: programs that run for a moment, of which compiling is most of the work. What engines embed is
# compiled as they do.
function(zoqat_compile_quickly level)
  if(ZOQAT_QUICK_BUILD)
    foreach(target IN LISTS ARGN)
      target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O${level}>)
    endforeach()
  endif()
endfunction()

# For ext/mpi.hpp alone. What needs it is left out where it is missing.
set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI QUIET COMPONENTS CXX)
if(NOT MPI_CXX_FOUND)
  message(STATUS "zoqat: no MPI, so no example of many workers; install libopenmpi-dev and openmpi-bin for it")
endif()

# Says which instruction set the kernels compute with: Highway takes a lesser one without a word where a flag is
# missing, and whatever is measured then is worthless.
function(zoqat_report_simd_target)
  if(CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR)
    return()
  endif()
  set(key "${CMAKE_CXX_COMPILER} ${CMAKE_CXX_COMPILER_VERSION} ${CMAKE_CXX_FLAGS} ${ZOQAT_KERNELS}")
  if(NOT ZOQAT_SIMD_TARGET_KEY STREQUAL key)
    set(include ${PROJECT_SOURCE_DIR}/include)
    foreach(backend IN ITEMS hwy::hwy xsimd)
      if(TARGET ${backend})
        get_target_property(directories ${backend} INTERFACE_INCLUDE_DIRECTORIES)
        list(APPEND include ${directories})
      endif()
    endforeach()
    string(TOUPPER ${ZOQAT_KERNELS} kernels)
    try_run(run compiled ${PROJECT_BINARY_DIR}/simd-target ${PROJECT_SOURCE_DIR}/cmake/simd-target.cpp
      CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${include}"
      COMPILE_DEFINITIONS -DZOQAT_KERNELS_${kernels}
      CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
      COMPILE_OUTPUT_VARIABLE log
      RUN_OUTPUT_VARIABLE found)
    unset(run CACHE)
    unset(compiled CACHE)
    if(NOT found)
      message("${log}")
      message(WARNING "zoqat: the program that names the SIMD target does not compile or run, see above")
      return()
    endif()
    set(ZOQAT_SIMD_TARGET "${found}" CACHE INTERNAL "Backend and instruction set of the kernels")
    set(ZOQAT_SIMD_TARGET_KEY "${key}" CACHE INTERNAL "What ZOQAT_SIMD_TARGET was found for")
  endif()
  if(ZOQAT_SIMD_TARGET MATCHES "slow")
    message(WARNING "zoqat: the kernels are ${ZOQAT_SIMD_TARGET}. Timings of this build mean nothing.")
  else()
    message(STATUS "zoqat: the kernels are ${ZOQAT_SIMD_TARGET}")
  endif()
endfunction()
zoqat_report_simd_target()
