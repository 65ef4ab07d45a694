"""A long search of many short trials: does anything grow or slow down?

usage: many_trials.py [--retort FILE] [--trials N] [--workers N] [FOLDER]

A search explores N networks (20,000 unless told otherwise: what a night on a small machine trains) on 80 images of 8 x 8 pixels. Memory,
file handles, processor time and the database's size are read twice a second. A table, and exit code 1 when a bound is broken:

  memory        after the first tenth it grows by at most 6 KB a trial (each result is kept, as what proposals learn from)
  handles       after the first tenth as many open files at most as before, and four
  database      bytes a trial in the last half within 15 % of those in the first half
  speed         the last tenth takes at most 1.5 times the second tenth's processor time, which a busy machine does not change
"""

import argparse
import os
import pathlib
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time


def write_idx(folder, prefix, count, seed):
    """Grey 8 x 8 images of four classes in noise."""
    draw = random.Random(seed)
    bright = [lambda x, y: y % 2, lambda x, y: x % 2, lambda x, y: (x + y) % 2, lambda x, y: 0]
    pixels = bytes(draw.randrange(90) + 120 * bright[i % 4](x, y) for i in range(count) for y in range(8) for x in range(8))
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, count, 8, 8) + pixels)
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + bytes(i % 4 for i in range(count)))


def watch(process, study):
    """(finished trials, resident bytes, open files, bytes of the database, processor seconds) twice a second until the end."""
    samples = []
    page, tick = os.sysconf("SC_PAGESIZE"), os.sysconf("SC_CLK_TCK")
    connection = None
    while process.poll() is None:
        time.sleep(0.5)
        try:
            resident = int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * page
            if resident == 0:
                continue  # it has ended and is not waited for
            handles = len(os.listdir(f"/proc/{process.pid}/fd"))
            connection = connection or sqlite3.connect(f"file:{study}?mode=ro", uri=True, timeout=60)
            finished = connection.execute(
                "SELECT COUNT(*) FROM trials WHERE datetime_complete IS NOT NULL").fetchone()[0]
            fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            samples.append((finished, resident, handles, study.stat().st_size, (int(fields[11]) + int(fields[12])) / tick))
        except (OSError, IndexError, sqlite3.OperationalError):
            continue  # not begun yet, or just ended
    return samples


def at(samples, trials):
    return min(samples, key=lambda sample: abs(sample[0] - trials))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--retort", default="build/release/src/cli/retort")
    parser.add_argument("--trials", type=int, default=20000)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    work = options.folder or pathlib.Path(tempfile.mkdtemp())
    if work.exists() and any(work.iterdir()):
        sys.exit(f"{work}: is not empty; name a folder that is")
    (work / "data").mkdir(parents=True)
    write_idx(work / "data", "train", 80, 1)
    write_idx(work / "data", "t10k", 40, 2)

    out = work / "out"
    command = [options.retort, "search", out, "--data", f"idx:{work}/data", "--preset", "micro", "--time", "none",
               "--trials", options.trials, "--explore-heats", "0", "--explore-candidates", "1", "--explore-epochs", "1", "--teacher", "none",
               "--curriculum", "none", "--macs", "60K", "--top", "1", "--seeds", "1", "--workers", options.workers]
    begin = time.monotonic()
    with open(work / "words", "w") as words:
        process = subprocess.Popen([str(word) for word in command], stdout=words, stderr=subprocess.STDOUT)
        samples = watch(process, out / "study.db")
    seconds = time.monotonic() - begin
    if process.returncode != 0 or not samples:
        sys.exit(f"the search ended with {process.returncode}:\n" + (work / "words").read_text()[-2000:])

    total = samples[-1][0]
    tenths = [at(samples, total * i // 10) for i in range(11)]
    # Processor seconds a trial of each tenth.
    costs = [(b[4] - a[4]) / max(b[0] - a[0], 1) for a, b in zip(tenths, tenths[1:])]
    print(f"{total} trials in {seconds:.0f} s\n")
    print(" trials  resident MB  open files  database MB  processor ms a trial")
    for (finished, resident, handles, size, _), cost in zip(tenths[1:], costs):
        print(f"{finished:7} {resident / 2**20:12.1f} {handles:11} {size / 2**20:12.2f} {1000 * cost:21.1f}")

    broken = []
    first, middle, last = tenths[1], tenths[5], tenths[10]
    grown = (last[1] - first[1]) / max(last[0] - first[0], 1)
    if grown > 6 * 1024:
        broken.append(f"memory grows by {grown:.0f} bytes a trial")
    early = max(sample[2] for sample in samples if sample[0] <= first[0])
    most = max(sample[2] for sample in samples)
    if most > early + 4:
        broken.append(f"open files go from {early} to {most}")
    halves = [(middle[3] - first[3]) / max(middle[0] - first[0], 1), (last[3] - middle[3]) / max(last[0] - middle[0], 1)]
    if abs(halves[1] / halves[0] - 1) > 0.15:
        broken.append(f"the database takes {halves[0]:.0f} bytes a trial in the first half, {halves[1]:.0f} in the last")
    slow = costs[9] / costs[1]
    if slow > 1.5:
        broken.append(f"a trial of the last tenth takes {slow:.2f} times the second tenth's processor time")
    print(f"\nmemory {grown:.0f} bytes a trial; at most {most} open files; database {halves[0]:.0f} and {halves[1]:.0f} bytes a "
          f"trial in the halves; a trial of the last tenth takes {slow:.2f} times the second tenth's processor time")
    if options.folder is None:
        shutil.rmtree(work)
    if broken:
        sys.exit("broken: " + "; ".join(broken))


if __name__ == "__main__":
    main()
