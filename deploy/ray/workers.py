"""Keeps one `retort worker` a core on a Ray cluster, until the search has no trials left.

    python workers.py --storage postgresql://retort@db/retort --study mine --data fashion-mnist

Needs `ray` from PyPI, and `retort` and the data on every node. Each worker is a Ray task of one core; one whose node dies
is started elsewhere, and its trial is taken up by another when its lease is over. Options that this script does not know
go to `retort worker`.
"""
import argparse
import subprocess

import ray


@ray.remote(num_cpus=1, max_retries=-1)
def work(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # 2 is wrong use, which another try would meet too; anything else may pass.
    if done.returncode not in (0, 2):
        raise RuntimeError(done.stderr)
    return done.returncode, (done.stdout + done.stderr).strip().splitlines()[-1:]


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
