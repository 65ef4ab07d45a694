"""Runs deploy/Dockerfile's steps where there is no container engine: each stage in a Debian of its own, made by debootstrap.

usage: dockerfile.py [--keep FOLDER]

As root, on Debian, with debootstrap. What the stages copy into each other, build and install is what the file says; the
last stage's program then checks a data set and searches. With --keep the stages' roots stay there.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*words, **options):
    print("+", *words, flush=True)
    subprocess.run(words, check=True, **options)


def steps(text):
    """(instruction, arguments) of each step; continued lines are one."""
    lines = (line for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip() and not line.startswith("#"))
    return [line.split(maxsplit=1) for line in lines]


class Stage:
    def __init__(self, image, root):
        name, release = image.split(":")
        if name != "debian":
            sys.exit(f"dockerfile.py: FROM {image}: only debian:RELEASE is known here")
        self.root = root
        self.workdir = "/"
        releases = {"12": "bookworm", "13": "trixie"}
        run("debootstrap", "--variant=minbase", releases.get(release, release), root)
        # This machine's way to the packages, which may be a proxy or a mirror, but no habits of its own.
        for file in pathlib.Path("/etc/apt/apt.conf.d").glob("*"):
            if "Acquire" in file.read_text(errors="ignore"):
                shutil.copy(file, root / "etc/apt/apt.conf.d")
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        run("mount", "--bind", "/proc", root / "proc")

    def command(self, *words):
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
                       "DEBIAN_FRONTEND": "noninteractive"}
        for name in ("http_proxy", "https_proxy", "no_proxy"):
            if name in os.environ:
                environment[name] = os.environ[name]
        run("chroot", self.root, "sh", "-c", f"cd {self.workdir} && exec \"$@\"", "sh", *words, env=environment)

    def close(self):
        subprocess.run(["umount", self.root / "proc"], check=False)


def copy(stages, stage, words):
    source, target = [word for word in words if not word.startswith("--")]
    target = stage.root / target.lstrip("/")
    origins = [word.split("=")[1] for word in words if word.startswith("--from=")]
    if origins:
        found = list(stages[origins[0]].root.glob(source.lstrip("/")))
        if len(found) != 1:
            sys.exit(f"dockerfile.py: COPY {source}: {len(found)} files are called so")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found[0], target)
        return
    # The files of the checkout that .dockerignore leaves, which are those that are no product of a build.
    target.mkdir(parents=True, exist_ok=True)
    files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True).stdout
    pack = subprocess.Popen(["tar", "-c", "--null", "-T", "-"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unpack = subprocess.Popen(["tar", "-x", "--no-same-owner", "-C", target], stdin=pack.stdout)
    pack.stdin.write(files)
    pack.stdin.close()
    if pack.wait() != 0 or unpack.wait() != 0:
        sys.exit("dockerfile.py: the checkout cannot be copied")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        sys.exit("dockerfile.py: it needs root and debootstrap")
    folder = arguments.keep or pathlib.Path(tempfile.mkdtemp(prefix="retort-dockerfile-"))
    folder.mkdir(parents=True, exist_ok=True)
    stages = {}
    stage = None
    entry = None
    try:
        for instruction, words in steps((ROOT / "deploy/Dockerfile").read_text()):
            if instruction == "FROM":
                image, *name = words.split()
                name = name[1] if name else str(len(stages))
                stage = stages[name] = Stage(image, folder / f"stage-{name}")
            elif instruction == "RUN":
                stage.command("sh", "-e", "-c", words)
            elif instruction == "COPY":
                copy(stages, stage, words.split())
            elif instruction == "WORKDIR":
                stage.workdir = words
                (stage.root / words.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif instruction == "ENTRYPOINT":
                entry = re.findall(r'"([^"]+)"', words)
            else:
                sys.exit(f"dockerfile.py: {instruction} is not known here")
        stage.command(*entry, "--version")
        stage.command(*entry, "data", "check", "fashion-mnist")
        stage.command(*entry, "search", "/tmp/out", "--data", "fashion-mnist", "--flash", "32K", "--time", "40s")
        stage.command(*entry, "eval", "/tmp/out/best/model.tflite", "--data", "fashion-mnist")
        stage.command("test", "-s", "/usr/share/man/man1/retort-search.1.gz")
        print("deploy/Dockerfile: every step ran, and the program in it searched")
    finally:
        for one in stages.values():
            one.close()
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


main()
