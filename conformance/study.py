"""Opens the databases of our searches with Optuna and optuna-dashboard, and compares what they say with ours.

usage: study.py [--build FOLDER]

A small search (with a limit that some structures break and a gate that some do not pass) runs into its own study.db and,
where a PostgreSQL server is installed, into a database of that. Of both, Optuna must load the trials with their states,
parameters, values, constraints and intermediate values, and its best trials must be our front; its importances and plots
must work; the dashboard must serve the same. A copy made by `retort study export` must do so for Debian's Optuna 3.1,
where that is installed (python3-optuna under /usr/bin/python3). Afterwards the search must still be ours.
"""

import contextlib
import glob
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import optuna  # noqa: E402

from _small_search import retort, search, workplace  # noqa: E402

OLD_PYTHON = "/usr/bin/python3"
STATES = {"complete": "COMPLETE", "skipped": "PRUNED", "infeasible": "PRUNED", "failed": "FAIL"}

# What Optuna of any version says of a study, as JSON on standard output.
DUMP = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name=sys.argv[2], storage=sys.argv[1])
json.dump({"version": optuna.__version__,
           "directions": [d.name for d in study.directions],
           "best": sorted(t.number for t in study.best_trials),
           "importances": list(optuna.importance.get_param_importances(study, target=lambda t: t.values[0])),
           "trials": [{"number": t.number, "state": t.state.name, "params": t.params, "values": t.values,
                       "intermediate": {str(k): v for k, v in t.intermediate_values.items()},
                       "constraints": t.system_attrs.get("constraints"), "user": t.user_attrs}
                      for t in study.trials]}, sys.stdout)
"""


def compare(said, ours, front, what):
    """Optuna's words against those of study.json and of `retort pick`."""
    assert said["directions"] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE", "MINIMIZE"], said["directions"]
    assert len(said["trials"]) == len(ours), (what, len(said["trials"]), len(ours))
    seen = set()
    for theirs, trial in zip(said["trials"], ours):
        number = trial["number"]
        assert theirs["number"] == number
        assert theirs["state"] == STATES[trial["outcome"]], (what, number, theirs["state"], trial["outcome"])
        seen.add(trial["outcome"])
        words = trial["config"].replace(",", "").split()
        wanted = {name.rstrip("s") if name.startswith("dense") else name: int(value)
                  for value, name in zip(words[::2], words[1::2])}
        wanted = {name if name.endswith("s") or name == "dense" else name + "s": value for name, value in wanted.items()}
        assert theirs["params"] == wanted, (what, number, theirs["params"], wanted)
        values = None
        if trial["outcome"] == "complete":
            footprint = trial["footprint"]
            values = [trial["accuracy_int8"], footprint["flash"]["total"], footprint["ram"]["total"], trial["macs"]]
        assert theirs["values"] == values, (what, number, theirs["values"], values)
        epochs = [e["validation_accuracy"] for s in trial["stages"] for e in s["history"]["epochs"]]
        epochs = [accuracy for accuracy in epochs if accuracy is not None]
        assert list(theirs["intermediate"].values()) == epochs, (what, number)
        infeasible = trial["outcome"] == "infeasible"
        assert (max(theirs["constraints"]) > 0) == infeasible, (what, number, theirs["constraints"])
        assert theirs["user"]["config"] == trial["config"]
        assert not infeasible or theirs["user"]["reason"]
    assert {"complete", "infeasible"} <= seen, f"{what}: the search shows only {seen}"
    # Of equals we show the first, Optuna all.
    points = lambda numbers: {tuple(said["trials"][n]["values"]) for n in numbers}
    assert points(said["best"]) == points(front) and set(front) <= set(said["best"]), (what, said["best"], front)
    assert set(said["importances"]) >= {"blocks", "layers", "filters", "dense"}, (what, said["importances"])


def dump(python, url, study):
    done = subprocess.run([python, "-c", DUMP, url, study], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def draw_all(url, name):
    """Every plot that suits a study of several objectives."""
    import optuna.visualization as plots
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name=name, storage=url)
    target = {"target": lambda t: t.values[0], "target_name": "accuracy"}
    figures = [plots.plot_intermediate_values(study), plots.plot_timeline(study),
               plots.plot_pareto_front(study, targets=lambda t: t.values[:2], target_names=["accuracy", "flash"]),
               plots.plot_contour(study, params=["filters", "blocks"], **target), plots.plot_rank(study, **target)]
    figures += [plot(study, **target) for plot in (plots.plot_optimization_history, plots.plot_slice, plots.plot_edf,
                                                   plots.plot_param_importances, plots.plot_parallel_coordinate)]
    assert all(figure.data for figure in figures), "a plot is empty"
    return len(figures)


def check_dashboard(url, name, said):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "optuna-dashboard"
    server = subprocess.Popen([program, url, "--host", "127.0.0.1", "--port", str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        get = lambda path: json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=20))
        for _ in range(150):
            with contextlib.suppress(OSError):
                studies = get("studies")["study_summaries"]
                break
            time.sleep(0.2)
        number = next(s["study_id"] for s in studies if s["study_name"] == name)
        study = get(f"studies/{number}?after=0")
        assert len(study["trials"]) == len(said["trials"])
        for shown, trial in zip(study["trials"], said["trials"]):
            assert shown["state"].upper() == trial["state"], (shown["state"], trial["state"])
            assert len(shown["intermediate_values"]) == len(trial["intermediate"])
            assert {p["name"]: p["param_external_value"] for p in shown["params"]} == {
                k: str(v) for k, v in trial["params"].items()}
            if trial["values"]:
                assert [float(v) for v in shown["values"]] == trial["values"]
        assert sorted(t["number"] for t in study["best_trials"]) == said["best"]
        assert get(f"studies/{number}/param_importances")["param_importances"]
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def postgres(folder):
    """A private server's socket folder; None where none is installed."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not programs:
        yield None
        return
    user = []
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    data = folder / "data"
    subprocess.run([*user, f"{programs[-1]}/initdb", "-D", data, "-A", "trust", "-U", "retort", "--no-sync"], check=True,
                   stdout=subprocess.DEVNULL)
    server = subprocess.Popen([*user, f"{programs[-1]}/postgres", "-D", data, "-k", folder, "-c", "listen_addresses="],
                              stderr=subprocess.DEVNULL)
    try:
        while subprocess.run([f"{programs[-1]}/pg_isready", "-q", "-h", folder], check=False).returncode:
            time.sleep(0.1)
        yield folder
    finally:
        server.send_signal(signal.SIGINT)  # without waiting for connections that Optuna left open
        server.wait()


def main():
    with workplace(__doc__) as (program, work):

        ours = search(program, work / "out", work / "data")
        front = [t["trial"] for t in retort(program, "pick", str(work / "out"))["front"]]
        url = f"sqlite:///{work}/out/study.db"
        said = dump(sys.executable, url, "retort")
        compare(said, ours, front, "SQLite")
        plots = draw_all(url, "retort")
        check_dashboard(url, "retort", said)
        print(f"SQLite: {len(ours)} trials, {len(said['best'])} on the front, {plots} plots and the dashboard of Optuna "
              f"{said['version']} agree")
        # Optuna has written nothing that we stumble over.
        assert retort(program, "study", "list", str(work / "out"))[0]["name"] == "retort"
        again = search(program, work / "out", work / "data")
        assert again == ours

        copy = work / "copy.db"
        retort(program, "study", "export", str(work / "out"), str(copy), "--optuna-schema", "v3.0.0.d")
        old = subprocess.run([OLD_PYTHON, "-c", "import optuna, sklearn"], capture_output=True, check=False)
        if old.returncode:
            print(f"copy for Optuna 3.1: skipped, {OLD_PYTHON} has none: apt-get install python3-optuna python3-sklearn")
        else:
            said = dump(OLD_PYTHON, f"sqlite:///{copy}", "retort")
            compare(said, ours, front, "copy")
            print(f"copy for Optuna {said['version']}: agrees")

        (work / "pg").mkdir()
        with postgres(work / "pg") as server:
            if server is None:
                print("PostgreSQL: skipped, no server is installed: apt-get install postgresql")
                return
            shared = search(program, work / "shared", work / "data", "--storage",
                            f"postgresql://retort@/postgres?host={server}", "--study", "shared")
            strip = lambda trials: json.loads(json.dumps(trials), object_hook=lambda o: {
                k: v for k, v in o.items() if k != "seconds"})
            assert strip(shared) == strip(ours), "the same search finds something else on PostgreSQL"
            url = f"postgresql+psycopg2://retort@/postgres?host={server}"
            said = dump(sys.executable, url, "shared")
            compare(said, shared, front, "PostgreSQL")
            draw_all(url, "shared")
            check_dashboard(url, "shared", said)
            print(f"PostgreSQL: {len(shared)} trials, {plots} plots and the dashboard agree")
            assert not math.isnan(said["trials"][0]["intermediate"]["1"])


if __name__ == "__main__":
    main()
