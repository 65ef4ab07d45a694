"""Runs deploy/ray/workers.py on a Ray cluster of several nodes on this machine, one of which is killed in the middle.

usage: ray_workers.py [--build FOLDER]

The study in the end must be that of the same search alone. Skips with a sentence where ray is not installed.
"""
import hashlib
import json
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

from _small_search import workplace  # noqa: E402


def essence(folder):
    """What must not depend on time, workers or faults."""
    strip = lambda o: {k: v for k, v in o.items() if k not in ("seconds", "logits_seconds", "command", "threads")}
    study = json.loads((folder / "study.json").read_text(), object_hook=strip)
    files = [hashlib.sha256((folder / t["file"]).read_bytes()).hexdigest() for t in study["trials"] if t["file"]]
    return study, files


def main():
    with workplace(__doc__) as (program, work):
        data = ["--data", f"npy:{work}/data"]
        search = [program, "search", *data, "--preset", "notebook", "--time", "none", "--teacher", "none", "--blocks", "1,2",
                  "--layers", "1,2", "--filters", "8,16", "--dense", "0,1", "--units", "8", "--quick-epochs", "2",
                  "--distill-epochs", "60", "--qat-epochs", "4", "--gate", "0", "--batch", "16", "--prune-update-every", "2",
                  "--curriculum", "none", "--seeds", "1", "--quiet", "--workers", "1"]
        subprocess.run([*search, str(work / "alone")], check=True, stdout=subprocess.DEVNULL)

        storage = ["--storage", f"sqlite:{work}/shared.db", "--study", "ray", "--lease", "2"]
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False)
        import workers
        searching = subprocess.Popen([*search, str(work / "shared"), *storage], stdout=subprocess.DEVNULL)
        tasks = [workers.work.options(retry_exceptions=True).remote(
            [program, "worker", "--workers", "1", "--patience", "1m", "--quiet", *storage, *data]) for _ in range(3)]
        time.sleep(2)
        cluster.remove_node(nodes[0], allow_graceful=False)
        cluster.add_node(num_cpus=1)
        assert searching.wait(timeout=240) == 0, "the search failed"
        said = ray.get(tasks, timeout=120)
        assert all(code == 0 for code, _ in said), said
        ray.shutdown()
        cluster.shutdown()
        assert essence(work / "alone") == essence(work / "shared"), "the cluster finds something else"
        trials = len(essence(work / "alone")[1])
        print(f"Ray {ray.__version__}: {trials} trials on 3 nodes, one killed: as alone; {[w for _, w in said]}")


if __name__ == "__main__":
    main()
