# SPDX-License-Identifier: Apache-2.0
#
# Exports MODEL with TOKENIZER and OPTIONS, and compares what stock llama.cpp makes of the file with what this library
# does. With FAMILY, of the variant of the model that has this name; with STEPS, after so many steps of training in the
# types of the file. Paths are relative to the project, or, if they begin with shared/, to the folder with the data of tests.
cmake_minimum_required(VERSION 3.24)

file(GLOB installed ${PACKAGES}/installed-*)
if(NOT installed OR NOT NODE)
  message("skipped: there is no llama.cpp to compare with, see llama_cpp/install")
  return()
endif()
set(shared $ENV{ZOQAT_DATA})
if(NOT shared)
  set(shared ${SOURCE}/../shared)
endif()
foreach(path IN ITEMS MODEL TOKENIZER)
  if(${path} MATCHES "^shared/")
    string(REGEX REPLACE "^shared" "${shared}" ${path} ${${path}})
  else()
    set(${path} ${SOURCE}/${${path}})
  endif()
  if(NOT EXISTS ${${path}})
    message("skipped: there is no ${${path}}; set ZOQAT_DATA to the folder with the test data")
    return()
  endif()
endforeach()

file(MAKE_DIRECTORY ${WORK})
# Sentences with what tokenizers stumble over, long enough for two chunks.
set(text "")
foreach(i RANGE 1 12)
  string(APPEND text "Once upon a time there was a little girl named Lily, who had ${i} red balls and a café.  "
    "\"Don't go!\" she said;\n\nthe dog ran 3,14 km – naïve, wasn't it?\tThey were very happy (all ${i}00 of them).\n")
endforeach()
file(WRITE ${WORK}/text.txt "${text}")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result ERROR_VARIABLE errors COMMAND_ECHO NONE)
  if(NOT result EQUAL 0)
    message("${errors}")
    message(FATAL_ERROR "failed (${result}): ${ARGN}")
  endif()
endfunction()
if(FAMILY)
  run(${VARIANT} ${MODEL} ${WORK}/variant ${FAMILY})
  set(MODEL ${WORK}/variant)
endif()
run(${ZEROQAT} export --model ${MODEL} --tokenizer ${TOKENIZER} --gguf ${WORK}/model.gguf ${OPTIONS})
if(STEPS)
  file(RENAME ${WORK}/model.gguf ${WORK}/before.gguf)
  run(${ZEROQAT} train --model ${WORK}/before.gguf --teacher ${MODEL} --sampled 32 --length 64 --steps ${STEPS}
    --keep last --allow-worse --output ${WORK}/model.gguf)
endif()
if(OPTIONS)  # of what the file holds, not of what was rounded
  set(MODEL ${WORK}/model.gguf)
  set(TOKENIZER ${MODEL})
endif()
execute_process(COMMAND ${SCORES} ${MODEL} ${TOKENIZER} ${WORK}/text.txt 2
  OUTPUT_FILE ${WORK}/scores.jsonl RESULT_VARIABLE result ERROR_VARIABLE errors)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "failed (${result}): ${errors}")
endif()
get_filename_component(folder ${CMAKE_CURRENT_LIST_FILE} DIRECTORY)
# What is written as it was read goes on alike; blocks round what is multiplied.
set(greedy "")
if(GREEDY)
  set(greedy ${ZEROQAT} ${MODEL} ${TOKENIZER})
endif()
run(${NODE} ${folder}/compare.mjs ${PACKAGES} ${WORK}/scores.jsonl ${WORK}/model.gguf ${RMS} ${greedy})
