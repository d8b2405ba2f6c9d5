# SPDX-License-Identifier: Apache-2.0
#
# zoqat_target_dispatch(TARGET SOURCE): compiles SOURCE, a file of the host's that uses zoqat, once for each instruction
# set of zoqat/core/dispatch.hpp, and adds the objects to TARGET, which calls the best one at run time. Call it in the
# directory that makes TARGET. SOURCE is compiled with TARGET's own definitions, options and libraries, and linked with
# zoqat::zo. Nothing of it may run when the program is loaded: it has no variables with a constructor.
#
# Of what a linker may merge (inline functions and templates, those of the standard library too) it keeps the first it
# meets, which may be one that the processor cannot run. So all symbols of an object but its table are made local,
# where there is an objcopy.
function(zoqat_target_dispatch target source)
  target_link_libraries(${target} PRIVATE zoqat::zo)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    target_sources(${target} PRIVATE ${source})
    return()
  endif()
  if(NOT CMAKE_OBJCOPY)
    message(WARNING "zoqat_target_dispatch(${target}): there is no objcopy, so inline functions of the standard library "
      "that ${source} uses may be linked in as they are for a newer processor; install binutils or set CMAKE_OBJCOPY")
  endif()
  set(flags_baseline -march=x86-64-v2)
  set(flags_avx2 -march=x86-64-v3 -maes -mpclmul)
  set(flags_avx512 -march=x86-64-v4 -maes -mpclmul -mavx512vnni)
  get_target_property(type ${target} TYPE)
  cmake_path(GET source STEM stem)
  foreach(set IN ITEMS baseline avx2 avx512)
    set(unit ${target}_${stem}_${set})
    add_library(${unit} OBJECT ${source})
    foreach(property IN ITEMS INCLUDE_DIRECTORIES COMPILE_DEFINITIONS COMPILE_OPTIONS LINK_LIBRARIES)
      set_property(TARGET ${unit} PROPERTY ${property} $<TARGET_PROPERTY:${target},${property}>)
    endforeach()
    target_compile_definitions(${unit} PRIVATE ZOQAT_DISPATCH_HERE=${set} ZOQAT_ALLOW_SLOW_KERNELS)
    target_compile_options(${unit} PRIVATE ${flags_${set}})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # whose unique symbols stay global whatever objcopy is told
      target_compile_options(${unit} PRIVATE -fno-gnu-unique)
    endif()
    set_target_properties(${unit} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)  # whose objects objcopy cannot read
    if(type MATCHES "SHARED_LIBRARY|MODULE_LIBRARY")
      set_target_properties(${unit} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    endif()
    set(object $<TARGET_OBJECTS:${unit}>)
    if(CMAKE_OBJCOPY)
      set(object ${CMAKE_CURRENT_BINARY_DIR}/${unit}.o)
      add_custom_command(OUTPUT ${object} VERBATIM
        COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=_ZN5zoqat8dispatch5table* --remove-section=.group
          $<TARGET_OBJECTS:${unit}> ${object}
        DEPENDS ${unit} $<TARGET_OBJECTS:${unit}>)
      set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
    endif()
    target_sources(${target} PRIVATE ${object})
  endforeach()
endfunction()
