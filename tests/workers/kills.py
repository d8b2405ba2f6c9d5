#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills or stops a process of a training on many workers at a random moment, again and again, and holds the end to what
was promised:

  take_over   the run ends well, in the bytes of the log and weights of a single worker; so do all who are left
  leave_out   the run ends well; its log is whole, names what was left out, and makes the weights again
  stop        the run ends with an error that names the worker, and goes on from its log to the single worker's bytes
  coordinator whatever was asked for, all workers end with an error, and the run goes on from its log as above
  rejoin      a worker that is killed comes back under take_over, catches up, and ends in the same weights
  freeze      a worker that is stopped for longer than anybody waits, under take_over, catches up when it goes on
  mpi         a rank is killed under mpirun --enable-recovery: as take_over
  mpi_abort   the same under plain mpirun: the job ends, and the run goes on from its log

usage: kills.py PROGRAM FOLDER [--runs N] [--seed N] [--kinds a,b,...]
"""
import argparse
import collections
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

STEPS = 800
PATIENCE = 400  # milliseconds
MPIRUN = ["mpirun", "--oversubscribe", "-n", "4"]
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


class Broken(Exception):
    """A promise that was not kept."""


def demand(condition, what):
    if not condition:
        raise Broken(what)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def records_without_losses(log):
    """Steps whose record lacks losses; the whole log must be records."""
    settings, name, inputs = struct.unpack_from("<3I", log, 12)
    at = 8 + 4 + 12 + 4 + 8 + 8 + settings + name + inputs + 8
    groups, lacking = 10, []
    while at < len(log):
        step, q = struct.unpack_from("<2I", log, at)
        size = 4 * (6 + groups + (q & 0x7FFFFFFF))
        if q >> 31:
            lacking.append(step)
            size += 4 + 4 * struct.unpack_from("<I", log, at + size - 8)[0]
        at += size
    demand(at == len(log), "the log ends within a record")
    return lacking


class Run:
    def __init__(self, program, folder):
        self.program, self.folder, self.processes = program, folder, []
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.endpoint = "unix:" + os.path.join(os.path.relpath(folder), "s")

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, out, *arguments, prefix=()):
        file = open(self.path(out), "ab")
        self.processes.append(subprocess.Popen([*prefix, self.program, str(STEPS), self.path("run"), *arguments],
                                               stdout=file, stderr=file, env=ENVIRONMENT))
        return self.processes[-1]

    def end_all(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def coordinator(self, missing, others):
        return self.start("coordinator", "listen", self.endpoint, str(others), missing, str(PATIENCE))

    def worker(self, name):
        return self.start(name, "join", self.endpoint)

    def said(self, name):
        return content(self.path(name)).decode(errors="replace")

    def wait_for_steps(self, steps, process):
        """Until so many are in the log, or the process has ended."""
        while process.poll() is None:
            if os.path.exists(self.path("run.zlog")):
                size = os.path.getsize(self.path("run.zlog"))
                if size >= 67 + 68 * steps:
                    return
            time.sleep(0.0005)


def end(process, seconds=240):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Broken("a process hung") from None


def demand_same(run, whole, why):
    for name in ("run.zlog", "run.weights"):
        demand(content(run.path(name)) == content(whole.path(name)), f"{name} differs from the single worker's: {why}")


def go_on(run, whole):
    demand(end(run.start("resumed")) == 0, "the log cannot be gone on with: " + run.said("resumed"))
    demand_same(run, whole, "after it was gone on with")


def by_sockets(kind, run, whole, chance, notes):
    others = 3
    missing = kind if kind in ("take_over", "leave_out", "stop") else chance.choice(["take_over", "leave_out", "stop"])
    if kind in ("rejoin", "freeze"):
        missing = "take_over"
    coordinator = run.coordinator(missing, others)
    names = [f"worker{i}" for i in range(others)]
    workers = {name: run.worker(name) for name in names}
    at = chance.randrange(-20, STEPS)
    if at < 0:
        time.sleep(chance.random() * 0.2)
    else:
        run.wait_for_steps(at, coordinator)
        time.sleep(chance.random() * 0.002)
    victim = chance.choice(names)
    if kind == "coordinator":
        coordinator.kill()
        end(coordinator)
    elif kind == "freeze":
        workers[victim].send_signal(signal.SIGSTOP)
        time.sleep(2 * PATIENCE / 1000)
        workers[victim].send_signal(signal.SIGCONT)
    else:
        workers[victim].kill()
        end(workers[victim])
    if kind == "rejoin":
        names.append("again")
        workers["again"] = run.worker("again")
    if kind == "coordinator":
        for name in names:
            status = end(workers[name])
            demand(status == 0 and "worked from" in run.said(name) or
                   status == 1 and re.search("coordinator is gone|cannot reach", run.said(name)),
                   f"{name} ended with {status}: {run.said(name)}")
        go_on(run, whole)
        return
    status = end(coordinator)
    said = run.said("coordinator")
    left = [name for name in names if name != victim or kind == "freeze"]
    if kind == "stop" and status != 0:
        demand(status == 1 and re.search(r"workers: step \d+: (the losses of worker \d+ did not come|\d of 3 workers)",
                                         said), f"it stopped with {status}: {said}")
        for name in left:
            demand(end(workers[name]) == 1, f"{name} did not end with an error")
            demand(re.search("coordinator", run.said(name)), f"{name} said: {run.said(name)}")
        go_on(run, whole)
        notes["stopped"] += 1
        return
    demand(status == 0, f"the coordinator ended with {status}: {said}")
    if kind == "leave_out":
        lacking = records_without_losses(content(run.path("run.zlog")))
        told = sorted({int(step) for step in re.findall(r"step (\d+): goes on without", said)})
        notes["went on without losses"] += bool(lacking)
        demand(lacking == told, f"the log has steps {lacking} without losses, but {told} were told")
        if not lacking:
            demand_same(run, whole, "though nothing was left out")
        weights = content(run.path("run.weights"))
        os.remove(run.path("run.weights"))
        demand(end(run.start("replayed")) == 0, run.said("replayed"))
        demand(content(run.path("run.weights")) == weights, "the log makes other weights")
    else:
        demand_same(run, whole, said)
        notes["taken over"] += "takes over" in said
    prints = set()
    for name in left:
        status = end(workers[name])
        too_late = "cannot reach the coordinator" in run.said(name) and "begins without the others" in said
        if status == 1 and (too_late or name == "again" and "coordinator" in run.said(name)):
            continue  # it came when all was over
        demand(status == 0, f"{name} ended with {status}: {run.said(name)}\n{said}")
        notes["caught up"] += name == "again"
        prints |= set(re.findall("to ([0-9a-f]{16})", run.said(name)))
    demand(len(prints) == 1, f"the workers ended in weights {prints}")


def by_mpi(kind, run, whole, chance, notes):
    recovery = ["--enable-recovery"] if kind == "mpi" else []
    job = run.start("mpi", "mpi", prefix=[*MPIRUN, *recovery])
    at = chance.randrange(0, STEPS)
    run.wait_for_steps(at, job)
    pids = [int(pid) for pid in re.findall(r"worker (\d+) has come", run.said("mpi"))]
    if pids and job.poll() is None:
        try:
            os.kill(chance.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            pass
    status = end(job)
    if kind == "mpi":
        demand(status == 0 or os.path.exists(run.path("run.weights")), f"mpirun ended with {status}: {run.said('mpi')}")
        demand_same(run, whole, run.said("mpi"))
        notes["taken over"] += "takes over" in run.said("mpi")
    else:
        go_on(run, whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("folder")
    parser.add_argument("--runs", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default="take_over,leave_out,stop,coordinator,rejoin,freeze")
    how = parser.parse_args()
    whole = Run(how.program, os.path.join(how.folder, "whole"))
    demand(end(whole.start("out")) == 0, whole.said("out"))
    failed = 0
    for kind in how.kinds.split(","):
        kept, notes = 0, collections.Counter()
        for i in range(how.runs):
            chance = random.Random(f"{how.seed} {kind} {i}")
            run = Run(how.program, os.path.join(how.folder, "run"))
            try:
                (by_mpi if kind.startswith("mpi") else by_sockets)(kind, run, whole, chance, notes)
                kept += 1
            except Broken as broken:
                print(f"{kind}, run {i}: {broken}", flush=True)
                run.end_all()
                shutil.copytree(run.folder, os.path.join(how.folder, f"broken-{kind}-{i}"), dirs_exist_ok=True)
        failed += how.runs - kept
        told = "".join(f", {count} {note}" for note, count in notes.items() if count)
        print(f"{kind}: {kept} of {how.runs} runs ended as stated{told}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
