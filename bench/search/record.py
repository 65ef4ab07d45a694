"""Records a finished search: one line in results/summary.csv, its structures in results/NAME.csv.

    python3 bench/search/record.py NAME OUT      OUT: the search's folder

The line holds the command, the seeds, the machine, and what was found; docs/search.md quotes it.
"""

import csv
import json
import os
import pathlib
import re
import statistics
import sys

RESULTS = pathlib.Path(__file__).parent / "results"
SUMMARY = ["name", "command", "machine", "cores", "seconds", "explored", "teacher_validation", "config", "seeds",
           "validation_mean", "validation_spread", "test_mean", "test_spread", "test_of_file", "tflite_bytes",
           "flash_bytes", "ram_bytes", "arena_cortex_m4", "macs", "parameters"]
TRIALS = ["number", "effort", "parent", "outcome", "config", "epochs", "accuracy_int8", "accuracy_float", "tflite_bytes",
          "flash_bytes", "ram_bytes", "macs", "parameters", "seconds", "test"]


def machine() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def footprint(trial: dict) -> tuple[int, int]:
    return trial["footprint"]["flash"]["total"], trial["footprint"]["ram"]["total"]


def rounded(value):
    return round(value, 4) if isinstance(value, float) else value


def main(name: str, folder: str) -> None:
    study = json.loads((pathlib.Path(folder) / "study.json").read_text())
    trials = {trial["number"]: trial for trial in study["trials"]}
    test = {finalist["trial"]: finalist["test_mean"] for finalist in study["finalists"]}
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / f"{name}.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TRIALS)
        for trial in study["trials"]:
            flash, ram = footprint(trial)
            epochs = sum(len(stage["history"]["epochs"]) for stage in trial["stages"])
            writer.writerow(map(rounded, [
                trial["number"], trial.get("effort", "full"), trial.get("parent", -1), trial["outcome"], trial["config"],
                epochs, trial["accuracy_int8"], trial["accuracy_float"], trial["flash_bytes"], flash, ram, trial["macs"],
                trial["parameters"], trial["seconds"], test.get(trial["number"])]))
    finalist = study["finalists"][0]
    best = trials[finalist["trial"]]
    flash, ram = footprint(best)
    of_file = finalist["runs"][finalist["best_run"]]["test_accuracy"]
    assert abs(statistics.mean(run["test_accuracy"] for run in finalist["runs"]) - finalist["test_mean"]) < 1e-9
    # Where the program, the folder and the images were is nobody's business.
    command = re.sub(r"^\S+ search \S+", "retort search out", study["command"])
    command = re.sub(r"images:[^ ?']*", "images:cifar10", command)
    row = [name, command, machine(), os.cpu_count(), study["seconds"],
           sum(trial.get("effort") == "explore" for trial in trials.values()), study["teacher"]["validation_accuracy"],
           best["config"], " ".join(str(run["seed"]) for run in finalist["runs"]), finalist["validation_mean"],
           finalist["validation_spread"], finalist["test_mean"], finalist["test_spread"], of_file, best["flash_bytes"],
           flash, ram, best["arena_bytes"]["cortex-m4"], best["macs"], best["parameters"]]
    summary = RESULTS / "summary.csv"
    rows = list(csv.reader(open(summary))) if summary.exists() else [SUMMARY]
    rows = [old for old in rows if old[0] != name] + [list(map(rounded, row))]
    with open(summary, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    print(dict(zip(SUMMARY, map(rounded, row))))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
