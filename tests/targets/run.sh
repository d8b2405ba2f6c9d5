#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# One run from the default start, made with AVX2 by make.cpp, replayed by replay.cpp for every instruction set that this
# machine has or emulates: for each what its kernels are, the hash of the replayed parameters, those of directions, updates
# and codes (tests/zo/in_place_portable.cpp), and the sha256 of the model that is saved. The status is 0 if and only if
# every target that could be built gave the same. A target takes about a minute of one core; one that does not build here
# says why and fails, but for those whose compiler is missing.
#
# usage: run.sh WORK [TARGET...]
# environment: STEPS of the run, 40 unless given; OPT, the optimization of the programs, -O1 unless given
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- reference emu128 ssse3 sse4 avx2 native xsimd_sse2 xsimd_native neon sve sve_reference
model=$root/examples/models/tiny-llama

sve='-static -march=armv8.2-a+sve+crypto+dotprod'
log=$work/run.zlog

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
    # Kernels on NEON, and all else as the compiler makes it for SVE; then the scalar code as it makes that.
    sve) compiler=aarch64-linux-gnu-g++ flags="$sve -DHWY_DISABLED_TARGETS=(HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128)" ;;
    sve_reference) compiler=aarch64-linux-gnu-g++ flags="$sve -O2 -ftree-vectorize -DZOQAT_KERNELS_REFERENCE" ;;
  esac
  command -v "$compiler" >/dev/null || { echo "error: there is no $compiler" >"$3.log"; return 1; }
  # shellcheck disable=SC2086  # flags are words
  "$compiler" -std=c++20 "${OPT:--O1}" $flags -DFMT_HEADER_ONLY -DZOQAT_ALLOW_SLOW_KERNELS -I"$root/include" \
    "$2" -o "$3" 2>"$3.log"
}
# run_target TARGET PROGRAM ARGUMENT...
run_target() {
  target=$1
  shift
  case $target in
    neon | sve | sve_reference) qemu-aarch64 "$@" ;;
    *) "$@" ;;
  esac
}

if [ ! -f "$log" ]; then
  build avx2 "$root/tests/targets/make.cpp" "$work/make" || { grep -m 3 error "$work/make.log"; exit 1; }
  "$work/make" "$model" "$log" "${STEPS:-40}" >"$work/make.out" || exit 1
fi
made=$(cat "$work/make.out")
printf '%-12s %s\n' made "$made"

first= status=0
for target in "$@"; do
  program=$work/replay.$target portable=$work/portable.$target
  if ! build "$target" "$root/tests/zo/in_place_portable.cpp" "$portable" ||
    ! build "$target" "$root/tests/targets/replay.cpp" "$program"; then
    why=$(cat "$portable.log" "$program.log" 2>/dev/null | grep -m 1 error | cut -c 1-120)
    printf '%-12s left out: %s\n' "$target" "$why"
    case $why in *'there is no '*) ;; *) status=1 ;; esac
    continue
  fi
  bits=$(run_target "$target" "$portable" | tail -n +2 | tr '\n' ' ')
  replayed=$(run_target "$target" "$program" "$model" "$log" "$work/$target.safetensors" 2>&1)
  sum=$(sha256sum <"$work/$target.safetensors" | cut -c 1-64)
  printf '%-12s %s\n%-12s %s\n%-12s sha256 %s\n' "$target" "$replayed" '' "$bits" '' "$sum"
  all="$bits${replayed##*: } $sum"
  [ -n "$first" ] || first=$all
  case $bits in *WRONG*) status=1 ;; esac
  [ "$all" = "$first" ] && [ "${replayed##*: }" = "${made##*: }" ] || status=1
done
[ "$status" -eq 0 ] && echo "all targets gave the same bits" || echo "TARGETS DIFFER"
exit "$status"
