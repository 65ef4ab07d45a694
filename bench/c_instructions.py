"""Fits the instructions of our C kernels: cost/c_work.cpp's tables.

Random networks and named ones run on QEMU's Cortex-M4 (-icount shift=0) with a counter around every kernel's call; for
each kernel the instructions are fitted to the counts that cost::c_work gives for the operator. Prints the tables as C++
and how far each network's sum is from what was counted, for networks that the fit has not seen.

    python bench/c_instructions.py --build build/release [--graphs 120]
"""

import argparse
import collections
import concurrent.futures
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

QEMU = Path(__file__).resolve().parent.parent / "conformance" / "qemu"
NAMED = ["resnet8", "dscnn", "mobilenet", "autoencoder", "s11_16", "s21_16", "s22_32", "s32_64_0", "ds16", "ds32", "ds20",
         "s21_12", "s21_27"]
KERNELS = ["conv2d", "depthwise 3x3", "depthwise", "fully connected", "max pool", "average pool", "add", "mean", "softmax",
           "look up", "quantize", "dequantize"]


def wide(folder, name):
    """Operators whose sums do not stay narrow, as only odd ranges make them: no search's training gives such."""
    source = (folder / f"{name}.c").read_text()
    return {int(found[1]) for found in re.finditer(r"_layer_(\d+) = \{[^;]*?\.narrow = 0", source)}


def count(folder, name, options):
    """Instructions of each kernel's calls in one inference, in the order of operators."""
    source = (folder / f"{name}.c").read_text()
    at = source.index(f"void {name}_invoke")
    calls = 0

    def marked(match):
        nonlocal calls
        calls += 1
        return f"{match[1]}{{ const uint32_t before = ticks(); {match[2]}; marks[{calls - 1}] += ticks() - before; }}"

    body = re.sub(r"(\n +)(retort_\w+\([^;]*\));", marked, source[at:])
    place = folder / f"count_{name}"
    place.mkdir(exist_ok=True)
    (place / "model.c").write_text('#include "board.h"\nuint32_t marks[200];\n' +
                                   source[:at].replace(f'"{name}', f'"../{name}') + body)
    (place / "main.c").write_text(
        f'#include "board.h"\n#include "../{name}.h"\nextern uint32_t marks[200];\n'
        f"int main(void) {{\n  int i, n;\n  for (n = 0; n < 20; ++n) {name}_invoke();\n"
        f'  for (i = 0; i < {calls}; ++i) print_number("call", (int64_t)marks[i] * INSTRUCTIONS_A_TICK / 20);\n'
        "  return 0;\n}\n")
    subprocess.run(["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-std=c99", *options, "-nostartfiles", "-I", QEMU,
                    "-T", QEMU / "mps2.ld", QEMU / "board.c", place / "main.c", place / "model.c", "-o", place / "a.elf"],
                   check=True)
    done = subprocess.run(["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-semihosting-config",
                           "enable=on,target=native", "-icount", "shift=0", "-kernel", place / "a.elf"],
                          capture_output=True, text=True, check=True)
    return [int(line.split()[1]) for line in (done.stdout + done.stderr).splitlines() if line.startswith("call ")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--graphs", type=int, default=120)
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    driver = arguments.build / "conformance" / "conformance_c_code"
    with tempfile.TemporaryDirectory(prefix="retort-count-") as temporary:
        folder = Path(temporary)
        models = []  # of which the named ones come last
        for words in (["random", folder, arguments.graphs, arguments.seed, 1], ["named", folder, arguments.seed, 1, *NAMED]):
            done = subprocess.run([driver, *map(str, words)], check=True, capture_output=True, text=True)
            models += [json.loads(line) for line in done.stdout.splitlines()]
        odd = {model["name"]: wide(folder, model["name"]) for model in models}
        print(f"{sum(map(len, odd.values()))} operators left out, whose sums are wide")
        for variant, options in (("dsp", ["-O2"]), ("plain", ["-O2", "-DRETORT_DSP=0"])):
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                counted = list(pool.map(lambda model: count(folder, model["name"], options), models))
            table = {}
            for kernel in KERNELS:
                rows = [(work[1], calls) for model, counts in zip(models, counted)
                        for work, calls in zip(model["work"], counts)
                        if work[0] == kernel and work[2] not in odd[model["name"]]]
                a, y = np.array([row for row, _ in rows], float), np.array([calls for _, calls in rows], float)
                # Relative errors count, but of small operators only the absolute ones.
                weight = 1 / np.maximum(y, 2000)
                table[kernel] = nnls(a * weight[:, None], y * weight)[0]
                error = np.abs(a @ table[kernel] / y - 1)
                print(f"{variant:5} {kernel:16} {len(rows):4} operators, median error {np.median(error):.1%}, "
                      f"nine of ten within {np.quantile(error, 0.9):.1%}")
            print(f"{variant}:")
            for kernel in KERNELS:
                print("  std::vector<double>{" + ", ".join(f"{cost:.4g}" for cost in table[kernel]) + "},")
            errors = collections.OrderedDict()
            for model, counts in zip(models, counted):
                if odd[model["name"]]:
                    continue
                said = sum(float(np.dot(table[work[0]], work[1])) for work in model["work"])
                errors[model["name"]] = said / sum(counts) - 1
            values = np.abs(list(errors.values()))
            print(f"{variant}: networks within {np.quantile(values, 0.95):.1%} (nineteen of twenty), worst {values.max():.1%}")
            print(" ".join(f"{name} {errors[name]:+.1%}" for name in NAMED if name in errors))


if __name__ == "__main__":
    main()
