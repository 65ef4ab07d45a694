"""The Python module against the command line's program: python/tests, with the module of the build.

usage: python_module.py [--build FOLDER]
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build/release")
build = Path(parser.parse_known_args()[0].build).resolve()
package = build / "python"
assert list((package / "retort").glob("_retort*.so")), f"{package}: build retort_python with -DRETORT_PYTHON=ON first"
done = subprocess.run(
    [sys.executable, "-m", "pytest", "-q", "python/tests", f"--program={build}/src/cli/retort"],
    cwd=Path(__file__).parent.parent, env=os.environ | {"PYTHONPATH": str(package)}, check=False,
)
sys.exit(done.returncode)
