"""Runs deploy/ray/workers.py on a Ray cluster of several nodes on this machine, one of which is killed in the middle.

usage: ray_workers.py [--build FOLDER]

The study in the end must be that of the same search alone. Skips with a sentence where ray is not installed.
"""
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "deploy" / "ray"))
sys.path.insert(0, str(Path(__file__).parent))

try:
    import ray
    from ray.cluster_utils import Cluster
except ImportError:
    print("skipped: ray is not installed: pip install ray")
    sys.exit(0)

from _small_search import essence, workplace  # noqa: E402


def lease_of(database, folder):
    """The trial that the worker in this folder holds, and its attempt."""
    if not database.exists():
        return None
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        try:
            return connection.execute("SELECT trial_id, attempt FROM retort_leases WHERE worker LIKE ?",
                                      (f"%:{folder}/retort-worker#%",)).fetchone()
        except sqlite3.OperationalError:  # no tables yet
            return None


def kill_worker(folder):
    """A node that dies takes all its processes along; this one is a part of a machine that goes on."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[1:2] == [b"worker"] and str(folder).encode() in words:
            os.kill(int(process.name), signal.SIGKILL)


def main():
    with workplace(__doc__) as (program, work):
        data = ["--data", f"npy:{work}/data"]
        search = [program, "search", *data, "--preset", "notebook", "--time", "none", "--teacher", "none", "--blocks", "1,2",
                  "--layers", "1,2", "--filters", "8,16", "--dense", "0,1", "--units", "8", "--quick-epochs", "2",
                  "--distill-epochs", "240", "--qat-epochs", "4", "--gate", "0", "--batch", "16", "--prune-update-every", "2",
                  "--curriculum", "none", "--seeds", "1", "--quiet", "--workers", "1"]
        subprocess.run([*search, str(work / "alone")], check=True, stdout=subprocess.DEVNULL)

        storage = ["--storage", f"sqlite:{work}/shared.db", "--study", "ray", "--lease", "2"]
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        cluster.add_node(num_cpus=1)
        doomed = cluster.add_node(num_cpus=1, resources={"doomed": 1})
        ray.init(address=cluster.address, log_to_driver=False)
        import workers
        searching = subprocess.Popen([*search, str(work / "shared"), *storage], stdout=subprocess.DEVNULL)
        command = [program, "worker", "--workers", "1", "--patience", "1m", "--quiet", *storage, *data]
        folder = (work / "doomed").resolve()
        tasks = [workers.work.options(retry_exceptions=True).remote(command) for _ in range(2)]
        tasks.append(workers.work.options(retry_exceptions=True, resources={"doomed": 1}).remote(
            [*command, "--folder", str(folder)]))
        # Its worker holds a trial when the node dies.
        held = None
        while held is None and searching.poll() is None:
            held = lease_of(work / "shared.db", folder)
            time.sleep(0.01)
        assert held, "the search ended before the worker of the node that is to die had a trial"
        cluster.remove_node(doomed, allow_graceful=False)
        kill_worker(folder)
        cluster.add_node(num_cpus=1, resources={"doomed": 1})
        assert searching.wait(timeout=240) == 0, "the search failed"
        said = ray.get(tasks, timeout=120)
        assert all(code == 0 for code, _ in said), said
        # The script itself, as it is called: on what is finished.
        sys.argv = ["workers.py", "--retort", program, "--address", cluster.address, "--patience", "1m", "--quiet", *storage, *data]
        workers.main()
        sys.argv[-1] = f"npy:{work}/nothing"
        try:
            workers.main()
            raise AssertionError("data that is not there is no error")
        except SystemExit as end:
            assert end.code == 2, end
        ray.shutdown()
        cluster.shutdown()
        with sqlite3.connect(work / "shared.db") as connection:
            attempt, = connection.execute("SELECT attempt FROM retort_trials WHERE trial_id=?", held[:1]).fetchone()
        assert attempt > held[1], f"nobody took the trial that the node had (attempt {attempt})"
        assert essence(work / "alone") == essence(work / "shared"), "the cluster finds something else"
        trials = len(essence(work / "alone")[1])
        print(f"Ray {ray.__version__}: {trials} trials on 3 nodes, one killed: as alone; {[w for _, w in said]}")


if __name__ == "__main__":
    main()
