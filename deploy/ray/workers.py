"""Keeps one `retort worker` a core on a Ray cluster, until the search has no trials left.

    python workers.py --storage postgresql://retort@db/retort --study mine --data fashion-mnist

Needs `ray` from PyPI, and `retort` and the data on every node. Each worker is a Ray task of one core; one whose node dies
is started elsewhere, and its trial is taken up by another when its lease is over. Options that this script does not know
go to `retort worker`.
"""
import argparse
import ctypes
import signal
import subprocess
import time

import ray


# 100 times its node may die or its database be away; what fails so often fails for another reason.
@ray.remote(num_cpus=1, max_retries=100)
def work(command):
    def end_with_parent():
        """A worker does not outlive the Ray process that started it, by which the cluster counts its cores."""
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    # Ray sends this function alone to the nodes: what it calls is in it.
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=end_with_parent)
    words = (done.stdout + done.stderr).strip().splitlines()[-1:]
    # 2 is wrong use, which another try would meet too; anything else may pass, in a while.
    if done.returncode not in (0, 2):
        print(*words, flush=True)  # Ray shows it where the script runs
        time.sleep(5)
        raise RuntimeError(*words)
    return done.returncode, words


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--retort", default="retort", help="the program on each node")
    parser.add_argument("--workers", type=int, help="default: the cluster's cores")
    parser.add_argument("--address", default="auto", help="of the cluster")
    arguments, rest = parser.parse_known_args()
    if not ray.is_initialized():
        ray.init(address=arguments.address)
    count = arguments.workers or int(ray.cluster_resources()["CPU"])
    task = work.options(retry_exceptions=True)
    command = [arguments.retort, "worker", "--workers", "1", *rest]
    for code, words in ray.get([task.remote(command) for _ in range(count)]):
        print(*words)
        if code:
            raise SystemExit(code)


if __name__ == "__main__":
    main()
