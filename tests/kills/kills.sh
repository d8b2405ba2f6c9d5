#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kills.sh ZEROQAT FOLDER [FLIPS [SCHEME]]: a training that is killed again and again ends in the bits of the unbroken
# one; a log and a model with a flipped bit, and a log that is cut anywhere, are refused. FOLDER is emptied first.
# SCHEME may be `stored`: then a .gguf file is trained, whose format has no checksums that would tell of flipped bits.
set -u
zeroqat=$1
folder=$2
flips=${3:-40}
scheme=${4:-w4a4}
teacher=$(cd "$(dirname "$0")/../../examples/models/tiny-llama" && pwd)
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder" || exit 1

fail() {
  echo "kills: $*" >&2
  exit 1
}
model=model.safetensors
start="--start rtn"
other_start="--start smoothquant --calibration 8"
checked="whole/run.zlog whole/model.safetensors"
if [ "$scheme" = stored ]; then
  model=model.gguf
  "$zeroqat" export --gguf base.gguf --type q4_0 >/dev/null || fail "there is no file to train"
  start="--model base.gguf --teacher $teacher"
  other_start="$start --train norm"
  checked=whole/run.zlog
fi
train() {
  "$zeroqat" train --scheme "$scheme" $start --train step_row,norm --sampled 32 --length 32 \
    --steps 60 --threads 1 --validate-every 20 --log "$1/run.zlog" --output "$1/$model" >>"$1/out" 2>&1
}
resume() {
  "$zeroqat" train --resume --log "$1/run.zlog" --output "$1/$model" --threads 1 >>"$1/out" 2>&1
}
# killed_after SECONDS COMMAND...: runs it and kills it then, or lets it end before that.
killed_after() {
  delay=$1
  shift
  "$@" &
  sleep "$delay"
  children=$(cat "/proc/$!/task/$!/children" 2>/dev/null)
  kill -KILL $! $children 2>/dev/null
  wait $! 2>/dev/null
}

mkdir whole
train whole || fail "the unbroken run failed: $(tail -1 whole/out)"

# --- Kills ---
kills=0
for delay in 0.2 0.5 0.8 1.1 1.5; do
  name=killed-$delay
  mkdir "$name"
  killed_after "$delay" train "$name"
  kills=$((kills + 1))
  if [ -s "$name/run.zlog" ]; then
    killed_after "$delay" resume "$name"
    kills=$((kills + 1))
    resume "$name" || fail "$name: $(tail -1 "$name/out")"
  else
    train "$name" || fail "$name: $(tail -1 "$name/out")"
  fi
  for file in run.zlog $model; do
    cmp -s "whole/$file" "$name/$file" || fail "$name/$file differs from that of the unbroken run"
  done
done
[ -z "$(find . -name '.zoqat-*.tmp')" ] || fail "temporaries are left behind"

# --- Flipped bits ---
# flip FILE BYTE BIT: into the file "flipped" with the ending of FILE.
flip() {
  target=flipped.${1##*.}
  cp "$1" "$target"
  value=$(od -An -tu1 -j"$2" -N1 "$1" | tr -d ' ')
  octal=$(printf '%03o' $((value ^ (1 << $3))))
  printf "\\$octal" | dd of="$target" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
for file in $checked; do
  size=$(stat -c %s "$file")
  i=0
  while [ $i -lt "$flips" ]; do
    byte=$(((i * 7919 + i * i * 31) % size))
    flip "$file" $byte $((i % 8))
    "$zeroqat" verify "flipped.${file##*.}" >/dev/null 2>&1 && fail "bit $((i % 8)) of byte $byte of $file was missed"
    i=$((i + 1))
  done
done

# --- Cuts ---
size=$(stat -c %s whole/run.zlog)
i=0
while [ $i -lt "$flips" ]; do
  head -c $((i * (size - 1) / flips)) whole/run.zlog >cut.zlog
  "$zeroqat" replay --log cut.zlog >/dev/null 2>&1 && fail "a log cut at byte $((i * (size - 1) / flips)) was replayed"
  i=$((i + 1))
done

# --- Starts ---
mkdir other
"$zeroqat" train --scheme "$scheme" $other_start --sampled 32 --length 32 \
  --steps 1 --threads 1 --snapshot --log other/run.zlog >other/out 2>&1 || fail "other: $(tail -1 other/out)"
"$zeroqat" replay --log other/run.zlog --threads 1 >/dev/null || fail "a log does not replay from its start"
cp other/run.zlog.start whole/
"$zeroqat" replay --log whole/run.zlog 2>&1 | grep -q "start of another run" || fail "another run's start was taken"
rm other/run.zlog
"$zeroqat" train --scheme "$scheme" $other_start --steps 0 --log other/run.zlog 2>&1 | grep -q "is there already" || fail "a start was not kept"
echo "kills: $kills kills, $flips flipped bits in each of $checked, $flips cuts: all well"
