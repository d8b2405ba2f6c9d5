# SPDX-License-Identifier: Apache-2.0
#
# The SIMD backend as the target zoqat::kernels. Included by the build and by the installed package, so that
# ZOQAT_KERNELS (highway, xsimd or reference; set it before find_package or add_subdirectory) means the same in both.
# Only the headers of a backend are used: nothing of it is linked.

if(NOT DEFINED ZOQAT_KERNELS)
  set(ZOQAT_KERNELS highway)
endif()

# The package to find before zoqat_define_kernels() is called, if any.
set(ZOQAT_KERNELS_PACKAGE "")
if(ZOQAT_KERNELS STREQUAL "highway")
  if(NOT TARGET hwy::hwy)
    set(ZOQAT_KERNELS_PACKAGE hwy 1.0.3)
  endif()
elseif(ZOQAT_KERNELS STREQUAL "xsimd")
  if(NOT TARGET xsimd)
    set(ZOQAT_KERNELS_PACKAGE xsimd 8.1)
  endif()
elseif(NOT ZOQAT_KERNELS STREQUAL "reference")
  message(FATAL_ERROR "zoqat: ZOQAT_KERNELS is \"${ZOQAT_KERNELS}\", but must be highway, xsimd or reference")
endif()

# zoqat_define_kernels([GLOBAL])
function(zoqat_define_kernels)
  if(TARGET zoqat::kernels)
    return()
  endif()
  add_library(zoqat::kernels INTERFACE IMPORTED ${ARGN})
  if(ZOQAT_KERNELS STREQUAL "highway")
    target_include_directories(zoqat::kernels INTERFACE $<TARGET_PROPERTY:hwy::hwy,INTERFACE_INCLUDE_DIRECTORIES>)
  elseif(ZOQAT_KERNELS STREQUAL "xsimd")
    target_include_directories(zoqat::kernels INTERFACE $<TARGET_PROPERTY:xsimd,INTERFACE_INCLUDE_DIRECTORIES>)
    target_compile_definitions(zoqat::kernels INTERFACE ZOQAT_KERNELS_XSIMD)
  else()
    target_compile_definitions(zoqat::kernels INTERFACE ZOQAT_KERNELS_REFERENCE)
  endif()
endfunction()
