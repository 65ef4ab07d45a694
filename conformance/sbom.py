"""The lists of parts that the build makes, of the program and of the Python module, against CycloneDX's own schema."""

import argparse
import json
import pathlib
import subprocess
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

parser = argparse.ArgumentParser()
parser.add_argument("--build", type=pathlib.Path, required=True)
arguments = parser.parse_args()

subprocess.run(["cmake", "--build", arguments.build, "--target", "sbom"], check=True, stdout=subprocess.DEVNULL)


def parts_of(path):
    """Names and versions of the parts."""
    text = path.read_text()
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    if error is not None:
        sys.exit(f"{path}: is not CycloneDX 1.5: {error}")
    # A validator that accepts everything would show nothing.
    broken = json.loads(text)
    broken["components"][0]["type"] = "potion"
    if JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(broken)) is None:
        sys.exit("a component of type 'potion' is accepted")
    return {part["name"]: part.get("version", part.get("purl")) for part in json.loads(text)["components"]}


program = parts_of(arguments.build / "sbom.cdx.json")
module = parts_of(arguments.build / "python" / "sbom.cdx.json")
if not str(module.pop("nanobind", "")).startswith("pkg:pypi/nanobind@"):
    sys.exit("the Python module's list lacks nanobind")
for name in ("oneDNN", "fmt", "CLI11", "SQLite"):
    if program.get(name) is None or program[name] != module.get(name):
        sys.exit(f"{name}: {program.get(name)} in the program, {module.get(name)} in the Python module")
print(f"sbom.cdx.json: CycloneDX 1.5, {len(program)} parts of the program, {len(module) + 1} of the Python module")
