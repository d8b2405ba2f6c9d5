#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# From a bare Debian 12 to the result table: installs what is missing, builds of the program what the command needs and
# runs it on the model in examples/models, or with the arguments given. A build of all schemes is made by
# `cmake --preset release && cmake --build --preset release --target zeroqat`.
#
# usage: quickstart.sh [ARGUMENT...]
set -eu
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- train
# A training needs its own scheme alone; any other command takes that of a file.
schemes=all
families=all
if [ "$1" = train ]; then
  schemes=w4a4
  families=llama  # that of the model in examples/models
  previous=
  for argument in "$@"; do
    case $argument in
      --scheme=*) schemes=${argument#--scheme=} ;;
      --resume) schemes=all; families=all; break ;;
      --model*) families=all ;;
      *) [ "$previous" != --scheme ] || schemes=$argument ;;
    esac
    previous=$argument
  done
fi

sh cmake/install-dependencies.sh
cmake --preset release -D ZOQAT_TESTS=OFF -D ZOQAT_PROJECT_TESTS=OFF -D ZOQAT_BENCH=OFF -D ZOQAT_SCHEMES="$schemes" \
  -D ZOQAT_FAMILIES="$families"
cmake --build --preset release --target zeroqat
exec build/release/examples/zeroqat "$@"
