#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Plants the faults of faults.txt in copies of the headers, one at a time, and runs the test that must find each. A line
# for each: "killed" by the test, "does not compile", or "SURVIVED". The status is 0 if and only if none survived and
# every fault could be planted. A fault takes the time that the test's file takes to compile, without optimization.
#
# usage: run.sh WORK [NAME...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
wanted=" $* "
flags="-std=c++20 -O0 -march=native -I$root/tests"
compile() { ${CXX:-g++} $flags "-DZOQAT_SOURCE_DIR=\"$root\"" "$@"; }
[ -f "$work/main.o" ] || compile "-I$root/include" -c "$root/tests/main.cpp" -o "$work/main.o" || exit 1

status=0
while IFS= read -r line; do
  case $line in '#'* | '') continue ;; esac
  # Five fields between " | "; "\|" and "\&" are the characters themselves.
  field() { printf '%s\n' "$line" | sed 's/\\|/\x01/g; s/\\&/\&/g' | awk -F ' [|] ' -v n="$1" '{print $n}' | tr '\001' '|'; }
  name=$(field 1) header=$(field 2) test=$(field 5)
  case $wanted in '  ' | *" $name "*) ;; *) continue ;; esac
  rm -rf "$work/include"
  cp -r "$root/include" "$work/include"
  FROM=$(field 3) TO=$(field 4) perl -0pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/' "$work/include/zoqat/$header"
  if cmp -s "$root/include/zoqat/$header" "$work/include/zoqat/$header"; then
    echo "$name: cannot be planted: $header does not say that any more"
    status=1
  elif ! compile "-I$work/include" -c "$root/tests/$test" -o "$work/test.o" 2>"$work/log" ||
    ! ${CXX:-g++} "$work/main.o" "$work/test.o" -o "$work/test" -lfmt 2>>"$work/log"; then
    echo "$name: does not compile: $(grep -m 1 error "$work/log")"
    status=1
  elif timeout 300 "$work/test" >"$work/log" 2>&1; then
    echo "$name: SURVIVED $test"
    status=1
  else
    echo "$name: killed by $test"
  fi
done <"$here/faults.txt"
exit "$status"
