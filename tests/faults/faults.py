# SPDX-License-Identifier: Apache-2.0
"""Makes the two programs fail in every way that a machine can make them, and holds them to their promises.

faults.py --zeroqat Z --finetune F --library L --folder W [--every N] [--only NAME,...] [--scheme S]

Z and F are the programs, L is what tests/faults/faults.cpp builds, W is emptied first. Each scenario is run once as it
is, which counts its calls that change files, and its allocations. Then come runs of which one call or allocation
fails, or that are killed: before, in the middle of and after each call, and at moments of a clock. After each of them

  - a run that was not killed has ended with an error and a message, unless what happened does no harm, and has left no
    temporary behind;
  - what it has written is the whole file of the unbroken run, or is not there;
  - resumed, or begun again where there is no log yet, it ends in the bytes of the unbroken run, its log and model
    verify, and nothing else lies in its folder.

The last line is "N of M", for the cases that kept their promise and all; the status is 0 if those are the same.
--every N takes each N-th case of a kind. The scenario `codes`, whose start takes long, runs where --only names it.
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

HARMLESS = ("half", "interrupted")
KILLS = ("kill-before", "kill-half", "kill-after")
ERRORS = ("no-space", "disk-full", "io-error")
OF_MEMORY = ("no-memory-once", "no-memory")
WRITES = ("write", "pwrite")
INTERRUPTIBLE = WRITES + ("create", "open", "fsync", "fdatasync", "ftruncate", "fchmod")
TAKE_ROOM = WRITES + ("create", "rename", "mkdir", "link")
# What these say of an error does not change what was written: nobody is told.
UNREPORTED = ("close", "unlink", "remove")
MEMORY_CASES = 40
CLOCK_CASES = 12
# Of a long run of writes to one file so many are taken.
WRITES_IN_A_ROW = 8


class Broken(Exception):
    """A promise that was not kept."""


class Scenario:
    """A command that writes files, and what goes on after it was broken off. `outputs` are compared; `lines` is a
    table of which a kill may lose lines, but no part of one. `before` makes what lies in the folder first. Each
    `every`-th case of a kind is taken. What is `once` is not written again where all of it is there."""

    def __init__(self, name, command, resume=None, logs=(), outputs=(), lines=None, verified=(), before=None, every=1,
                 once=False):
        self.name, self.command, self.resume, self.once = name, command, resume, once
        self.logs, self.outputs, self.lines, self.verified = logs, outputs, lines, verified
        self.before, self.every = before, every


class Bench:
    def __init__(self, options):
        self.options = options
        self.root = pathlib.Path(options.folder).resolve()
        self.library = str(pathlib.Path(options.library).resolve())
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        self.counts = collections.OrderedDict()
        self.failures = []

    # --- Runs ---

    def run(self, command, folder, faults=None, kill_after=None):
        """Runs a command in a folder. Returns its status and what it says on stderr."""
        environment = dict(os.environ)
        if faults is not None:
            environment.update(faults, FAULTS_FOLDER=str(folder), LD_PRELOAD=self.library)
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        if kill_after is not None:
            time.sleep(kill_after)
            process.kill()
        said = process.communicate(timeout=600)[1]
        return process.returncode, said

    def fresh(self, name, scenario):
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if scenario.before:
            scenario.before(self, folder)
        return folder

    # --- The unbroken run ---

    def measure(self, scenario):
        """Makes the unbroken run, and counts its calls and allocations."""
        whole = self.fresh(scenario.name + "-whole", scenario)
        trace = self.root / (scenario.name + ".trace")
        since = time.monotonic()
        status, said = self.run(scenario.command, whole, {"FAULTS_TRACE": str(trace)})
        scenario.seconds = time.monotonic() - since
        if status != 0:
            raise SystemExit(f"faults: {scenario.name}: the unbroken run failed: {said}")
        lines = [line.split(" ", 2) for line in trace.read_text().splitlines()]
        scenario.calls = taken_of([(int(line[0]), line[1], line[2]) for line in lines if line[0] != "allocations"])
        scenario.allocations = int(lines[-1][1])
        scenario.whole = whole
        scenario.listing = names_in(whole)
        for name in scenario.outputs + scenario.logs:
            if not (whole / name).is_file():
                raise SystemExit(f"faults: {scenario.name}: the unbroken run wrote no {name}")

    # --- A case ---

    def case(self, scenario, kind, faults=None, kill_after=None, call=""):
        """A broken run and what comes after it, in a folder that is kept where a promise is not."""
        key = (scenario.name, kind)
        done, kept = self.counts.get(key, (0, 0))
        folder = self.fresh("case", scenario)
        try:
            status, said = self.run(scenario.command, folder, faults, kill_after)
            self.check_end(scenario, kind, call, status, said, folder)
            self.check_files(scenario, folder)
            self.recover(scenario, folder)
            kept += 1
        except Broken as broken:
            place = faults["FAULTS_AT"] if faults else f"{kill_after:.3f} s"
            name = f"failed-{len(self.failures)}"
            shutil.rmtree(self.root / name, ignore_errors=True)
            folder.rename(self.root / name)
            self.failures.append(f"{scenario.name}: {kind} at {place} {call}: {broken} ({name})")
            print(self.failures[-1], flush=True)
        self.counts[key] = (done + 1, kept)

    def check_end(self, scenario, kind, call, status, said, folder):
        if kind in KILLS:
            require(status == -signal.SIGKILL, f"was to be killed, but ended with {status}: {said}")
            return
        if kind == "kill-by-clock":
            require(status in (0, -signal.SIGKILL), f"ended with {status}: {said}")
            return
        if kind in OF_MEMORY and status == -signal.SIGABRT and "Fatal glibc error" in said:
            return  # glibc itself gives up where a thread's first destructor finds no memory: as good as a kill
        require(status >= 0, f"ended by signal {-status}: {said}")
        left = [name for name in names_in(folder) if name.startswith(".zoqat-")]
        require(not left, f"left {left} behind")
        if status == 0:
            silent_is_right = kind in HARMLESS + OF_MEMORY or call in UNREPORTED
            require(silent_is_right, "ended as if nothing had happened")
            self.check_equal(scenario, folder)
            return
        require(kind not in HARMLESS, f"failed, though it did no harm: {said}")
        message = said.strip().splitlines()[-1] if said.strip() else ""
        program = pathlib.Path(scenario.command[0]).name
        require(message.startswith(program + ": ") and len(message) > len(program) + 5,
                f"ended with {status} and the words '{message}'")

    def check_files(self, scenario, folder):
        """What is there under its name is whole."""
        for name in scenario.outputs:
            if (folder / name).exists():
                require(same(folder / name, scenario.whole / name), f"{name} was written in part")

    def recover(self, scenario, folder):
        """Goes on with the run where it has a log, or begins it again."""
        status, said = -1, ""
        if scenario.once and all((folder / name).exists() for name in scenario.outputs):
            self.check_equal(scenario, folder)
            return
        if scenario.resume and any((folder / log).exists() for log in scenario.logs):
            status, said = self.run(scenario.resume, folder)
        if status != 0:  # a log without a whole header cannot be resumed, and is replaced
            status, more = self.run(scenario.command, folder)
            require(status == 0, f"neither goes on nor begins again: {said}{more}")
        self.check_equal(scenario, folder)

    def check_equal(self, scenario, folder):
        for name in scenario.outputs + scenario.logs:
            require((folder / name).exists(), f"{name} is not there")
            require(same(folder / name, scenario.whole / name), f"{name} differs from that of the unbroken run")
        require(names_in(folder) == scenario.listing,
                f"there are {names_in(folder)}, but the unbroken run leaves {scenario.listing}")
        if scenario.lines:
            check_lines(folder / scenario.lines, scenario.whole / scenario.lines)
        if scenario.verified:
            status, said = self.run([self.options.zeroqat, "verify", *scenario.verified], folder)
            require(status == 0, f"does not verify: {said}")

    # --- All cases of a scenario ---

    def cases(self, scenario):
        """(kind, number, name of the call) of each fault."""
        for kind in KILLS + ERRORS + HARMLESS:
            for number, call in scenario.calls:
                if kind in ("kill-half", "half", "disk-full") and call not in WRITES:
                    continue
                if kind == "interrupted" and call not in INTERRUPTIBLE:
                    continue
                if kind == "no-space" and call not in TAKE_ROOM:
                    continue
                yield kind, number, call
        for kind in OF_MEMORY:
            for i in range(MEMORY_CASES):
                yield kind, 1 + i * (scenario.allocations - 1) // (MEMORY_CASES - 1), "allocation"

    def scenario(self, scenario):
        self.measure(scenario)
        print(f"{scenario.name}: {len(scenario.calls)} calls, {scenario.allocations} allocations, "
              f"{scenario.seconds:.2f} s", flush=True)
        taken = collections.Counter()
        for kind, number, call in self.cases(scenario):
            taken[kind] += 1
            if (taken[kind] - 1) % (self.options.every * scenario.every) == 0:
                self.case(scenario, kind, {"FAULTS_KIND": kind, "FAULTS_AT": str(number)}, call=call)
        moments = random.Random(scenario.name)
        for _ in range(max(1, CLOCK_CASES // (self.options.every * scenario.every))):
            self.case(scenario, "kill-by-clock", kill_after=moments.uniform(0, scenario.seconds))


def taken_of(calls):
    """(number, name) of the calls that are made to fail."""
    taken = []
    for (name, _), row in itertools.groupby(calls, key=lambda call: call[1:]):
        row = list(row)
        if len(row) > WRITES_IN_A_ROW:
            row = [row[i * (len(row) - 1) // (WRITES_IN_A_ROW - 1)] for i in range(WRITES_IN_A_ROW)]
        taken += [(number, name) for number, _, _ in row]
    return taken


def require(kept, otherwise):
    if not kept:
        raise Broken(otherwise)


def same(a, b):
    return a.read_bytes() == b.read_bytes()


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def check_lines(here, whole):
    """A kill may lose the line of a step, but no line comes twice, out of order or in part."""
    text = here.read_text()
    require(text.endswith("\n"), f"{here.name} ends within a line")
    rest = iter(whole.read_text().splitlines())
    for line in text.splitlines():
        require(any(line == other for other in rest), f"{here.name} has the line '{line}' out of its place")


def heroes():
    """Items of a task that the model beside the examples knows something of."""
    items = []
    for boy, girl in (("Tom", "Lily"), ("Ben", "Mia"), ("Max", "Anna"), ("Sam", "Sue")):
        for thing in ("ball", "cat", "hat"):
            for correct, name in enumerate((boy, girl)):
                items.append({"prompt": f"{name} had a {thing}. The little", "choices": [" boy", " girl"],
                              "correct": correct})
    return "".join(json.dumps(item) + "\n" for item in items)


def scenarios(options, root):
    (root / "heroes.jsonl").write_text(heroes())
    small = ["--scheme", options.scheme, "--sampled", "8", "--length", "8", "--batch", "2",
             "--threads", "1", "--sync-every", "0", "--log", "run.zlog", "--output", "model.safetensors"]
    resume = [options.zeroqat, "train", "--resume", "--allow-worse", "--threads", "1", "--sync-every", "0", "--log", "run.zlog",
              "--output", "model.safetensors"]
    table = ["--report", "report.json", "--metrics", "metrics.csv"]
    calibrated = ["--calibration", "1"]
    quick = ["--optimizer", "sgd", "--epsilon", "1e-3", "--clipping-rate", "1e-4"]
    train = [options.zeroqat, "train", *small, *table, *quick, "--start", "rtn", "--train", "step_row,norm",
             "--steps", "4", "--validate-every", "2", "--allow-worse"]
    yield Scenario("train", train, resume=resume + table, logs=("run.zlog",),
                   outputs=("model.safetensors", "report.json"), lines="metrics.csv",
                   verified=("run.zlog", "model.safetensors"))

    def broken_off(bench, folder):
        """A run that was killed after half of its steps."""
        kept = bench.root / "broken-off"
        if not kept.exists():
            kept.mkdir()
            status, said = bench.run(train, kept, {"FAULTS_KIND": "kill-after", "FAULTS_AT": str(options.half)})
            if status != -signal.SIGKILL:
                raise SystemExit(f"faults: the run to be resumed was not killed: {said}")
        shutil.copytree(kept, folder, dirs_exist_ok=True)

    yield Scenario("resume", resume + table, resume=resume + table, logs=("run.zlog",),
                   outputs=("model.safetensors", "report.json"), lines="metrics.csv",
                   verified=("run.zlog", "model.safetensors"), before=broken_off)
    yield Scenario("snapshot", [options.zeroqat, "train", *small, *quick, *calibrated, "--start", "smoothquant",
                                "--steps", "3", "--snapshot", "--allow-worse"],
                   resume=resume, logs=("run.zlog",), outputs=("model.safetensors", "run.zlog.start"),
                   verified=("run.zlog", "run.zlog.start", "model.safetensors"))
    yield Scenario("codes", [options.zeroqat, "train", *small, *quick, *calibrated, "--steps", "3", "--snapshot",
                             "--allow-worse"],
                   resume=resume, logs=("run.zlog",), outputs=("model.safetensors", "run.zlog.start"),
                   verified=("run.zlog", "run.zlog.start", "model.safetensors"), every=20)
    yield Scenario("export", [options.zeroqat, "export", "--gguf", "model.gguf", "--type", "q8_0"],
                   outputs=("model.gguf",))
    yield Scenario("export-folder", [options.zeroqat, "export", "--hf", "model"], every=2, once=True,
                   outputs=tuple(f"model/{name}" for name in ("model.safetensors", "config.json", "tokenizer.bin")))
    task = ["--task", "choices", "--train", "../heroes.jsonl", "--test", "../heroes.jsonl", "--train-items", "8",
            "--validation-items", "4", "--test-items", "4", "--batch", "2", "--steps", "4",
            "--every", "2", "--threads", "1", "--sync-every", "0", "--output", "out"]
    name = f"out/choices-tiny-llama-{options.finetune_scheme}"
    one = f"{name}-rtn-fp32-zeroqat__.v_proj-0"
    finetune = [options.finetune, *task, "--scheme", options.finetune_scheme]
    finetune += ["--trains", "*.v_proj", "--optimizer", "sgd", "--rate", "1e-4"]
    rows = [*finetune, "--only-zeroqat", "--start", "rtn"]
    yield Scenario("finetune", rows, resume=[*rows, "--resume"], logs=(one + ".zlog",),
                   outputs=(one + ".safetensors",), verified=(one + ".zlog", one + ".safetensors"))
    both = [f"{name}-smoothquant-fp32-{row}-0" for row in ("MeZO", "zeroqat__.v_proj")]
    rows = [*finetune, "--calibration", "2", "--snapshot"]
    logs = tuple(row + ".zlog" for row in both)
    kept = (both[1] + ".safetensors", *(log + ".start" for log in logs))
    yield Scenario("finetune-rows", rows, resume=[*rows, "--resume"], logs=logs, outputs=kept,
                   verified=(*logs, *kept), every=3)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--zeroqat", required=True)
    options.add_argument("--finetune", required=True)
    options.add_argument("--library", required=True)
    options.add_argument("--folder", required=True)
    options.add_argument("--scheme", default="w4a4")
    options.add_argument("--finetune-scheme", default="w4a4")
    options.add_argument("--every", type=int, default=1)
    options.add_argument("--only")
    options = options.parse_args()
    options.zeroqat = str(pathlib.Path(options.zeroqat).resolve())
    options.finetune = str(pathlib.Path(options.finetune).resolve())
    bench = Bench(options)
    for scenario in scenarios(options, bench.root):
        if scenario.name == "train":
            bench.measure(scenario)
            logged = [number for number, call in scenario.calls if call == "fdatasync"]
            options.half = logged[len(logged) // 2]
        if scenario.name in options.only.split(",") if options.only else scenario.name != "codes":
            bench.scenario(scenario)
            for (name, kind), (done, kept) in bench.counts.items():
                if name == scenario.name:
                    print(f"  {kind.ljust(16)}{kept} of {done}", flush=True)
    done = sum(count[0] for count in bench.counts.values())
    kept = sum(count[1] for count in bench.counts.values())
    print(f"{kept} of {done}")
    return 0 if kept == done else 1


if __name__ == "__main__":
    sys.exit(main())
