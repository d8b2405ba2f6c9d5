#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs every fuzzer for some time, two at once, and prints a line for each: executions, edges that they covered, and
# "clean" or what they found. The status is 0 if and only if all are clean. The corpora stay in WORK and are gone on
# with the next time.
#
# usage: run.sh PROGRAMS WORK [SECONDS [TARGET...]]
#   PROGRAMS  the folder tests/fuzz of a build with the preset `fuzz`
#   SECONDS   of each target, 600 unless given
set -u
here=$(cd "$(dirname "$0")" && pwd)
programs=$(cd "$1" && pwd)
work=$2
seconds=${3:-600}
shift 2
[ $# -gt 0 ] && shift
mkdir -p "$work"
work=$(cd "$work" && pwd)
"$programs/make_seeds" "$work/seeds" || exit 1
[ $# -gt 0 ] || set -- $(ls "$work/seeds")

cat >"$work/one.sh" <<'END'
#!/bin/sh
# one.sh HERE PROGRAMS WORK SECONDS TARGET
program=$2/fuzz_$5
[ -x "$program" ] || { echo "$5: not built"; exit 0; }
case $5 in
  gguf*|llama2c*|log|run_log|start|quantized|tokenizer|tokenizer_bin|sentencepiece) dictionary=binary ;;
  *) dictionary=json ;;
esac
mkdir -p "$3/corpus/$5" "$3/found"
folder=$(mktemp -d "${FUZZ_TMPDIR:-/dev/shm}/zoqat-fuzz-XXXXXX")
TMPDIR=$folder "$program" "$3/corpus/$5" "$3/seeds/$5" -dict="$1/$dictionary.dict" -max_total_time="$4" \
  -rss_limit_mb=1024 -timeout=10 -max_len=20000 -print_final_stats=1 -artifact_prefix="$3/found/$5-" \
  >"$3/$5.log" 2>&1
status=$?
rm -rf "$folder"
executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$3/$5.log")
edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$3/$5.log" | tail -n 1)
if [ "$status" -eq 0 ]; then found=clean; else found=$(grep -m 1 -E 'ERROR|SUMMARY|runtime error' "$3/$5.log"); fi
printf '%-18s %10s executions %6s edges  %s\n' "$5" "${executions:-?}" "${edges:-?}" "${found:-status $status}"
[ "$status" -eq 0 ]
END
echo "$@" | tr ' ' '\n' | xargs -P "${FUZZ_JOBS:-2}" -I TARGET sh "$work/one.sh" "$here" "$programs" "$work" "$seconds" TARGET
