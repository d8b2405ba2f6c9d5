# SPDX-License-Identifier: Apache-2.0
#
# Installs the build tree BUILD under PREFIX, from which everything an earlier run left is removed first.
file(REMOVE_RECURSE ${PREFIX})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
