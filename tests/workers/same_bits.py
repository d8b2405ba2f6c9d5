#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One worker without any transport, and 1, 2 and 4 under mpirun: one sha256 of all logs, and one of all models.

usage: same_bits.py PROGRAM FOLDER [ARGUMENT...]    PROGRAM STEPS NAME ARGUMENT... leaves NAME.zlog and a model
"""
import hashlib
import os
import shutil
import subprocess
import sys

STEPS = 120


def main():
    program, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    arguments = sys.argv[3:] or ["mpi"]
    if not shutil.which("mpirun"):
        print("skipped: there is no mpirun; install openmpi-bin")
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    runs = {"alone": [program, str(STEPS), "alone"]}
    for ranks in (1, 2, 4):
        name = f"ranks{ranks}"
        runs[name] = ["mpirun", "--oversubscribe", "-n", str(ranks), program, str(STEPS), name, *arguments]
    hashes = {}
    for name, command in runs.items():
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
            return 1
        for ending in (".zlog", ".weights"):
            with open(os.path.join(folder, name + ending), "rb") as file:
                hashes.setdefault(ending, {})[name] = hashlib.sha256(file.read()).hexdigest()
    for ending, found in hashes.items():
        print(f"{ending}: {' '.join(f'{name} {value}' for name, value in found.items())}")
    return 0 if all(len(set(found.values())) == 1 for found in hashes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
