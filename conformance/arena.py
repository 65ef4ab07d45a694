"""Compares the arena that Retort predicts with the one that TensorFlow Lite Micro uses.

usage: arena.py [--build FOLDER] [--count N] [--seed N] [FILE.tflite …]

N random networks (int8 and float ends in turn) and the reference networks are written; TFLM's interpreter loads each
and prints its head and tail. Every pair must be equal to the byte, and their sum to the arena_bytes that `retort
inspect` gives. The smallest arena must suffice and 16 bytes less must fail, without exception.
Needs the PyPI package tflite-micro (0.dev20261023182759).
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

from tflite_micro.python.tflite_micro import runtime

ROOMY = 64 << 20


class Captured:
    """Standard error as C code writes it, as text."""

    def __enter__(self):
        self.saved = os.dup(2)
        self.file = tempfile.TemporaryFile()
        os.dup2(self.file.fileno(), 2)
        return self

    def __exit__(self, *_):
        os.dup2(self.saved, 2)
        os.close(self.saved)
        self.file.seek(0)
        self.text = self.file.read().decode()
        self.file.close()


def measure(path):
    """Head and tail bytes that TFLM's recording interpreter reports, and its text."""
    with Captured() as captured:
        interpreter = runtime.Interpreter.from_file(path, arena_size=ROOMY)
        interpreter.print_allocations()
    found = {name: int(n) for name, n in re.findall(r"allocation (total|head|tail) (\d+) bytes", captured.text)}
    assert found["total"] == found["head"] + found["tail"], captured.text
    return found["head"], found["tail"], captured.text


def loads_within(path, arena_size):
    """Whether AllocateTensors succeeds. In a process of its own, as a failing one may crash."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        status = 1
        try:
            runtime.Interpreter.from_file(path, arena_size=arena_size)
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def inspected_bytes(build, path):
    """What `retort inspect` says that the host's arena takes."""
    program = os.path.join(build, "src", "cli", "retort")
    run = subprocess.run([program, "inspect", path, "--json"], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout)["arena_bytes"]["host"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="the build folder")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        arguments = options.files or [folder, str(options.count), str(options.seed)]
        run = subprocess.run([os.path.join(options.build, "conformance", "conformance_arena"), *arguments], stdout=subprocess.PIPE, text=True, check=True)
        wrong = 0
        lines = run.stdout.splitlines()
        for line in lines:
            path, *numbers = line.split()
            head, tail, smallest = map(int, numbers)
            measured_head, measured_tail, text = measure(path)
            problems = []
            if (head, tail) != (measured_head, measured_tail):
                problems.append(f"head {head} tail {tail}, TFLM has head {measured_head} tail {measured_tail}")
            if (inspected := inspected_bytes(options.build, path)) != measured_head + measured_tail:
                problems.append(f"inspect says {inspected} bytes, TFLM {measured_head + measured_tail}")
            if not loads_within(path, smallest):
                problems.append(f"{smallest} bytes do not suffice")
            if loads_within(path, smallest - 16):
                problems.append(f"{smallest - 16} bytes suffice too")
            if problems:
                wrong += 1
                print(f"{os.path.basename(path)}: {'; '.join(problems)}")
            if options.verbose:
                print(path, head + tail, smallest, text, sep="\n")
        print(f"arena: {len(lines)} networks, {wrong} mismatches")
        return 1 if wrong or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
