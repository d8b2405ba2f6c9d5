#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# One run, made with AVX2 by the program zeroqat with --snapshot, replayed for every instruction set that this machine
# has or emulates: a row each with what its kernels are, the hashes of directions, updates and codes
# (tests/zo/in_place_portable.cpp), that of the replayed parameters, and the sha256 of the model that is saved from
# them. The status is 0 if and only if every target that could be built gave the same. A target takes about two minutes
# of one core; those whose compiler or emulator is missing are named and left out.
#
# usage: run.sh WORK [TARGET...]
# environment: ZEROQAT  the program, built for AVX2; without it it is built in WORK with the preset release-v3's flags
#              OPT      optimization of the replaying programs, -O2 unless given
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- reference emu128 ssse3 sse4 avx2 native xsimd_sse2 xsimd_native neon sve
model=$root/examples/models/tiny-llama

if [ -z "${ZEROQAT-}" ]; then
  cmake -S "$root" -B "$work/build" -G Ninja -D CMAKE_BUILD_TYPE=Release -D ZOQAT_TESTS=OFF -D ZOQAT_BENCH=OFF \
    -D ZOQAT_PROJECT_TESTS=OFF -D ZOQAT_EXAMPLES=ON -D ZOQAT_SCHEMES=w4a4 -D ZOQAT_FAMILIES=llama \
    -D CMAKE_CXX_FLAGS="-march=x86-64-v3 -maes -mpclmul" >"$work/configure.log" &&
    cmake --build "$work/build" --target zeroqat >"$work/build.log" || { echo "zeroqat does not build"; exit 1; }
  ZEROQAT=$work/build/examples/zeroqat
fi
log=$work/run.zlog
if [ ! -f "$log" ]; then
  "$ZEROQAT" train --scheme w4a4 --model "$model" --sampled 64 --calibration 32 --length 64 --steps 40 --keep last \
    --allow-worse --snapshot --log "$log" --output "$work/trained.safetensors" >"$work/train.log" 2>&1 ||
    { tail -n 2 "$work/train.log"; exit 1; }
fi
"$ZEROQAT" --version

# build TARGET SOURCE PROGRAM: 1 where the target has no compiler here
build() {
  compiler=${CXX:-g++} flags=
  case $1 in
    reference) flags=-DZOQAT_KERNELS_REFERENCE ;;
    emu128) flags=-DHWY_COMPILE_ONLY_EMU128 ;;
    ssse3) flags=-march=x86-64-v2 ;;  # without AES Highway uses no more
    sse4) flags='-march=x86-64-v2 -maes -mpclmul' ;;
    avx2) flags='-march=x86-64-v3 -maes -mpclmul' ;;
    native) flags=-march=native ;;
    xsimd_sse2) flags=-DZOQAT_KERNELS_XSIMD ;;
    xsimd_native) flags='-DZOQAT_KERNELS_XSIMD -march=native' ;;
    neon) compiler=aarch64-linux-gnu-g++ flags='-static -march=armv8.2-a+crypto+dotprod' ;;
    sve) compiler=aarch64-linux-gnu-g++ flags='-static -march=armv8.2-a+sve+crypto+dotprod' ;;
  esac
  command -v "$compiler" >/dev/null || return 1
  # shellcheck disable=SC2086  # flags are words
  "$compiler" -std=c++20 "${OPT:--O2}" $flags -DFMT_HEADER_ONLY -DZOQAT_ALLOW_SLOW_KERNELS -I"$root/include" \
    "$2" -o "$3" 2>"$3.log"
}
# run_target TARGET PROGRAM ARGUMENT...
run_target() {
  target=$1
  shift
  case $target in
    neon | sve) qemu-aarch64 "$@" ;;
    *) "$@" ;;
  esac
}

first= status=0
for target in "$@"; do
  program=$work/replay.$target
  if ! build "$target" "$root/tests/zo/in_place_portable.cpp" "$work/portable.$target" ||
    ! build "$target" "$root/tests/targets/replay.cpp" "$program"; then
    printf '%-12s does not build here: %s\n' "$target" "$(grep -h -m 1 error "$work/portable.$target.log" \
      "$program.log" 2>/dev/null | cut -c 1-120)"
    continue
  fi
  bits=$(run_target "$target" "$work/portable.$target" | tail -n +2 | tr '\n' ' ')
  replayed=$(run_target "$target" "$program" "$model" "$log" "$work/$target.safetensors" 2>&1)
  sum=$(sha256sum <"$work/$target.safetensors" | cut -c 1-64)
  printf '%-12s %s\n%-12s %s\n%-12s sha256 %s\n' "$target" "$replayed" '' "$bits" '' "$sum"
  all="$bits ${replayed##*: } $sum"
  [ -n "$first" ] || first=$all
  case $bits in *WRONG*) status=1 ;; esac
  [ "$all" = "$first" ] || status=1
done
[ "$status" -eq 0 ] && echo "all targets gave the same bits" || echo "TARGETS DIFFER"
exit "$status"
