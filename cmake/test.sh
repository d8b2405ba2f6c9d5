#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# From a bare Debian 12 to tested: installs what is missing, then configures, builds and tests each preset. The last
# line counts the tests that passed and failed over all presets, one failure for each preset that does not configure
# or build; the status is 0 if and only if none failed.
#
# To take less processor time, tests of a folder are compiled in groups, they and example programs with -O1 where they
# are not of what engines embed, and format strings are checked in releases alone; zeroqat is built with one scheme and
# two families of models, finetune with one, and benchmarks are compiled without making programs of them.
#
# usage: test.sh [PRESET...]      default: release debug
set -u
cd "$(dirname "$0")/.." || exit 1

sh cmake/install-dependencies.sh --tests || { echo '0 passed, 1 failed'; exit 1; }

jobs=$(nproc)
passed=0
failed=0
[ $# -gt 0 ] || set -- release debug
for preset in "$@"; do
  echo "=== $preset"
  if ! cmake --preset "$preset" -D ZOQAT_WERROR=ON -D ZOQAT_GROUP_TESTS=ON -D ZOQAT_QUICK_BUILD=ON \
    -D ZOQAT_SCHEMES="w4a4kv4" -D ZOQAT_FAMILIES="llama;opt" \
    -D ZOQAT_FINETUNE_SCHEMES="w4a4" -D ZOQAT_BENCH_SYNTAX=ON; then
    failed=$((failed + 1))
    continue
  fi
  # What can be built is built and tested, whatever fails beside it.
  cmake --build --preset "$preset" -j "$jobs" -- -k 0 || failed=$((failed + 1))

  report=$PWD/build/$preset/report.xml
  summary=$PWD/build/$preset/summary.txt
  rm -f "$report"
  ctest --preset "$preset" -j "$jobs" --output-junit "$report" | tee "$summary"
  [ ! -f "$report" ] || passed=$((passed + $(grep -c '<testcase .* status="run">' "$report")))
  failures=$(sed -n 's/^[0-9]*% tests passed, \([0-9]*\) tests* failed out of [0-9]*$/\1/p' "$summary" | tail -n 1)
  failed=$((failed + ${failures:-1}))  # no summary: ctest itself failed
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
