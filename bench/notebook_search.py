"""What the notebook's search costs: the training seconds of its quick evaluations in Keras and in Retort.

Each of the grid's 162 different networks is measured on both sides, Keras as the notebook runs it (model.fit, batch 32,
one process on all cores), Retort as a search does (one network a core). Five epochs of 40,000 images each are then
computed and added up. The notebook's 216 configurations hold 54 twins: without dense layers their units mean nothing,
so 18 networks are trained four times each there; Retort trains each network once.

Measurements are lines in FOLDER that a second run goes on from.
"""
import argparse
import collections
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import networks  # noqa: E402

EPOCHS = 5
IMAGES = 40_000
UNITS = 4  # choices of dense units in the grid, all alike without a dense layer


def read_speeds(path):
    if not path.exists():
        return {}
    rows = (json.loads(line) for line in path.read_text().splitlines() if line.strip())
    return {row["net"]: row for row in rows}


def measure_retort(path, options, precision):
    known = read_speeds(path)
    missing = [net for net in networks.notebook() if net not in known]
    for start in range(0, len(missing), 9):
        nets = missing[start:start + 9]
        print(f"retort, {precision}: {len(networks.notebook()) - len(missing) + start} of {len(networks.notebook())}",
              file=sys.stderr)
        command = [options.retort, "bench", "train", "--nets", ",".join(nets), "--seconds", str(options.retort_seconds),
                   "--json", "--quiet"]
        if options.data:
            command += ["--data", options.data]
        if precision != "float32":
            command += ["--precision", precision]
        rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        with path.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def measure_keras(path, options):
    subprocess.run([options.python, Path(__file__).parent / "peers" / "keras_train.py", "--nets", "notebook",
                    "--batches", "32", "--modes", "together", "--variants", "fit", "--seconds", "2",
                    "--limit", str(options.keras_limit), "--append", path], check=True, stdout=sys.stderr)


def seconds_of(row):
    return EPOCHS * IMAGES / row["images_per_second"]


def times_in_notebook(net):
    return UNITS if networks.student_config(net)[3] == 0 else 1


def report(keras, sides):
    """The report's text. keras: rows by network; sides: the same of Retort by precision. Networks that were not
    measured on all sides are left out on all, and their number is said."""
    nets = [net for net in networks.notebook() if net in keras and all(net in side for side in sides.values())]
    if not nets:
        raise ValueError("no network was measured on all sides yet")
    everything = len(networks.notebook())
    text = "" if len(nets) == everything else f"So far {len(nets)} of {everything} networks.\n\n"
    once = sum(seconds_of(keras[net]) for net in nets)
    twins = sum(seconds_of(keras[net]) * times_in_notebook(net) for net in nets)
    configurations = sum(map(times_in_notebook, nets))
    hours = 1 / 3600
    text += f"| {EPOCHS} epochs of {IMAGES:,} images | hours | of Keras's for the same {len(nets)} | of Keras's for its {configurations} |\n"
    text += "|---|---|---|---|\n"

    def line(name, seconds):
        return f"| {name} | {seconds * hours:.2f} | {seconds / once:.3f} | {seconds / twins:.3f} |\n"

    text += line(f"Keras, {configurations} configurations", twins)
    text += line(f"Keras, {len(nets)} networks", once)
    for precision, side in sides.items():
        text += line(f"Retort, {precision}, {len(nets)} networks", sum(seconds_of(side[net]) for net in nets))
    if "float32" in sides:
        text += line("float32 multiply-adds at the peak alone",
                     sum(seconds_of(sides["float32"][net]) * sides["float32"][net]["fma_fraction"] for net in nets))
    text += f"\nNot training the {configurations - len(nets)} twins alone leaves {once / twins:.3f} of Keras's time.\n\n"

    families = collections.defaultdict(list)
    for net in nets:
        families[net.rsplit("_", 1)[0]].append(net)
    text += "| blocks, layers, filters (with all dense layers) | Keras, s |" + \
        "".join(f" Retort {precision}, s | share |" for precision in sides) + "\n"
    text += "|---|---|" + "---|---|" * len(sides) + "\n"
    for family, members in families.items():
        peer = sum(seconds_of(keras[net]) for net in members)
        text += f"| {family} | {peer:,.0f} |"
        for side in sides.values():
            ours = sum(seconds_of(side[net]) for net in members)
            text += f" {ours:,.0f} | {ours / peer:.2f} |"
        text += "\n"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--retort", help="the program; without it nothing of Retort is measured")
    parser.add_argument("--python", help="a Python with TensorFlow; without it nothing of Keras is measured")
    parser.add_argument("--precisions", default="float32", help="of Retort: float32,bfloat16")
    parser.add_argument("--data", help="as of `retort bench train`")
    parser.add_argument("--retort-seconds", type=float, default=1)
    parser.add_argument("--keras-limit", type=float, default=6, help="seconds for each network")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    keras_path = options.folder / "keras.jsonl"
    paths = {name: options.folder / f"retort-{name}.jsonl" for name in options.precisions.split(",")}
    try:
        for precision, path in paths.items():
            if options.retort:
                measure_retort(path, options, precision)
        if options.python:
            measure_keras(keras_path, options)
        text = report(read_speeds(keras_path), {name: read_speeds(path) for name, path in paths.items()})
    except (subprocess.CalledProcessError, ValueError) as error:
        sys.exit(str(error))
    (options.folder / "report.md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
