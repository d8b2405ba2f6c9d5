#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Which builds compile and compute the same: tests/zo/in_place_portable.cpp by every compiler found here, for two
# standards, five sets of flags and every backend, with exceptions and without. One line a build: what the kernels
# are, and what came out; the last line counts. The status is 0 if and only if every build gave the golden bits.
# A build takes about five seconds, the whole table a quarter of an hour of one core; the tests of the project build
# a few of these (tests/portable/CMakeLists.txt).
#
# usage: table.sh [NAME=INCLUDE_DIRECTORY...]
#   NAME is highway… or xsimd…, such as highway-1.4=/src/highway or xsimd-14=/src/xsimd/include: further versions of
#   the backends, beside those that the compilers find by themselves.
# environment: COMPILERS, STANDARDS, FLAGS (separated by commas) narrow the table.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

compilers=${COMPILERS-g++ g++-13 g++-14 clang++-14 clang++-16 clang++-18 clang++-19}
standards=${STANDARDS-c++20 c++2b}
flags=${FLAGS-,-march=x86-64-v2,-march=x86-64-v3,-march=x86-64-v3 -maes -mpclmul,-march=native}
good=0
bad=0

# build COMPILER STANDARD FLAGS BACKEND OPTION...
build() {
  compiler=$1 standard=$2 flag=$3 backend=$4
  shift 4
  # shellcheck disable=SC2086  # FLAGS are words
  if ! "$compiler" -std="$standard" -O2 $flag "$@" -DFMT_HEADER_ONLY -I"$root/include" \
      "$root/tests/zo/in_place_portable.cpp" -o "$work/program" 2>"$work/log"; then
    result="does not compile: $(grep -m 1 error "$work/log" | cut -c 1-120)"
  elif "$work/program" >"$work/out"; then
    result=same
  else
    result="differs: $(grep WRONG "$work/out" | tr '\n' ' ')"
  fi
  kernels=$(head -n 1 "$work/out" 2>/dev/null)
  [ "$result" = same ] && good=$((good + 1)) || bad=$((bad + 1))
  printf '%-11s %-6s %-34s %-24s %-34s %s\n' "$compiler" "$standard" "${flag:-(plain)}" "$backend" "$kernels" "$result"
  rm -f "$work/program" "$work/out"
}

printf '%-11s %-6s %-34s %-24s %-34s %s\n' compiler std flags backend kernels result
for compiler in $compilers; do
  command -v "$compiler" >/dev/null || continue
  for standard in $standards; do
    echo "$flags," | tr ',' '\n' | sed '$d' >"$work/flags"
    while IFS= read -r flag; do
      build "$compiler" "$standard" "$flag" highway
      build "$compiler" "$standard" "$flag" 'highway, no exceptions' -fno-exceptions
      build "$compiler" "$standard" "$flag" xsimd -DZOQAT_KERNELS_XSIMD
      build "$compiler" "$standard" "$flag" reference -DZOQAT_KERNELS_REFERENCE
      for version in "$@"; do
        case "$version" in
          xsimd*) build "$compiler" "$standard" "$flag" "${version%%=*}" -DZOQAT_KERNELS_XSIMD -I"${version#*=}" ;;
          *) build "$compiler" "$standard" "$flag" "${version%%=*}" -I"${version#*=}" ;;
        esac
      done
    done <"$work/flags"
  done
done
echo "$good builds gave the same bits, $bad did not"
[ "$bad" -eq 0 ]
