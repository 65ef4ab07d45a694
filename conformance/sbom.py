"""The list of parts that the build makes, against CycloneDX's own schema."""

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
text = (arguments.build / "sbom.cdx.json").read_text()
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
if error is not None:
    sys.exit(f"sbom.cdx.json is not CycloneDX 1.5: {error}")
# A validator that accepts everything would show nothing.
broken = json.loads(text)
broken["components"][0]["type"] = "potion"
if JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(broken)) is None:
    sys.exit("a component of type 'potion' is accepted")
names = {component["name"] for component in json.loads(text)["components"]}
print(f"sbom.cdx.json: CycloneDX 1.5, {len(names)} parts")
