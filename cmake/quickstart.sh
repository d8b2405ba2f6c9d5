#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# From a bare Debian 12 to the result table: installs what is missing, builds the one program and runs it on the model
# in examples/models, or with the arguments given.
#
# usage: quickstart.sh [ARGUMENT...]
set -eu
cd "$(dirname "$0")/.."

sh cmake/install-dependencies.sh
cmake --preset release -D ZOQAT_TESTS=OFF -D ZOQAT_PROJECT_TESTS=OFF -D ZOQAT_BENCH=OFF
cmake --build --preset release --target zeroqat
[ $# -gt 0 ] || set -- train
exec build/release/examples/zeroqat "$@"
