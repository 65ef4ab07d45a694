"""Our generated C, byte for byte, on this machine and on an emulated Cortex-M4.

Random networks and MLPerf Tiny's shapes become C code. Compiled here under the address and undefined behaviour
sanitizers (plain variant; many networks in one translation unit), and by arm-none-eabi-gcc for QEMU's mps2-an386 (the
variant with DSP instructions, and the plain one), it must give the bytes of our interpreter, which int8.py holds against
TensorFlow Lite Micro; a few inputs of each network go to TFLM here too. Every compiler that is installed must accept it
without a warning. Instructions a multiply-accumulate, RAM and flash are held against their limits.

    python conformance/c_code.py --build build/release [--graphs 200] [--seed 1]
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from int8 import train

HERE = Path(__file__).resolve().parent
QEMU = HERE / "qemu"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
CORTEX_M4 = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-ffunction-sections", "-fdata-sections"]
# Name, options: of compilers that must take the code as it is. Those that are not installed are skipped, and said so.
COMPILERS = {
    "gcc": ["gcc", "-O2"],
    "gcc -Os": ["gcc", "-Os"],
    "clang": ["clang-19", "-O2"],
    "arm-none-eabi-gcc -Os": CORTEX_M4 + ["-Os"],
    "arm-none-eabi-gcc -O0": CORTEX_M4 + ["-O0"],
    "arm-none-eabi-gcc, Cortex-M0+": ["arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb", "-Os"],
    "arm-none-eabi-gcc, Cortex-M33": ["arm-none-eabi-gcc", "-mcpu=cortex-m33", "-mthumb", "-Os"],
    "arm-none-eabi-gcc, Cortex-M7": ["arm-none-eabi-gcc", "-mcpu=cortex-m7", "-mthumb", "-O2"],
    "clang, Cortex-M4": ["clang-19", "--target=thumbv7em-none-eabi", "-mcpu=cortex-m4", "-ffreestanding", "-O2"],
}
NAMED = ["resnet8", "dscnn", "mobilenet", "autoencoder", "s21_16", "ds16"]
# How far what `retort` says before any compiler ran may be from what was compiled and counted: bytes of code and of
# numbers at -Os, without the routines of floating point; instructions at -O2, of networks that are no mere handful.
CODE_BYTES, NUMBER_BYTES, INSTRUCTIONS_SHARE, FEWEST_INSTRUCTIONS = 96, 128, 0.15, 100_000
# Instructions a multiply-accumulate on the Cortex-M4 at -O2, at most (CMSIS-NN: 2.39, 2.90, 3.22, 2.21), and the arena
# as a share of TFLM's.
INSTRUCTIONS_A_MAC = {"resnet8": 2.39, "dscnn": 2.90, "mobilenet": 3.22, "autoencoder": 2.21}
ARENA_SHARE = {"resnet8": 0.70}
MOST_MACS = 1_000_000  # of a random network that QEMU runs

BATCH = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
{includes}
static unsigned char *load(const char *folder, const char *name, const char *ending, size_t bytes) {{
  char path[4096];
  FILE *file;
  unsigned char *data = malloc(bytes ? bytes : 1);
  snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
  file = fopen(path, "rb");
  if (!data || !file || fread(data, 1, bytes, file) != bytes) {{ printf("cannot read %s\\n", path); exit(2); }}
  fclose(file);
  return data;
}}
static long check(const char *folder, const char *name, void *input, size_t input_bytes, const void *output,
                  size_t output_bytes, void (*invoke)(void), int count) {{
  unsigned char *inputs = load(folder, name, "inputs", input_bytes * count);
  unsigned char *outputs = load(folder, name, "outputs", output_bytes * count);
  long wrong = 0;
  for (int i = 0; i < count; ++i) {{
    memcpy(input, inputs + i * input_bytes, input_bytes);
    invoke();
    wrong += memcmp(output, outputs + i * output_bytes, output_bytes) != 0;
  }}
  if (wrong) printf("%s: %ld of %d outputs differ\\n", name, wrong, count);
  free(inputs);
  free(outputs);
  return wrong;
}}
int main(int argc, char **argv) {{
  long wrong = 0;
  (void)argc;
{calls}
  return wrong != 0;
}}
"""


def run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    return done.returncode, done.stdout + done.stderr


class Check:
    def __init__(self, driver, folder):
        self.driver, self.folder = driver, folder
        self.failures = 0

    def fail(self, text):
        self.failures += 1
        print(f"FAILED: {text}", flush=True)

    def write(self, *words):
        done = subprocess.run([self.driver, words[0], self.folder, *map(str, words[1:])], check=True, capture_output=True,
                              text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def on_this_machine(self, models, inputs):
        """Batches of networks in one translation unit each, under sanitizers."""
        for start in range(0, len(models), 50):
            batch = models[start:start + 50]
            source = self.folder / f"batch{start}.c"
            source.write_text(BATCH.format(
                includes="\n".join(f'#include "{m["name"]}.c"' for m in batch),
                calls="\n".join(f'  wrong += check(argv[1], "{m["name"]}", {m["name"]}_input(), {m["input_bytes"]}, '
                                f'{m["name"]}_output(), {m["output_bytes"]}, {m["name"]}_invoke, {inputs});'
                                for m in batch)))
            program = source.with_suffix("")
            code, text = run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-fsanitize=address,undefined",
                              "-fno-sanitize-recover=all", source, "-o", program])
            if code:
                self.fail(f"gcc, networks from {start}: {text[-2000:]}")
                continue
            code, text = run([program, self.folder])
            if code:
                self.fail(f"networks from {start}: {text[-2000:]}")

    def compiles(self, models):
        missing = [name for name, words in COMPILERS.items() if not shutil.which(words[0])]
        for name in missing:
            print(f"skipped, not installed: {name}")

        def one(work):
            model, name = work
            code, text = run([*COMPILERS[name], *STRICT, "-c", self.folder / f"{model['name']}.c", "-o",
                              self.folder / f"{model['name']}-{name.replace(' ', '')}.o"])
            return f"{name} on {model['name']}: {text[-2000:]}" if code else None

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            work = [(model, name) for model in models for name in COMPILERS if name not in missing]
            for failure in pool.map(one, work):
                if failure:
                    self.fail(failure)

    def on_cortex_m4(self, model, inputs, *options):
        """What QEMU's board says of one network: {"wrong", "instructions", "stack", "text", "rodata"}, or None."""
        name = model["name"]
        place = self.folder / f"{name}{''.join(options)}"
        place.mkdir(exist_ok=True)
        numbers = {}
        for what in ("input", "output"):
            data = (self.folder / f"{name}.{what}s").read_bytes()[:inputs * model[f"{what}_bytes"]]
            numbers[what] = f"static const uint8_t {what}s[] = {{{','.join(map(str, data))}}};"
        (place / "case.h").write_text("\n".join([
            f'#include "../{name}.h"',
            *(f"#define MODEL_{what} {name}_{what}" for what in ("input", "output", "invoke")),
            f"#define INPUTS {inputs}", f"#define INPUT_BYTES {model['input_bytes']}",
            f"#define OUTPUT_BYTES {model['output_bytes']}", *numbers.values(), ""]))
        compiler = [*CORTEX_M4, *STRICT, *(options or ["-O2"])]
        code, text = run([*compiler, "-c", self.folder / f"{name}.c", "-o", place / "model.o"])
        if not code:
            code, text = run([*compiler, "-nostartfiles", "-I", place, "-T", QEMU / "mps2.ld", "-Wl,--gc-sections",
                              QEMU / "board.c", QEMU / "check.c", place / "model.o", "-o", place / "check.elf"])
        if code:
            self.fail(f"arm-none-eabi-gcc on {name}: {text[-2000:]}")
            return None
        code, text = run(["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-semihosting-config",
                          "enable=on,target=native", "-icount", "shift=0", "-kernel", place / "check.elf"], timeout=600)
        said = {line.split()[0]: int(line.split()[1]) for line in text.splitlines() if len(line.split()) == 2}
        if code or said.get("wrong") != 0:
            self.fail(f"{name} {' '.join(options)} on QEMU: exit status {code}, {text[-500:]}")
            return None
        sections = [line.split() for line in run(["arm-none-eabi-size", "-A", place / "model.o"])[1].splitlines()]
        for kind in ("text", "rodata"):
            said[kind] = sum(int(words[1]) for words in sections if words and words[0].startswith(f".{kind}"))
        return said

    def as_foretold(self, model, fast, tight):
        """cost::analyze's flash, stack and instructions against the compiler's and QEMU's."""
        name, flash, ram = model["name"], model["footprint"]["flash"], model["footprint"]["ram"]
        off = {"bytes of code": (flash["code"] - tight["text"], CODE_BYTES),
               "bytes of numbers": (flash["model"] - tight["rodata"], NUMBER_BYTES)}
        for what, (difference, most) in off.items():
            if abs(difference) > most:
                self.fail(f"{name}: {difference:+} {what} foretold, beyond {most}")
        for said in (fast, tight):
            if said["stack"] > ram["stack"]:
                self.fail(f"{name}: {said['stack']} bytes of stack, more than the {ram['stack']} foretold")
        share = model["instructions"] / fast["instructions"] - 1
        if abs(share) > INSTRUCTIONS_SHARE and fast["instructions"] > FEWEST_INSTRUCTIONS:
            self.fail(f"{name}: {share:+.0%} of the instructions foretold")
        return off["bytes of code"][0], off["bytes of numbers"][0], share

    def on_tflm(self, models, inputs):
        from tflite_micro.python.tflite_micro import runtime
        for model in models:
            data = (self.folder / f"{model['name']}.inputs").read_bytes()
            expected = (self.folder / f"{model['name']}.outputs").read_bytes()
            interpreter = runtime.Interpreter.from_file(str(self.folder / f"{model['name']}.tflite"), arena_size=8 << 20)
            details = interpreter.get_input_details(0)
            for i in range(inputs):
                one = data[i * model["input_bytes"]:(i + 1) * model["input_bytes"]]
                interpreter.set_input(np.frombuffer(one, details["dtype"]).reshape(details["shape"]), 0)
                interpreter.invoke()
                if interpreter.get_output(0).tobytes() != expected[i * model["output_bytes"]:
                                                                   (i + 1) * model["output_bytes"]]:
                    self.fail(f"TFLM on {model['name']}, input {i}: another output")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--graphs", type=int, default=200, help="random networks, compiled on this machine")
    parser.add_argument("--emulated", type=int, default=24, help="of them, how many QEMU runs too")
    parser.add_argument("--inputs", type=int, default=50, help="of each network on this machine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", type=Path, action="append", default=[], help="also check this .tflite file")
    arguments = parser.parse_args()
    driver = arguments.build / "conformance" / "conformance_c_code"
    with tempfile.TemporaryDirectory(prefix="retort-c-") as temporary:
        check = Check(driver.resolve(), Path(temporary))
        random = check.write("random", arguments.graphs, arguments.seed, arguments.inputs)
        foreign = check.write("foreign", arguments.graphs, arguments.seed, arguments.inputs)
        named = check.write("named", arguments.seed, 20, *NAMED)
        retort = (arguments.build / "src" / "cli" / "retort").resolve()
        trained_files = train(retort, Path(temporary), np.random.default_rng(arguments.seed))[0] + arguments.file
        trained = check.write("file", arguments.seed, 1000, *trained_files)
        check.on_this_machine(random, arguments.inputs)
        check.on_this_machine(foreign, arguments.inputs)
        check.on_this_machine(trained, 1000)
        check.on_this_machine(named, 3)
        check.on_tflm(random, 3)
        check.on_tflm(foreign, 3)
        check.on_tflm(trained, 20)
        check.on_tflm(named, 1)
        print(f"{len(random)} random networks and {len(foreign)} of other people's kind of {arguments.inputs} inputs and {len(trained)} trained ones of 1,000, on "
              "this machine")
        check.compiles([m for m in named if m["name"] in ("resnet8", "dscnn")] + random[:6])

        few = [model for model in random if model["macs"] <= MOST_MACS][:arguments.emulated]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            odd = foreign[:arguments.emulated]
            list(pool.map(lambda model: check.on_cortex_m4(model, 20), odd))
            list(pool.map(lambda model: check.on_cortex_m4(model, 4, "-O0"), odd[:6]))
            fast = list(pool.map(lambda model: check.on_cortex_m4(model, 20), few))
            tight = list(pool.map(lambda model: check.on_cortex_m4(model, 2, "-Os"), few))
            list(pool.map(lambda model: check.on_cortex_m4(model, 2, "-Os", "-DRETORT_DSP=0"), few[:6]))
            list(pool.map(lambda model: check.on_cortex_m4(model, 20 if model["macs"] <= MOST_MACS else 2), trained))
            print(f"{len(few)} random networks, {len(odd)} of other people's kind and {len(trained)} trained ones: 20 inputs each on QEMU")
            results = list(pool.map(lambda model: check.on_cortex_m4(model, 20 if model["macs"] <= MOST_MACS else 1), named))
            tight_named = list(pool.map(lambda model: check.on_cortex_m4(model, 1, "-Os"), named))
        print(f"{'':12} {'MACs':>10} {'instructions/MAC':>17} {'-Os':>6} {'arena':>7} {'TFLM':>7} {'stack':>6} "
              f"{'code -Os':>9} {'numbers':>8} {'.tflite':>8}")
        for model, quick, small in zip(named, results, tight_named):
            if not quick or not small:
                continue
            name, rate = model["name"], quick["instructions"] / model["macs"]
            share = model["c_arena_bytes"] / model["tflm_arena_bytes"]
            print(f"{name:12} {model['macs']:10,} {rate:17.2f} {small['instructions'] / model['macs']:6.2f} "
                  f"{model['c_arena_bytes']:7,} {model['tflm_arena_bytes']:7,} {quick['stack']:6} {small['text']:9,} "
                  f"{small['rodata']:8,} {model['file_bytes']:8,}")
            if rate > INSTRUCTIONS_A_MAC.get(name, rate):
                check.fail(f"{name}: {rate:.2f} instructions a MAC; {INSTRUCTIONS_A_MAC[name]} at most")
            if share > ARENA_SHARE.get(name, 1):
                check.fail(f"{name}: an arena of {share:.2f} of TFLM's; {ARENA_SHARE[name]} at most")
            if small["rodata"] > model["file_bytes"]:
                check.fail(f"{name}: {small['rodata']} bytes of numbers, more than the .tflite file")
        # Floating point's routines are no part of an object file.
        pairs = [(m, f, t) for m, f, t in zip(few + named, fast + results, tight + tight_named)
                 if f and t and not m["float_ends"]]
        off = np.array([check.as_foretold(*pair) for pair in pairs])
        print(f"foretold for {len(pairs)} networks: code within {abs(off[:, 0]).max():.0f} bytes, numbers within "
              f"{abs(off[:, 1]).max():.0f}, instructions within {abs(off[:, 2]).max():.0%} (median {np.median(abs(off[:, 2])):.1%})")
    sys.exit(f"{check.failures} failures" if check.failures else 0)


if __name__ == "__main__":
    main()
