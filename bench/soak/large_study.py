"""A study of 100,000 trials: how long do opening, going on and reporting take?

usage: large_study.py [--retort FILE] [--data SPEC] [--trials N] [--seconds S] [--keep] [FOLDER]

A search of minutes explores 40 networks. What it explored is copied within its database, each copy with rows of its own in every
table, until there are N trials (100,000 unless told otherwise; 4 KB each): as if the search had gone on for a month. A table, and
exit code 1 where one of these takes S seconds (5) or longer; run it on a machine that does nothing else:

  list              `retort study list`: how far the studies are
  pick              `retort pick`: what no other model beats
  report            `retort report`: the page, trials.csv and study.json
  finished          `retort search` on the finished search, the report that it writes included
  exploring         `retort search` on one that was cut while it explored, until the first new network trains
  choosing heats    the same on one that was cut when exploring had ended
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

SMALL = ["--preset", "micro", "--time", "none", "--trials", "40", "--explore-first", "16", "--explore-generation", "8",
         "--explore-epochs", "1", "--explore-heats", "4", "--explore-heat-epochs", "1", "--explore-recipes", "0",
         "--explore-candidates", "2", "--distill-epochs", "2", "--qat-epochs", "1", "--seeds", "2", "--top", "2", "--teacher",
         "none", "--curriculum", "none", "--macs", "300K"]
CUT_AT = 32  # explored


def start(program, *words):
    return subprocess.Popen([str(word) for word in (program, *words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, text=True)


def end(process, *codes):
    _, said = process.communicate()
    if process.returncode not in codes:
        sys.exit(f"{' '.join(process.args)} ended with {process.returncode}: {said[-2000:]}")


def count(database, condition):
    """Of trials; none while there are no tables."""
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60) as connection:
            return connection.execute(f"SELECT count(*) FROM retort_trials WHERE {condition}").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def make_small(program, data, cut, finished):
    """The same search, cut while it explored, and finished."""
    process = start(program, "search", finished, "--data", data, *SMALL)
    while process.poll() is None and count(finished / "study.db", "state='COMPLETE'") < CUT_AT:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    end(process, 130)
    shutil.copytree(finished, cut)
    end(start(program, "search", finished), 0)


def drop_unfinished(connection):
    """As of a search that was cut between two generations."""
    first = connection.execute("SELECT min(number) FROM retort_trials WHERE state IN ('WAITING', 'RUNNING')").fetchone()[0]
    if first is None:
        return
    for table in ("trial_params", "trial_user_attributes", "trial_system_attributes", "trial_values", "trial_intermediate_values",
                  "trial_heartbeats", "retort_stages", "retort_leases", "retort_checkpoints", "retort_trials", "trials"):
        connection.execute(f"DELETE FROM {table} WHERE trial_id IN (SELECT trial_id FROM trials WHERE number>=?)", (first,))


class Original:
    """An explored trial, and what its copies are made of."""

    def __init__(self, connection, trial, number, proposal, result):
        self.number = number
        self.proposal = json.loads(proposal)
        self.result = json.loads(result)
        self.trial = connection.execute("SELECT study_id, state, datetime_start, datetime_complete FROM trials WHERE trial_id=?",
                                        (trial,)).fetchone()
        self.row = connection.execute("SELECT state, attempt, crashes, worker FROM retort_trials WHERE trial_id=?",
                                      (trial,)).fetchone()
        rows = lambda table, columns: connection.execute(f"SELECT {columns} FROM {table} WHERE trial_id=?", (trial,)).fetchall()
        self.parts = {(table, columns): rows(table, columns) for table, columns in (
            ("trial_params", "param_name, param_value, distribution_json"),
            ("trial_system_attributes", '"key", value_json'),
            ("trial_intermediate_values", "step, intermediate_value, intermediate_value_type"),
            ("retort_stages", "name, position, result"))}
        self.attributes = dict(rows("trial_user_attributes", '"key", value_json'))
        self.values = dict(rows("trial_values", "objective, value"))


def text(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def insert(connection, rows):
    for (table, columns), parts in rows.items():
        marks = ", ".join("?" * len(parts[0]))
        connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", parts)
    rows.clear()


def multiply(database, trials, wanted):
    """Copies follow each other as generations do: a copy's parent is the copy of its parent. Accuracies differ a little, and so does
    each structure's hash. `wanted`: what the search had as --trials."""
    draw = random.Random(1)
    with sqlite3.connect(database, timeout=60) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        drop_unfinished(connection)
        originals = [Original(connection, *row) for row in connection.execute(
            "SELECT trial_id, number, proposal, result FROM retort_trials WHERE state='COMPLETE'"
            " AND proposal LIKE '%\"effort\":\"explore\"%' ORDER BY number").fetchall()]
        identifier, first = (value + 1 for value in connection.execute(
            "SELECT max(trial_id), max(number) FROM retort_trials").fetchone())
        rows = {}
        add = lambda table, columns, row: rows.setdefault((table, columns), []).append(row)
        copies = {}  # of the round: by the original's number
        for number in range(first, trials):
            original = originals[(number - first) % len(originals)]
            if original is originals[0]:
                copies = {}
                insert(connection, rows)
            copies[original.number] = number
            parent = original.result["parent"]
            shared = {"hash": f"{number:08x}" + original.result["hash"][8:], "parent": copies.get(parent, parent)}
            accuracy = min(max(original.result["accuracy_int8"] + round(draw.gauss(0, 200)) / 12000, 0), 1)
            ending = {**shared, "number": number, "file": f"trials/{number}/model.tflite", "accuracy_int8": accuracy}
            add("trials", "trial_id, number, study_id, state, datetime_start, datetime_complete",
                (identifier, number, *original.trial))
            add("retort_trials", "trial_id, study_id, number, state, attempt, crashes, worker, proposal, result",
                (identifier, original.trial[0], number, *original.row, text({**original.proposal, **shared}),
                 text({**original.result, **ending})))
            for (table, columns), parts in original.parts.items():
                for part in parts:
                    add(table, "trial_id, " + columns, (identifier, *part))
            for key, value in original.attributes.items():
                add("trial_user_attributes", 'trial_id, "key", value_json',
                    (identifier, key, text(ending[key]) if key in ending else value))
            for objective, value in original.values.items():
                add("trial_values", "trial_id, objective, value, value_type",
                    (identifier, objective, accuracy if objective == 0 else value, "FINITE"))
            # Its files are the original's.
            folder = database.parent / "trials" / str(number)
            shutil.rmtree(folder, ignore_errors=True)  # of one that was cut off
            folder.symlink_to(str(original.number))
            identifier += 1
        insert(connection, rows)
        description = json.loads(connection.execute("SELECT json FROM retort_documents WHERE \"key\"='description'").fetchone()[0])
        description["settings"]["trials"] = wanted
        connection.execute("UPDATE retort_documents SET json=? WHERE \"key\"='description'", (text(description),))
    connection.close()


def seconds_of(program, *words):
    begin = time.monotonic()
    end(start(program, *words), 0)
    return time.monotonic() - begin


def seconds_until_it_trains(program, folder):
    database = folder / "study.db"
    finished = "state NOT IN ('WAITING', 'RUNNING')"
    before = count(database, finished)
    begin = time.monotonic()
    process = start(program, "search", folder)
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60) as connection:
        # One that was added and claimed.
        while process.poll() is None and not connection.execute("SELECT 1 FROM retort_leases").fetchone():
            time.sleep(0.01)
    seconds = time.monotonic() - begin
    process.send_signal(signal.SIGINT)
    end(process, 130)
    if count(database, finished) < before:
        sys.exit("trials are lost")
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--retort", default="build/release/src/cli/retort")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--keep", action="store_true", help="the folder, with the large studies")
    options = parser.parse_args()
    program = options.retort
    work = options.folder or pathlib.Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "finished").exists():
        make_small(program, options.data, work / "cut", work / "finished")

    def large(name, small, wanted):
        folder = work / name
        if not folder.exists():
            shutil.copytree(work / small, folder)
            multiply(folder / "study.db", options.trials, wanted)
        return folder

    study = large("large-finished", "finished", 40)
    size = (study / "study.db").stat().st_size
    print(f"{options.trials} trials, {size / 2**20:.0f} MB, {size / options.trials / 1024:.1f} KB a trial\n")
    measured = {"list": seconds_of(program, "study", "list", study),
                "pick": seconds_of(program, "pick", study),
                "report": seconds_of(program, "report", study),
                "finished": seconds_of(program, "search", study),
                "exploring": seconds_until_it_trains(program, large("large-exploring", "cut", options.trials + 16)),
                "choosing heats": seconds_until_it_trains(program, large("large-heats", "cut", options.trials))}
    for name, seconds in measured.items():
        print(f"{name:16} {seconds:6.2f} s")
    if not options.keep:
        shutil.rmtree(work)
    late = [name for name, seconds in measured.items() if seconds >= options.seconds]
    if late:
        sys.exit(f"broken: {', '.join(late)} took {options.seconds:g} s or longer")


if __name__ == "__main__":
    main()
