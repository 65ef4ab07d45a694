"""What both peers' scripts share: options, processes that start together, JSON lines.

A framework's module gives `Trainer(threads)` with `prepare(net, batch, precision, variant) -> parameters` (None: that
variant makes no sense here) and `window(seconds) -> images a second`. Each is made and used in a process of its own, so that "one
single-threaded process a core" is just that, and so that this process never loads a framework.
"""
import argparse
import importlib
import itertools
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

import networks


def _work(pipe, barrier, module, threads):
    # What any of them reads; before it is loaded.
    os.environ.update({"OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""})
    try:
        trainer = importlib.import_module(module).Trainer(threads)
    except ImportError as error:
        pipe.send(RuntimeError(f"this Python lacks it: {error}"))
        return
    pipe.send("ready")
    while (task := pipe.recv()) is not None:
        try:
            if task[0] == "prepare":
                pipe.send(trainer.prepare(*task[1:]))
            else:
                barrier.wait()
                pipe.send(trainer.window(task[1]))
        except Exception as error:  # the parent says of which network
            pipe.send(error if isinstance(error, ValueError) else RuntimeError(f"{type(error).__name__}: {error}"))


class Team:
    """Processes that train the same network at the same time."""

    def __init__(self, module, processes, threads):
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(processes)
        self._workers = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(theirs, barrier, module, threads), daemon=True)
            worker.start()
            theirs.close()
            self._workers.append((worker, ours))
        self._answers()

    def _answers(self):
        try:
            answers = [pipe.recv() for _, pipe in self._workers]
        except EOFError:
            raise RuntimeError("a process of it died; was there memory enough?") from None
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def ask(self, *task):
        for _, pipe in self._workers:
            pipe.send(task)
        return self._answers()

    def close(self):
        for worker, pipe in self._workers:
            pipe.send(None)
            worker.join()


def _names(text):
    names = []
    for name in text.split(","):
        found = networks.GROUPS[name]() if name in networks.GROUPS else [name]
        for net in found:
            networks.network(net)
        names += found
    return names


def _key(row):
    return tuple(row[name] for name in ("framework", "net", "batch", "processes", "precision", "variant"))


def _measure(team, row, options):
    begun = time.perf_counter()
    parameters = team.ask("prepare", row["net"], row["batch"], row["precision"], row["variant"])
    if None in parameters:
        return None
    best = 0
    for window in range(options.windows):
        if window and options.limit and time.perf_counter() - begun + options.seconds > options.limit:
            break
        best = max(best, sum(team.ask("window", options.seconds)))
    return row | {"parameters": parameters[0], "images_per_second": round(best, 1)}


def _chosen(parser, option, text, known):
    names = text.split(",")
    for name in names:
        if name not in known:
            parser.error(f'--{option}: "{name}" is none of {", ".join(known)}')
    return names


def main(framework, module, precisions, variants):
    parser = argparse.ArgumentParser(
        description=f"Training images/s (forward, backward, Adam) in {framework}, as JSON lines.")
    parser.add_argument("--nets", default="reference", help="names of networks or of groups (reference, notebook, "
                        "widths), separated by commas")
    parser.add_argument("--batches", default="32,128", help="images of a step")
    parser.add_argument("--modes", default="together,apart", help="together: one process on all cores; apart: one "
                        "single-threaded process a core, their speeds added")
    parser.add_argument("--precisions", default="float32", help=", ".join(precisions))
    parser.add_argument("--variants", default=variants[0], help=", ".join(variants))
    parser.add_argument("--seconds", type=float, default=2.0, help="of a window; the best of the windows counts")
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--limit", type=float, help="seconds for one network in one mode with all its windows, though "
                        "at least one is measured")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--append", type=Path, metavar="FILE", help="lines go there, and what it has is not measured "
                        "again")
    options = parser.parse_args()
    try:
        nets = _names(options.nets)
    except ValueError as error:
        parser.error(str(error))
    teams = {"together": (1, options.cores), "apart": (options.cores, 1)}
    modes = _chosen(parser, "modes", options.modes, teams)
    precisions = _chosen(parser, "precisions", options.precisions, precisions)
    variants = _chosen(parser, "variants", options.variants, variants)
    batches = [int(batch) for batch in options.batches.split(",")]

    done = set()
    if options.append and options.append.exists():
        done = {_key(json.loads(line)) for line in options.append.read_text().splitlines() if line.strip()}

    for mode in modes:
        processes, threads = teams[mode]
        if mode == "apart" and options.cores == 1 and "together" in modes:
            continue  # the same
        team = None
        for net, batch, precision, variant in itertools.product(nets, batches, precisions, variants):
            row = {"framework": framework, "net": net, "batch": batch, "processes": processes, "threads": threads,
                   "precision": precision, "variant": variant}
            if _key(row) in done:
                continue
            try:
                team = team or Team(module, processes, threads)
                row = _measure(team, row, options)
            except RuntimeError as error:
                sys.exit(f"{framework}, {net}, batch {batch}, {precision}, {variant}: {error}")
            if not row:
                continue
            line = json.dumps(row)
            if options.append:
                with options.append.open("a") as file:
                    file.write(line + "\n")
            print(line, flush=True)
        if team:
            team.close()
