# SPDX-License-Identifier: Apache-2.0
#
# cmake -D BROWSER=… -D PAGE=… -D WORK=… -D SOURCE=… -P browser.cmake: opens a page of `zeroqat report` in a browser
# without a window, wide and narrow, light and dark, and lets probe.js look at it. A page that is spoiled on purpose must
# be found out.
cmake_minimum_required(VERSION 3.24)

if(NOT BROWSER)
  message("skipped: no chromium; the Debian package chromium-headless-shell or chromium brings it")
  return()
endif()
file(MAKE_DIRECTORY ${WORK})
file(READ ${SOURCE}/probe.js probe)
file(READ ${PAGE} page)

# look(PAGE WIDTH SCHEME RESULT): what the probe says; SCHEME is 0 for dark, 1 for light.
function(look text width scheme result)
  string(REPLACE "</body>" "<script>\n${probe}\n</script></body>" probed "${text}")
  file(WRITE ${WORK}/probed.html "${probed}")
  execute_process(
    COMMAND ${BROWSER} --headless --no-sandbox --disable-gpu --user-data-dir=${WORK}/profile
      --blink-settings=preferredColorScheme=${scheme} --window-size=${width},900 --dump-dom file://${WORK}/probed.html
    OUTPUT_VARIABLE dom ERROR_VARIABLE errors RESULT_VARIABLE failed TIMEOUT 100)
  if(failed OR NOT dom MATCHES "<p id=\"found\">([^<]*)</p>")
    message(FATAL_ERROR "report: the browser did not get through the page (${failed}): ${errors}")
  endif()
  set(${result} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()

set(schemes 0 1)
set(names dark light)
foreach(width IN ITEMS 1200 500)
  foreach(scheme name IN ZIP_LISTS schemes names)
    look("${page}" ${width} ${scheme} found)
    if(NOT found MATCHES "^fine, [1-9][0-9]* charts, ${name}$")
      message(FATAL_ERROR "report: ${PAGE}, ${width} pixels wide, ${name}: ${found}")
    endif()
    message("${width} pixels, ${name}: ${found}")
  endforeach()
endforeach()

string(REPLACE "viewBox=\"0 0 720 360\"" "viewBox=\"0 0 400 360\"" spoiled "${page}")
look("${spoiled}" 1200 1 found)
if(NOT found MATCHES "reaches out of its chart")
  message(FATAL_ERROR "report: a chart that is cut off was not found out: ${found}")
endif()
string(REPLACE "--c0: #0969da" "--c0: #fdfdfd" spoiled "${page}")
look("${spoiled}" 1200 1 found)
if(NOT found MATCHES "a color that nobody sees")
  message(FATAL_ERROR "report: white lines on white were not found out: ${found}")
endif()
