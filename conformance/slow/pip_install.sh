#!/usr/bin/env bash
# `pip install .` of a clean checkout into a new virtual environment, and a search with the module that it gives.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
git -C "$root" ls-files -z --cached --others --exclude-standard | tar -C "$root" -c --null -T - | tar -x -C "$work/source"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "$work/source"
ls "$work"/venv/lib/python3*/site-packages/retort-*.dist-info/sboms/sbom.cdx.json
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import retort
random = np.random.default_rng(1)
y = np.arange(400) % 4
x = random.integers(0, 100, (400, 8, 8, 1), dtype=np.uint8)
for label in range(4):
    x[y == label, (label // 2) * 4:(label // 2) * 4 + 4, (label % 2) * 4:(label % 2) * 4 + 4] += 150
result = retort.search("out", x, y, config=["conv 8 s2, flatten"], teacher="none", time="none", seeds=1, distill_epochs=20)
assert result.best["accuracy_int8"] > 0.9, result.best
assert retort.evaluate(result.model, x, y).accuracy > 0.9
print("pip install .: the module searched and evaluated")
PYTHON
