"""Runs a script of this folder in Node, with playwright-core and axe-core of pinned versions beside the build."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ["playwright-core@1.65.1", "axe-core@4.14.1"]


def run(script, *arguments):
    for name in ("node", "npm", "chromium"):
        if shutil.which(name) is None:
            sys.exit(f"{name} is missing: install Debian's packages chromium, nodejs and npm")
    folder = Path(__file__).resolve().parent.parent / "build" / "node"
    stamp = folder / "packages"
    if not stamp.exists() or stamp.read_text() != " ".join(PACKAGES):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        subprocess.run(["npm", "install", "--prefix", str(folder), "--no-save", "--no-audit", "--no-fund", "--ignore-scripts",
                        *PACKAGES], check=True, stdout=subprocess.DEVNULL)
        stamp.write_text(" ".join(PACKAGES))
    environment = os.environ | {"RETORT_NODE_MODULES": str(folder / "node_modules"),
                                "RETORT_CHROMIUM": shutil.which("chromium")}
    subprocess.run(["node", str(Path(__file__).parent / script), *map(str, arguments)], check=True, env=environment)
