"""A search of seconds whose structures complete, do not fit or do not pass the gate."""

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np


@contextlib.contextmanager
def workplace(doc):
    """The program of --build, and a folder that goes away, with data in its `data`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    arguments, _ = parser.parse_known_args()
    program = os.path.abspath(f"{arguments.build}/src/cli/retort")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        os.chmod(work, 0o755)  # for servers that run as others
        os.environ["RETORT_CACHE"] = str(work / "cache")
        (work / "data").mkdir()
        make_data(work / "data")
        yield program, work


def retort(program, *arguments):
    done = subprocess.run([program, *arguments, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"retort {' '.join(arguments)}: {done.stderr}"
    return json.loads(done.stdout)


def make_data(folder):
    """Three classes of 8×8 images in noise."""
    rng = np.random.default_rng(1)
    patterns = np.stack([np.indices((8, 8))[0] % 2, np.indices((8, 8))[1] % 2, np.zeros((8, 8), int)])
    for part, count in (("train", 360), ("test", 90)):
        labels = np.arange(count) % 3
        images = (patterns[labels] * 90 + rng.integers(0, 130, (count, 8, 8))).astype(np.uint8)
        np.save(folder / f"x_{part}.npy", images[..., None])
        np.save(folder / f"y_{part}.npy", labels.astype(np.uint8))


def search(program, folder, data, *more):
    retort(program, "search", str(folder), "--data", f"npy:{data}", "--preset", "notebook", "--time", "none",
           "--teacher", "none", "--blocks", "1,2", "--layers", "1,2", "--filters", "4,8,16", "--dense", "0,1",
           "--units", "8,64", "--quick-epochs", "2", "--distill-epochs", "2", "--qat-epochs", "1", "--gate", "0.4",
           "--batch", "16", "--prune-update-every", "2", "--curriculum", "none", "--flash", "8K", "--seeds", "1", *more)
    return json.loads((folder / "study.json").read_text())["trials"]


def essence(folder):
    """What must not depend on time, workers or faults."""
    strip = lambda o: {k: v for k, v in o.items() if k not in ("seconds", "logits_seconds", "command", "threads")}
    study = json.loads((folder / "study.json").read_text(), object_hook=strip)
    files = [hashlib.sha256((folder / t["file"]).read_bytes()).hexdigest() for t in study["trials"] if t["file"]]
    return study, files
