#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs what zoqat needs on Debian 12: what the library and the examples are built with; with --tests also what the
# tests and benchmarks are; with --bench also PyTorch, which bench/report runs beside them. Only what is missing;
# nothing is asked and no list is fetched if nothing is.
#
# usage: install-dependencies.sh [--tests | --bench]
set -eu

packages='g++ cmake ninja-build libfmt-dev libhwy-dev nlohmann-json3-dev libicu-dev libcli11-dev'
tests='doctest-dev libxsimd-dev libbenchmark-dev clang-16 libclang-rt-16-dev g++-aarch64-linux-gnu qemu-user'
tests="$tests python3"  # for tests/faults
tests="$tests libopenmpi-dev openmpi-bin"  # for ext/mpi.hpp and tests/workers
tests="$tests libsentencepiece-dev"  # for ext/sentencepiece.hpp alone
tests="$tests clang-format-16 clang-tidy-16 doxygen"  # for tests/habits
peers='libopenblas-dev libdnnl-dev'  # what bench/report compares with
case "${1-}" in
  '') ;;
  --tests) packages="$packages $tests $peers" ;;
  --bench) packages="$packages $tests $peers python3-torch" ;;
  *)
    echo "usage: $0 [--tests | --bench]" >&2
    exit 2 ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "$0: this system has no apt-get; install the equivalents of: $packages" >&2
  exit 1
fi

missing=
for package in $packages; do
  case "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" in
    installed) ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
  as_root=
elif command -v sudo >/dev/null; then
  as_root=sudo
else
  echo "$0: not root and no sudo; have an administrator run: apt-get install$missing" >&2
  exit 1
fi

echo "Installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
  $as_root env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 </dev/null || {
    cat "$log" >&2
    echo "$0: failed: $*" >&2
    exit 1
  }
}
quietly apt-get -o Acquire::Retries=3 update
# shellcheck disable=SC2086  # a list of words
quietly apt-get -o Acquire::Retries=3 install -y --no-install-recommends $missing
