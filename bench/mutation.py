"""Do a room's tests notice when one line of its code is wrong?

usage: mutation.py [--seed N] [--count N] [--build DIR] [--jobs N] [--silent-seconds S]
                   [--draws I,J…] [--list N]

Draws lines of executable code of src/{engine,compress,int8,cost,study} at random and one change for each: an operator,
a constant, a condition, a statement, the order of two arguments. Each is applied alone, its room's test program is
built and run without the slow suites, and the file is restored, Ctrl-C or not. A change that does not compile does
not count: the next one is drawn. A hang and a crash count as caught. Prints a row of a Markdown table a change.

The working tree must be clean, and DIR configured with tests. `--draws` repeats some draws of a seed (their numbers are in the
table's first column), as after a test was added; `--list` prints the first draws and runs nothing.
"""

import argparse
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOMS = ("engine", "compress", "int8", "cost", "study")
ROOT = pathlib.Path(__file__).resolve().parent.parent

# What runs after a room's own tests, as in tests/CMakeLists.txt: (tests, environment).
QUICK = ("-Slow*:Postgres*", {})
RUNS = {"engine": [QUICK, ("CpuPlan.*:*BackendContract*", {"ONEDNN_MAX_CPU_ISA": "AVX2"})],
        "study": [QUICK, ("Postgres*", {})]}
MEMORY_BYTES = 8 << 30  # a wrong size must not take the machine's

# A comment, a raw string, a string, a character; what is in them is nobody's code.
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![\w])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
# From here on a statement only words a message or checks what cannot be.
MESSAGE = re.compile(r"\b(?:throw\w*|fmt::format\w*|format_to|assert|static_assert|\w*error|describe\w*|what)\b")
NO_CODE = re.compile(r"\s*(?:#|using\b|namespace\b|template\b|friend\b|class\b|enum\b|struct\b|typedef\b|public:|private:|protected:|HWY_|virtual\b.*= 0;|.*= (?:delete|default);|$)")
COMMUTATIVE = ("min", "max", "Min", "Max", "Add", "Mul", "swap", "gcd", "lcm")
# A row of a table of measured numbers.
ROW = re.compile(r"\s*(?:return\s+)?(?:std::\w+<[\w:]+>)?[\s{}()\d.,;xa-fA-F+-]*$")

# clang-format puts spaces about binary operators and none about those of templates, pointers and signs.
SWAPS = {
    "relational": {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",)},
    "arithmetic": {"+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "%": ("*",), "+=": ("-=",), "-=": ("+=",), "*=": ("/=",), "/=": ("*=",)},
    "and/or": {"&&": ("||",), "||": ("&&",)},
    "boolean": {"true": ("false",), "false": ("true",)},
    "step": {"++": ("--",), "--": ("++",)},
    "min/max": {"min": ("max",), "max": ("min",), "Min": ("Max",), "Max": ("Min",)},
}
FORMS = {
    "relational": r"(?<= )(?:<=|>=|==|!=|<|>)(?=\s|$)",
    "arithmetic": r"(?<=[\w)\]}] )[-+*/%]=?(?=\s|$)",
    "and/or": r"&&(?=\s|$)|\|\|(?=\s|$)",
    "boolean": r"\b(?:true|false)\b",
    "step": r"\+\+|--",
    "min/max": r"\b(?:min|max|Min|Max)\b(?=\()",
}
NUMBER = re.compile(r"(?<![\w.])(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)([uUlLfF]*)(?![\w.])")
STATEMENT = re.compile(r"\s*(?:[\w.:>\[\]()*-]+(?:\(| (?:[-+*/%|&^]|<<|>>)?= )|(?:\+\+|--)\w|[\w.\[\]>-]+(?:\+\+|--);|(?:continue|break|return);).*;$")
KEYWORD = re.compile(r"\s*(?:(?:else )?if|for|while|switch|return\b(?!;)|case|else|do)\b")


def masked(text):
    """The text with everything that is no code blanked, of the same length and lines."""
    return NOT_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def closing(line, opening):
    depth = 0
    for i in range(opening, len(line)):
        depth += (line[i] in "([{") - (line[i] in ")]}")
        if depth == 0:
            return i
    return -1


def arguments(line, opening, end):
    """The (begin, end) of each argument between two parentheses; none where a comma may be a template's."""
    parts, depth, begin = [], 0, opening + 1
    if re.search(r"\w<|[;]", line[opening:end]):
        return []
    for i in range(opening + 1, end + 1):
        if i == end or (line[i] == "," and depth == 0):
            parts.append((begin, i))
            begin = i + 1
        depth += (line[i] in "([{") - (line[i] in ")]}")
    # `const float* x` declares: it would only be named otherwise.
    declares = any(re.match(r"\s*(?:const |[\w:]+[&*]* \w+\s*$)", line[a:b]) for a, b in parts)
    return [] if declares else parts


def changes_of_line(code, line, before):
    """[(kind, the changed line)] for a line, its code without comments and strings, and the code before it in its statement."""
    found = []
    wording = MESSAGE.search(code)
    end = wording.start() if wording else len(code)
    usable = code[:end]

    def put(kind, begin, stop, new):
        found.append((kind, line[:begin] + new + line[stop:]))

    for kind, form in FORMS.items():
        for match in re.finditer(form, usable):
            for new in SWAPS[kind][match.group()]:
                put(kind, match.start(), match.end(), new)
    for match in NUMBER.finditer(usable):
        digits, suffix = match.groups()
        for step in (1, -1):
            whole = digits.isdigit()
            value = int(digits) + step if whole else float(digits) + step
            if value >= 0 and not (whole and len(digits) > 1 and digits[0] == "0"):
                put("constant", match.start(), match.end(), f"{value}{suffix}")
    for match in re.finditer(r"\b(?:if|while) (?:constexpr )?\(", usable):
        opening, stop = match.end() - 1, closing(code, match.end() - 1)
        begin = code.rfind(";", opening, stop) + 1 if stop > 0 else 0
        begin = begin or opening + 1
        if stop > 0 and stop <= end and not re.search(r"[^<>=!]=[^=]", code[begin:stop]):
            put("negated", begin, stop, f"!({line[begin:stop].strip()})")
    for match in re.finditer(r"[\w>]\(", usable):
        opening, stop = match.end() - 1, closing(code, match.end() - 1)
        if stop < 0 or stop > end or re.search(r"\w*$", code[:opening]).group() in COMMUTATIVE:
            continue
        parts = arguments(code, opening, stop)
        for (a, b), (c, d) in zip(parts, parts[1:]):
            first, second = line[a:b].strip(), line[c:d].strip()
            if first and second and first != second:
                put("swapped", a, d, ("" if a == opening + 1 else " ") + f"{second}, {first}")
    if not wording and not before.strip() and STATEMENT.match(code) and not KEYWORD.match(code):
        indent = len(code) - len(code.lstrip())
        found.append(("removed", line[:indent] + "{}"))
    return found


def candidates():
    """[(path, line number, [(kind, changed line)])], in a fixed order."""
    names = subprocess.run(["git", "ls-files", *(f"src/{room}" for room in ROOMS)], cwd=ROOT, check=True, capture_output=True,
                           text=True).stdout.split()
    result = []
    for name in sorted(name for name in names if name.endswith((".cpp", ".h"))):
        text = (ROOT / name).read_text()
        before = ""  # of the statement that goes on
        for number, (line, code) in enumerate(zip(text.split("\n"), masked(text).split("\n")), 1):
            code = code.rstrip()
            if not NO_CODE.match(code) and not ROW.match(code) and not MESSAGE.search(before):
                changes = changes_of_line(code, line, before)
                if changes:
                    result.append((name, number, changes))
            if code.strip():
                ends = code.endswith((";", "{", "}", ":")) or (not before and KEYWORD.match(code) and code.endswith(")")) \
                    or code.lstrip().startswith("#")
                before = "" if ends else before + code + " "
    return result


def draw(seed):
    """Endless: (number of the draw, path, line number, kind, changed line), each line at most once."""
    dice = random.Random(seed)
    lines = candidates()
    dice.shuffle(lines)
    for number, (name, line, changes) in enumerate(lines, 1):
        kind = dice.choice(sorted({kind for kind, _ in changes}))
        yield number, name, line, kind, dice.choice([changed for its, changed in changes if its == kind])


def cpu_seconds(pid):
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


def run(command, log_path, silent_seconds, environment=None):
    """(exit code, output) of a command in a session of its own that ends with it; None for the code: it hangs.

    That is: it computed so long without a word, or waited ten times as long. On a busy machine a clock on the wall says little."""
    with open(log_path, "w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   start_new_session=True, env={**os.environ, **(environment or {})})
        try:
            said, since, computed = 0, time.monotonic(), 0.0
            while process.poll() is None:
                time.sleep(0.1)
                size = os.fstat(log.fileno()).st_size
                if size != said:
                    said, since, computed = size, time.monotonic(), cpu_seconds(process.pid)
                if (cpu_seconds(process.pid) - computed > silent_seconds
                        or time.monotonic() - since > 10 * silent_seconds):
                    break
            code = process.poll()
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        log.seek(0)
        return code, log.read()


class Judge:
    def __init__(self, build, jobs, silent_seconds, scratch):
        self.build, self.jobs, self.silent_seconds, self.scratch = build, jobs, silent_seconds, scratch

    def builds(self, room):
        code, self.words = run(["ninja", "-C", str(self.build), f"-j{self.jobs}", f"test_{room}"], self.scratch / "log", 3600)
        return code == 0

    def failure(self, room, tests, environment):
        """(the first test that fails, how), or None."""
        folder = self.scratch / "tmp"
        folder.mkdir()
        folder.chmod(0o777)  # PostgreSQL runs as another user
        limit = f'ulimit -v {MEMORY_BYTES >> 10}; exec "$@"'
        command = ["bash", "-c", limit, "-", str(self.build / f"tests/test_{room}"), f"--gtest_filter={tests}", "--gtest_fail_fast"]
        code, words = run(command, self.scratch / "log", self.silent_seconds, {**environment, "TMPDIR": str(folder)})
        shutil.rmtree(folder, ignore_errors=True)
        if code == 0:
            return None
        failed = re.findall(r"^\[  FAILED  \] ([\w/.]+)", words, re.MULTILINE)
        begun = re.findall(r"^\[ RUN      \] ([\w/.]+)", words, re.MULTILINE) or [""]
        if code is None:
            return begun[-1], "hangs"
        return (failed[0], "") if failed else (begun[-1], "crashes")

    def verdict(self, room):
        """(the test that notices, how), or None. What fails on a busy machine and not again alone is passed over."""
        for tests, environment in RUNS.get(room, [QUICK]):
            while (noticed := self.failure(room, tests, environment)) is not None:
                test, how = noticed
                if how == "hangs" or not test or self.failure(room, test, environment):
                    return noticed
                tests += (":" if "-" in tests else "-") + test
        return None

    def check_unchanged(self, noticed):
        """That what noticed something says nothing of the code as it is."""
        for room in sorted({room for room, _ in noticed}):
            if not self.builds(room):
                sys.exit(f"test_{room} does not build unchanged: {self.words[-2000:]}")
            tests = ":".join(sorted({test for its, test in noticed if its == room and test}))
            for _, environment in RUNS.get(room, [QUICK]):
                failed = self.failure(room, tests, environment)
                if failed:
                    sys.exit(f"{failed[0]} of {room} fails on unchanged code too: what it caught is unknown")


def judge(judged, name, number, changed):
    """("caught", (test, how)), ("survived", None) or ("not compiled", None)."""
    path = ROOT / name
    original = path.read_bytes()
    lines = original.decode().split("\n")
    lines[number - 1] = changed
    try:
        path.write_text("\n".join(lines))
        room = name.split("/")[1]
        if not judged.builds(room):
            return "not compiled", None
        noticed = judged.verdict(room)
        return "caught" if noticed else "survived", noticed
    finally:
        path.write_bytes(original)


def cell(code):
    return "`" + " ".join(code.split()).replace("|", "\\|") + "`"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--silent-seconds", type=float, default=90, help="of a processor: a test that takes longer hangs")
    parser.add_argument("--draws", type=lambda text: {int(part) for part in text.split(",")}, default=set())
    parser.add_argument("--list", type=int, default=0)
    options = parser.parse_args()

    draws = draw(options.seed)
    if options.list:
        for number, name, line, kind, changed in draws:
            print(f"{number:3} {name}:{line} {kind}\n    - {(ROOT / name).read_text().splitlines()[line - 1].strip()}\n    + {changed.strip()}")
            if number == options.list:
                return 0
    dirty = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    if dirty:
        sys.exit(f"the working tree is not clean, commit or stash first:\n{dirty}")

    def stop(signum, frame):
        raise KeyboardInterrupt
    for wanted in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(wanted, stop)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    counts = {"caught": 0, "survived": 0, "not compiled": 0}
    scratch = pathlib.Path(tempfile.mkdtemp())
    scratch.chmod(0o755)
    try:
        judged = Judge(options.build.resolve(), options.jobs, options.silent_seconds, scratch)
        noticed = set()
        print(f"Seed {options.seed}\n\n| draw | line | change | before | after | caught by |\n|---|---|---|---|---|---|", flush=True)
        for number, name, line, kind, changed in draws:
            if options.draws and number not in options.draws:
                continue
            before = (ROOT / name).read_text().split("\n")[line - 1]
            verdict, found = judge(judged, name, line, changed)
            counts[verdict] += 1
            if verdict == "not compiled":
                print(f"draw {number}, {name}:{line} {changed.strip()}: does not compile", file=sys.stderr, flush=True)
            else:
                if found:
                    noticed.add((name.split("/")[1], found[0]))
                words = "**survived**" if not found else found[0] + (f" ({found[1]})" if found[1] else "")
                print(f"| {number} | {name}:{line} | {kind} | {cell(before)} | {'' if kind == 'removed' else cell(changed)} | {words} |",
                      flush=True)
            if counts["caught"] + counts["survived"] >= (len(options.draws) or options.count):
                break
        print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()), flush=True)
        judged.check_unchanged(noticed)
        return 0 if not counts["survived"] else 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
