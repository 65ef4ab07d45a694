"""Our packages for microcontrollers' systems, by their own tools and on an emulated Cortex-M4.

Small models with int8 and float ends, of images and of numbers, are exported as every kind of package. What a system
reads about a package goes through that system's reader where there is one here: `pio pkg pack`, `compote component
pack`, Kconfiglib, CMake, YAML and JSON parsers; library.properties and the folders by the rules of Arduino's library
specification. All sources and examples must compile for a Cortex-M4 without a warning, against small headers in stubs/
that have the systems' signatures, and each example but TensorFlow Lite Micro's runs on QEMU's mps2-an386: self-test,
stored image, class. Damaged golden bytes and damaged weights must be found.

Not run: Arduino's, Espressif's, Zephyr's and PlatformIO's own builds, which need their toolchains.

    python conformance/packages.py --build build/release
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import kconfiglib
from ruamel.yaml import YAML

HERE = Path(__file__).resolve().parent
QEMU, STUBS = HERE / "qemu", HERE / "stubs"
KINDS = ["c", "tflm", "arduino", "esp-idf", "zephyr", "platformio"]
# Of `conformance_c_code random` with seed 1.
MODELS = {"m0000": "int8, RGB images", "m0003": "float, grey images", "m0007": "float, 26 numbers",
          "m0010": "int8, 21 numbers"}
CORTEX_M4 = ["-mcpu=cortex-m4", "-mthumb", "-O2", "-Wall", "-Wextra", "-Werror", "-ffunction-sections",
             "-fdata-sections"]
C = ["arm-none-eabi-gcc", *CORTEX_M4, "-std=c99", "-pedantic"]
CXX = ["arm-none-eabi-g++", *CORTEX_M4, "-std=c++17", "-fno-exceptions", "-fno-rtti", "-x", "c++"]
# Where a kind's headers lie, its example's program, what compiles that, and the stubs beside it.
LAYOUTS = {
    "c": ([""], "example/main.c", C, None),
    "tflm": ([""], "example/main.cc", CXX, "tflm"),
    "arduino": (["src"], "examples/classify/classify.ino", CXX, "arduino"),
    "esp-idf": (["include"], "examples/classify/main/main.c", C, "esp-idf"),
    "zephyr": (["include"], "samples/classify/src/main.c", C, "zephyr"),
    "platformio": (["include"], "examples/classify/src/main.cpp", CXX, "arduino"),
}
# Of the sketch's other clocks, which compile only.
OTHER_CLOCKS = [["-mcpu=cortex-m0plus"], ["-mcpu=cortex-m0plus", "-DARDUINO_ARCH_ESP32"]]
# `pio` asks the network which licences there are.
PIO = """
import json, platformio.package.manifest.schema as schema, platformio.__main__ as pio
schema.fetch_remote_content = lambda url: json.dumps({"licenses": [{"licenseId": "Apache-2.0"}]})
pio.main()
"""
# A component's CMake file, with the system's function replaced by one that looks whether the files exist.
CMAKE = """
function(check_files)
  foreach(file ${ARGN})
    if(NOT EXISTS "%(folder)s/${file}")
      message(FATAL_ERROR "${file} does not exist")
    endif()
  endforeach()
endfunction()
function(idf_component_register)
  cmake_parse_arguments(GIVEN "" "" "SRCS;INCLUDE_DIRS;PRIV_INCLUDE_DIRS" ${ARGN})
  if(GIVEN_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown: ${GIVEN_UNPARSED_ARGUMENTS}")
  endif()
  check_files(${GIVEN_SRCS} ${GIVEN_INCLUDE_DIRS} ${GIVEN_PRIV_INCLUDE_DIRS})
  message(NOTICE "sources: ${GIVEN_SRCS}")
endfunction()
function(zephyr_include_directories)
  check_files(${ARGN})
endfunction()
function(zephyr_library_named name)
endfunction()
function(zephyr_library_sources)
  check_files(${ARGN})
  message(NOTICE "sources: ${ARGN}")
endfunction()
set(CONFIG_RETORT_%(macro)s y)
include("%(folder)s/CMakeLists.txt")
"""
CATEGORIES = ["Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing", "Data Storage",
              "Data Processing", "Other"]


def run(command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, **options)
    return done.returncode, done.stdout


def read_yaml(path):
    return YAML(typ="safe").load(path.read_text())


class Package:
    """One exported package. What is wrong about it goes to `wrong`."""

    def __init__(self, kind, name, folder, wrong):
        self.kind, self.name, self.folder = kind, name, folder
        self.headers, self.example, self.compiler, self.stubs = LAYOUTS[kind]
        self._wrong = wrong

    def fail(self, text):
        self._wrong(f"{self.kind}, {self.name}: {text}")

    def expect(self, holds, text):
        if not holds:
            self.fail(text)

    def text(self, path):
        if not (self.folder / path).is_file():
            self.fail(f"{path} is missing")
            return ""
        return (self.folder / path).read_text()

    def takes_images(self):
        return any(self.folder.rglob(f"{self.name}_image.h"))

    # ---- what every package has

    def check_files(self):
        for path in ("README.md", "MODEL_CARD.md", "LICENSE", self.example):
            self.text(path)
        for path in self.folder.rglob("*"):
            if path.is_file() and path.suffix != ".tflite":
                words = re.findall(r"@\w+@", path.read_text())
                self.expect(not words, f"{path.name} still has {words}")
        self.expect(self.text("LICENSE") == (HERE.parent / "LICENSE").read_text(), "another licence")

    # ---- what each system asks for

    def check_manifest(self, scratch):
        {"arduino": self._arduino, "esp-idf": self._esp_idf, "zephyr": self._zephyr,
         "platformio": self._platformio}.get(self.kind, lambda scratch: None)(scratch)

    def _arduino(self, _):
        """https://arduino.github.io/arduino-cli/latest/library-specification, revision 2.2."""
        fields = {}
        for line in self.text("library.properties").splitlines():
            key, equals, value = line.partition("=")
            self.expect(equals and key not in fields, f"library.properties: {line!r}")
            fields[key] = value
        for key in ("name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
                    "architectures"):
            self.expect(fields.get(key), f"library.properties lacks {key}")
        unknown = set(fields) - {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
                                 "architectures", "depends", "dot_a_linkage", "includes", "precompiled", "ldflags"}
        self.expect(not unknown, f"library.properties has {unknown}")
        name = fields.get("name", "")
        self.expect(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.\-]*", name) and re.search("[A-Za-z]", name) and
                    not name.startswith("Arduino"), f"name {name!r}")
        self.expect(re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", fields.get("version", "")), "version")
        self.expect(fields.get("category") in CATEGORIES, "category")
        self.expect(re.match(r"https?://", fields.get("url", "")), "url")
        for header in fields.get("includes", "").split(","):
            self.text(f"src/{header.strip()}")
        self.expect(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,62}", self.folder.name), "the folder's name")
        outside = [path for path in self.folder.rglob("*.[ch]") if path.relative_to(self.folder).parts[0] not in
                   ("src", "examples")]
        self.expect(not outside and not (self.folder / "utility").exists(), f"sources outside src: {outside}")
        for sketch in self.folder.glob("examples/*"):
            self.expect((sketch / f"{sketch.name}.ino").is_file(), f"{sketch.name} has no sketch of its name")
        defined = "\n".join(path.read_text() for path in self.folder.glob("src/*.h"))
        for line in self.text("keywords.txt").splitlines():
            if not line or line.startswith("#"):
                continue
            words = line.split("\t")
            self.expect(len(words) in (2, 3, 4) and words[1] in ("KEYWORD1", "KEYWORD2", "KEYWORD3", "LITERAL1",
                                                                  "LITERAL2"), f"keywords.txt: {line!r}")
            optional = words[0].endswith(("_image", "_class_names"))
            self.expect(optional or re.search(rf"\b{words[0]}\b", defined), f"keywords.txt: there is no {words[0]}")

    def _esp_idf(self, scratch):
        manifest = read_yaml(self.folder / "idf_component.yml")
        self.expect(manifest.get("version") == "1.0.0" and manifest.get("license") == "Apache-2.0", f"{manifest}")
        example = read_yaml(self.folder / "examples/classify/main/idf_component.yml")
        path = self.folder / "examples/classify/main" / example["dependencies"][self.name]["override_path"]
        self.expect(path.resolve() == self.folder.resolve(), f"override_path is {path}")
        code, text = run(["compote", "component", "pack", "--project-dir", self.folder, "--name", self.name, "--dest-dir",
                          scratch / "component"])
        archive = scratch / "component" / f"{self.name}_1.0.0.tgz"
        self.expect(code == 0 and archive.is_file() and "WARNING" not in text, f"compote: {text[-2000:]}")
        if archive.is_file():
            self._complete(archive)
        self._cmake(scratch)

    def _platformio(self, scratch):
        library = json.loads(self.text("library.json"))
        for example in library["examples"]:
            for path in example["files"]:
                self.text(f"{example['base']}/{path}")
        archive = scratch / "library.tar.gz"
        code, text = run([sys.executable, "-c", PIO, "pkg", "pack", self.folder, "-o", archive],
                         env=os.environ | {"PLATFORMIO_CORE_DIR": str(scratch / "pio"),
                                           "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
                                           "PLATFORMIO_SETTING_CHECK_PLATFORMIO_INTERVAL": "0"})
        self.expect(code == 0 and archive.is_file(), f"pio pkg pack: {text[-2000:]}")
        if archive.is_file():
            self._complete(archive)
            code, text = run([sys.executable, "-c", PIO, "project", "config", "-d", self.folder / "examples/classify"])
            self.expect(code == 0 and f"{self.name}=symlink://../.." in text, f"platformio.ini: {text[-2000:]}")

    def _zephyr(self, scratch):
        module = read_yaml(self.folder / "zephyr/module.yml")
        self.expect(set(module) == {"name", "build", "samples"}, f"module.yml: {module}")
        self.expect(re.fullmatch("[a-z][a-z0-9-]*", module["name"]), "the module's name")
        self.text(f"{module['build']['cmake']}/CMakeLists.txt")
        kconfig = self.folder / module["build"]["kconfig"]
        # As Zephyr includes it, with the one symbol of Zephyr's that the sample sets.
        root = scratch / "Kconfig"
        root.write_text(f'config MAIN_STACK_SIZE\n\tint "Main stack"\n\tdefault 1024\nosource "{kconfig.resolve()}"\n')
        symbols = kconfiglib.Kconfig(str(root), warn_to_stderr=False)
        samples = self.folder / module["samples"][0] / "classify"
        symbols.load_config(str(samples / "prj.conf"))
        self.expect(not symbols.warnings, f"Kconfig: {symbols.warnings}")
        symbol = f"RETORT_{self.name.upper()}"
        self.expect(symbols.syms[symbol].str_value == "y", f"{symbol} is not set")
        sample = read_yaml(samples / "sample.yaml")
        pattern = sample["tests"][f"sample.retort.{self.name}.classify"]["harness_config"]["regex"][0]
        self.expect(re.match(pattern, self.expected()), f"sample.yaml: {pattern!r} does not match {self.expected()!r}")
        self._cmake(scratch)

    def _cmake(self, scratch):
        """Runs the component's own file, and looks whether it names every source."""
        script = scratch / "check.cmake"
        script.write_text(CMAKE % {"folder": self.folder.resolve(), "macro": self.name.upper()})
        code, text = run(["cmake", "-P", script])
        named = sorted(re.findall(r"src/\w+\.c", text))
        self.expect(code == 0, f"CMakeLists.txt: {text}")
        there = sorted(str(path.relative_to(self.folder)) for path in self.folder.glob("src/*.c"))
        self.expect(named == there, f"CMakeLists.txt names {named}, there are {there}")

    def _complete(self, archive):
        with tarfile.open(archive) as tar:
            packed = {name.removeprefix("./") for name in tar.getnames()}
        missing = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()} - packed
        self.expect(not missing, f"{archive.name} lacks {missing}")

    # ---- the code

    def expected(self):
        golden = next(self.folder.rglob(f"{self.name}_golden.h")).read_text()
        return "self-test passed, class " + re.search(r"_GOLDEN_CLASS (\d+)", golden)[1]

    def compile(self, build):
        """Objects of all sources and of the example, or None."""
        build.mkdir(parents=True, exist_ok=True)
        include = [f"-I{self.folder / place}" for place in self.headers]
        if self.stubs:
            include.append(f"-I{STUBS / self.stubs}")
        # A sketch's own folder is in no path: what it includes in quotes is found beside it.
        sources = [(C, path) for path in self.folder.rglob("*.c") if path != self.folder / self.example]
        sources += [(CXX, path) for path in self.folder.glob("*.cc")] + [(self.compiler, self.folder / self.example)]
        if self.stubs == "arduino":
            for options in OTHER_CLOCKS:
                code, text = run([*CXX, *options, *include, "-c", self.folder / self.example, "-o", build / "other.o"])
                self.expect(code == 0, f"{self.example} with {options}: {text[-2000:]}")
        objects = []
        for compiler, path in sources:
            objects.append(build / f"{path.name}.o")
            code, text = run([*compiler, *include, "-c", path, "-o", objects[-1]])
            if code:
                self.fail(f"{path.name}: {text[-2000:]}")
                return None
        return objects

    def run(self, build):
        """What the example says on QEMU, linked with newlib and the stubs' system."""
        objects = self.compile(build)
        if objects is None or self.kind == "tflm":
            return None
        system = [QEMU / "board.c", STUBS / "syscalls.c", *sorted((STUBS / self.stubs).glob("run.c*") if self.stubs else [])]
        linked = []
        for path in system:
            linked.append(build / f"system-{path.name}.o")
            compiler = CXX if path.suffix == ".cpp" else ["arm-none-eabi-gcc", *CORTEX_M4]
            code, text = run([*compiler, *([f"-I{STUBS / self.stubs}"] if self.stubs else []), "-c", path, "-o", linked[-1]])
            if code:
                self.fail(f"{path.name}: {text[-2000:]}")
                return None
        code, text = run(["arm-none-eabi-g++", *CORTEX_M4, "-nostartfiles", "-T", QEMU / "mps2.ld", "-Wl,--gc-sections",
                          *objects, *linked, "-o", build / "example.elf"])
        if code:
            self.fail(f"linking: {text[-600:]}")
            return None
        return run(["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-semihosting-config", "enable=on,target=native",
                    "-icount", "shift=0", "-kernel", build / "example.elf"], timeout=120)[1].strip()


def damaged(text, array, change, which):
    """The `which`th of the numbers of an array of a C file for which `change` gives another one, changed."""
    start = text.index("{", text.index(array)) + 1
    end = text.index("}", start)
    numbers = text[start:end].split(",")
    changeable = [i for i, number in enumerate(numbers) if number.strip() and change(int(number)) != int(number)]
    numbers[changeable[which]] = str(change(int(numbers[changeable[which]])))
    return text[:start] + ",".join(numbers) + text[end:]


def check_damage(package, scratch):
    golden = package.folder / f"{package.name}_golden.h"
    weights = package.folder / f"{package.name}_weights.h"
    last = re.findall(rf"{package.name}_weights_\d+", weights.read_text())[-1]
    for file, array, change, pattern, tries in (
            (golden, f"{package.name}_golden_inputs", lambda byte: byte ^ 1, "self-test failed: -1", 1),
            (golden, f"{package.name}_golden_outputs", lambda byte: byte ^ 128, "self-test failed: -1", 1),
            # A weight of what is 0 for every golden input matters to none.
            (weights, last, lambda weight: -weight if abs(weight) > 90 else weight, "self-test failed: [1-9]", 5)):
        whole = file.read_text()
        for which in range(tries):
            file.write_text(damaged(whole, array, change, which))
            said = package.run(scratch / "damaged")
            if said is None or re.match(pattern, said):
                break
        else:
            package.fail(f"damaged {array}: {said!r}")
        file.write_text(whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    arguments = parser.parse_args()
    retort = (arguments.build / "src/cli/retort").resolve()
    # compote lies beside this Python.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    failures = []
    with tempfile.TemporaryDirectory(prefix="retort-packages-") as temporary:
        place = Path(temporary)
        subprocess.run([(arguments.build / "conformance/conformance_c_code").resolve(), "random", place / "models",
                        str(1 + max(int(name[1:]) for name in MODELS)), "1", "1"], check=True, stdout=subprocess.DEVNULL)
        for name, what in MODELS.items():
            for kind in KINDS:
                package = Package(kind, name, place / kind / name, failures.append)
                code, text = run([retort, "export", place / f"models/{name}.tflite", "--to", kind, "--name", name, "--out",
                                  package.folder])
                if code:
                    package.fail(text)
                    continue
                scratch = place / f"{kind}-{name}-scratch"
                scratch.mkdir()
                package.expect(package.takes_images() == ("images" in what and kind != "tflm"), "the image's code")
                package.check_files()
                package.check_manifest(scratch)
                said = package.run(scratch)
                if said is not None:
                    package.expect(said.startswith(package.expected()), f"the example says {said!r}")
                if kind == "c":
                    code, text = run(["make", "-C", package.folder, "test"])
                    package.expect(code == 0 and package.expected() in text, text)
                    check_damage(package, scratch)
                print(f"{kind:11} {name} ({what}): {said or 'compiled'}", flush=True)
    for failure in failures:
        print(f"FAILED: {failure}")
    sys.exit(f"{len(failures)} failures" if failures else 0)


if __name__ == "__main__":
    main()
