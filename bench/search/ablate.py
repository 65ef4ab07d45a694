"""What each part of a search is worth: the same search without it, at equal processor time, from three seeds.

    python3 bench/search/ablate.py [--time 4m] [--seeds 1,2,3] [--retort build/release/src/cli/retort] [ARM…]

Fashion-MNIST within 16 KB of flash and of RAM. One after the other, on all cores; other programs may run beside (with
`nice -n 19` they hardly notice), since processor time is what counts. What results/ablations.csv has already is left out,
so it can be stopped at any time. Without ARM all of them, seed by seed. `--table` prints what is there as a Markdown table:
means and standard deviations over the seeds, and the mean difference from the whole search of the same seed with its
standard error.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from record import machine

RESULTS = pathlib.Path(__file__).parent / "results" / "ablations.csv"
COMMON = ["--data", "fashion-mnist", "--preset", "micro", "--flash", "16K", "--ram", "16K", "--mirror", "--seeds", "1",
          "--clock", "cpu"]
ARMS = {
    "whole": [],
    "random": ["--sampler", "micro"],
    "no-inheritance": ["--explore-start", "fresh"],
    "no-structured-pruning": ["--explore-start", "grow", "--explore-vary", "distill,prune,quantize"],
    "one-rung": ["--explore-rungs", "1"],
    "no-heats": ["--explore-heats", "0"],
    "no-recipes": ["--explore-recipes", "0"],
    "short-teacher": ["--teacher-epochs", "2"],  # as many as there is time for, of which a search makes none otherwise
    "no-distillation": ["--teacher", "none", "--distill-alpha", "1"],
    "no-qat": ["--stages", "distill,export", "--explore-vary", "distill,channels,prune"],
    "magnitude-pruning": ["--stages", "distill,prune,quantize,export", "--prune-final-sparsity", "0.5"],
    "float32": ["--precision", "float32"],
    "curriculum-entropy": ["--curriculum", "entropy"],
    "curriculum-random": ["--curriculum", "random-pacing"],
}
FIELDS = ["arm", "seed", "time", "machine", "cores", "seconds", "explored", "config", "validation", "test", "flash_bytes",
          "ram_bytes", "epochs", "best_by_float", "validation_of_best_by_float"]


def measure(retort, arm, seed, time):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        subprocess.run([retort, "search", str(out), *COMMON, *ARMS[arm], "--time", time, "--seed", str(seed), "--quiet"],
                       check=True, stdout=subprocess.DEVNULL)
        study = json.loads((out / "study.json").read_text())
    trials = {trial["number"]: trial for trial in study["trials"]}
    finalist = study["finalists"][0]
    best = trials[finalist["trial"]]
    full = [trial for trial in study["trials"] if trial.get("effort", "full") == "full" and trial["outcome"] == "complete"]
    by_float = max(full, key=lambda trial: trial["accuracy_float"])
    return [arm, seed, time, machine(), os.cpu_count(), round(study["seconds"], 1),
            sum(trial.get("effort") == "explore" for trial in study["trials"]), best["config"],
            round(finalist["validation_mean"], 4), round(finalist["test_mean"], 4), best["footprint"]["flash"]["total"],
            best["footprint"]["ram"]["total"], sum(len(stage["history"]["epochs"]) for stage in best["stages"]),
            by_float["config"], round(by_float["accuracy_int8"], 4)]


def percent(values):
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def mean_and_error(differences):
    error = f" ± {100 * statistics.stdev(differences) / len(differences) ** 0.5:.1f}" if len(differences) > 1 else ""
    return f"{100 * statistics.mean(differences):+.1f}{error}"


def print_table(rows, time):
    runs = {}
    for row in rows[1:]:
        run = dict(zip(FIELDS, row))
        if run["time"] == time:
            runs.setdefault(run["arm"], {})[run["seed"]] = run
    whole = runs.get("whole", {})
    print("| | seeds | validation, % | test, % | test, from the whole search | explored | epochs of the best |")
    print("|---|---|---|---|---|---|---|")
    for arm in (arm for arm in ARMS if arm in runs):
        seeds = runs[arm]
        figures = {name: [float(run[name]) for run in seeds.values()]
                   for name in ("validation", "test", "explored", "epochs")}
        shared = [float(run["test"]) - float(whole[seed]["test"]) for seed, run in seeds.items() if seed in whole]
        difference = "" if arm == "whole" or not shared else mean_and_error(shared)
        print(f"| {arm} | {len(seeds)} | {percent(figures['validation'])} | {percent(figures['test'])} | {difference} | "
              f"{statistics.mean(figures['explored']):.0f} | {statistics.mean(figures['epochs']):.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", default="4m")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--retort", default="build/release/src/cli/retort")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("arms", nargs="*", metavar="ARM", help=", ".join(ARMS))
    arguments = parser.parse_args()
    if unknown := [arm for arm in arguments.arms if arm not in ARMS]:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(ARMS)}")
    rows = list(csv.reader(open(RESULTS))) if RESULTS.exists() else [FIELDS]
    if arguments.table:
        return print_table(rows, arguments.time)
    known = {tuple(row[:3]) for row in rows}
    for seed in arguments.seeds.split(","):
        for arm in arguments.arms or ARMS:
            if (arm, seed, arguments.time) in known:
                continue
            rows.append(measure(arguments.retort, arm, seed, arguments.time))
            unfinished = RESULTS.with_suffix(".tmp")
            with open(unfinished, "w", newline="") as file:
                csv.writer(file).writerows(rows)
            unfinished.replace(RESULTS)
            print(*rows[-1], flush=True)


if __name__ == "__main__":
    main()
