"""Runs deploy/slurm's jobs on a Slurm cluster of this machine alone: munged, slurmctld and slurmd of its own, in a folder.

usage: slurm.py [--build FOLDER]

A tiny search and an array of workers, one of which fails on its first start: it must queue again, and the study in the end
must be that of the same search alone. Skips with a sentence where Slurm is not installed or its daemons may not run (they want
root): apt-get install slurmctld slurmd slurm-client munge.
"""
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _small_search import essence, workplace  # noqa: E402

DEPLOY = Path(__file__).parent.parent / "deploy" / "slurm"
CONFIGURATION = """
ClusterName=retort
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={work}/munge.socket
CredType=cred/munge
StateSaveLocation={work}/state
SlurmdSpoolDir={work}/spool
SlurmctldPidFile={work}/slurmctld.pid
SlurmdPidFile={work}/slurmd.pid
SlurmctldLogFile={work}/slurmctld.log
SlurmdLogFile={work}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
SchedulerParameters=batch_sched_delay=0,sched_interval=1
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
SlurmdParameters=config_overrides
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(0)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Cluster:
    """munged, slurmctld and slurmd with all that they have in one folder."""

    def __init__(self, work):
        self.work = work
        self.processes = []
        work.mkdir()
        os.chmod(work, 0o755)
        for folder in ("state", "spool"):
            (work / folder).mkdir()
        key = work / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        os.chmod(key, 0o400)
        host = socket.gethostname().split(".")[0]
        (work / "slurm.conf").write_text(CONFIGURATION.format(host=host, work=work, ports=(free_port(), free_port())))
        self.environment = {**os.environ, "SLURM_CONF": str(work / "slurm.conf")}
        self.start("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={work}/munge.socket",
                   f"--pid-file={work}/munged.pid", f"--log-file={work}/munged.log", f"--seed-file={work}/munge.seed")
        self.wait_for(lambda: (work / "munge.socket").exists(), "munged")
        self.start("slurmctld", "-D", "-f", str(work / "slurm.conf"))
        self.start("slurmd", "-D", "-f", str(work / "slurm.conf"), "-N", host)
        self.wait_for(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"), "slurmctld and slurmd")

    def start(self, *command):
        log = open(self.work / f"{command[0]}.out", "w", encoding="utf-8")  # noqa: SIM115
        self.processes.append(subprocess.Popen(command, env=self.environment, stdout=log, stderr=log))

    def wait_for(self, condition, what):
        for _ in range(300):
            if condition():
                return
            if any(process.poll() is not None for process in self.processes):
                break
            time.sleep(0.1)
        self.end()
        said = "\n".join(file.read_text(errors="replace")[-400:] for file in sorted(self.work.glob("*.out")))
        skip(f"{what} cannot be started here: {said}")

    def ask(self, *command):
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False).stdout

    def submit(self, *words, **variables):
        # In the environment: some values have commas.
        environment = {**self.environment, **{name: str(value) for name, value in variables.items()}}
        done = subprocess.run(["sbatch", "--parsable", "--export=ALL", *words], env=environment, capture_output=True,
                              text=True, check=False, cwd=self.work)
        assert done.returncode == 0, f"sbatch: {done.stderr}"
        return done.stdout.strip()

    def end(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()


def main():
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
    if missing:
        skip(f"{', '.join(missing)} not installed: apt-get install slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        skip("Slurm's daemons want root")
    with workplace(__doc__) as (program, work):
        data = f"npy:{work}/data"
        options = ("--preset notebook --teacher none --blocks 1,2 --layers 1 --filters 8,16 --dense 0 --units 8 --quick-epochs 2 "
                   "--distill-epochs 160 --qat-epochs 2 --gate 0 --batch 16 --prune-update-every 2 --curriculum none --seeds 1 "
                   "--quiet")
        subprocess.run([program, "search", str(work / "alone"), "--data", data, "--time", "none", *options.split()],
                       check=True, stdout=subprocess.DEVNULL)
        # The program as the jobs find it: the first start of one worker meets a database that is away.
        (work / "bin").mkdir()
        (work / "bin" / "retort").write_text(f"""#!/bin/bash
if [ "$1" = worker ] && [ "${{SLURM_ARRAY_TASK_ID-}}" = 1 ] && [ "${{SLURM_RESTART_COUNT:-0}}" = 0 ]; then exit 1; fi
exec {program} "$@"
""")
        os.chmod(work / "bin" / "retort", 0o755)
        os.environ["PATH"] = f"{work}/bin:{os.environ['PATH']}"
        cluster = Cluster(work / "slurm")
        try:
            variables = {"STORAGE": f"sqlite:{work}/shared.db", "STUDY": "slurm", "DATA": data}
            search = cluster.submit("--cpus-per-task=2", str(DEPLOY / "search.sbatch"), OUT=work / "shared",
                                    SEARCH_OPTIONS=options, **variables)
            workers = cluster.submit("--cpus-per-task=1", "--array=0-1", str(DEPLOY / "workers.sbatch"), **variables)
            states = ""
            for _ in range(1200):  # a job that queues again waits for two minutes
                states = cluster.ask("scontrol", "show", "job")
                if "JobState=" in states and not re.search("JobState=(PENDING|RUNNING|COMPLETING|REQUEUED)", states):
                    break
                time.sleep(0.5)
            said = "\n".join(file.read_text()[-300:] for file in sorted(cluster.work.glob("slurm-*.out")))
            ends = re.findall(r"JobState=(\S+)", states)
            assert ends == ["COMPLETED"] * 3, f"search {search}, workers {workers}: {ends}\n{said}\n{states}"
            restarts = [int(count) for count in re.findall(r"Restarts=(\d+)", states)]
            assert sorted(restarts) == [0, 0, 1], f"who failed did not queue again once: {restarts}"
        finally:
            cluster.end()
        assert essence(work / "alone") == essence(work / "shared"), "the jobs find something else"
        version = cluster.ask("sbatch", "--version").strip()
        print(f"{version}: a search and two workers, one of which began again: {len(essence(work / 'alone')[1])} trials as alone")


if __name__ == "__main__":
    main()
