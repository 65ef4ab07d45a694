"""Joins what `./dev bench` measured in FOLDER into one table: printed, and in FOLDER/table.md and table.json.

FOLDER holds retort.json and, as far as they were measured, retort-bfloat16.json, keras.jsonl and pytorch.jsonl.
"""
import argparse
import datetime
import json
import sys
from pathlib import Path

# What we aim at: images/s against the better peer, in float32 and in bfloat16.
FLOORS = {"s11_16": (6, None), "s21_16": (2.4, None), "s22_32": (1.3, 2), "s32_64": (1.15, 1.8), "teacher": (1.5, 2),
          "ds16": (3.5, None), "ds32": (5, None), "resnet8": (1.5, None), "dscnn": (3, None)}
PLAIN = ("fit", "eager")  # the peers as they are used most


def read_list(path):
    return json.loads(path.read_text()) if path.exists() else []


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.exists() else []


def best(rows, **wanted):
    """The fastest of the rows whose fields are as wanted, or nothing."""
    found = [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]
    return max(found, key=lambda row: row["images_per_second"], default=None)


def speed(row):
    return row["images_per_second"] if row else None


def mode(row):
    """How a peer was fastest: its batch, its processes, its variant unless that is the plain one."""
    words = [f"batch {row['batch']}", f"{row['processes']} × {row['threads']} threads".replace("× 1 threads", "× 1 thread")]
    if row["variant"] not in PLAIN:
        words.append(row["variant"])
    return ", ".join(words)


def join(retort, retort_bfloat16, peers):
    """One dictionary a network, in Retort's order."""
    joined = []
    for ours in retort:
        net = ours["net"]
        for row in peers:
            if row["net"] == net and row["parameters"] != ours["parameters"]:
                raise ValueError(f"{net} has {ours['parameters']} parameters in Retort and {row['parameters']} in "
                                 f"{row['framework']}: they are not the same network")
        row = {"net": net, "retort": ours["images_per_second"], "fma_fraction": ours["fma_fraction"]}
        rivals = [peer for peer in peers if peer["net"] == net]
        for framework in ("keras", "pytorch"):
            row[framework] = best(rivals, framework=framework, precision="float32")
        rival = best(rivals, precision="float32")
        plain = best([peer for peer in rivals if peer["variant"] in PLAIN], precision="float32")
        row["ratio"] = ours["images_per_second"] / speed(rival) if rival else None
        row["plain_ratio"] = ours["images_per_second"] / speed(plain) if plain else None
        row["pytorch_bfloat16"] = best(rivals, framework="pytorch", precision="bfloat16")
        narrow = best(retort_bfloat16, net=net)
        row["retort_bfloat16"] = speed(narrow)
        row["bfloat16_ratio"] = speed(narrow) / speed(rival) if narrow and rival else None
        row["floor"], row["bfloat16_floor"] = FLOORS.get(net, (None, None))
        joined.append(row)
    return joined


def count(value):
    return f"{value:,.0f}" if value else "–"


def times(value):
    return f"{value:.2f}×" if value else "–"


def peer_cell(row):
    return f"{count(speed(row))} ({mode(row)})" if row else "–"


def floor_cell(row):
    if not row["floor"]:
        return "–"
    return f"{row['floor']}×" + (f", {row['bfloat16_floor']}×" if row["bfloat16_floor"] else "")


def markdown(joined):
    # Columns that nothing was measured for are left out.
    columns = [("network", lambda row: row["net"]),
               ("Keras", lambda row: peer_cell(row["keras"])),
               ("PyTorch", lambda row: peer_cell(row["pytorch"])),
               ("Retort", lambda row: count(row["retort"])),
               ("of the peak", lambda row: f"{100 * row['fma_fraction']:.0f} %"),
               ("ratio", lambda row: times(row["ratio"])),
               ("PyTorch, bfloat16", lambda row: peer_cell(row["pytorch_bfloat16"])),
               ("Retort, bfloat16", lambda row: count(row["retort_bfloat16"])),
               ("ratio, bfloat16", lambda row: times(row["bfloat16_ratio"])),
               ("floor", floor_cell)]
    cells = [[title, *(cell(row) for row in joined)] for title, cell in columns]
    cells = [column for column in cells if any(text != "–" for text in column[1:])]
    lines = list(zip(*cells))
    lines.insert(1, ["---"] * len(cells))
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    tuned = [f"{row['net']} {times(row['plain_ratio'])}" for row in joined
             if row["ratio"] and row["plain_ratio"] > row["ratio"]]
    if tuned:
        text += f"\nBeside the peers without their own remedies (Keras's steps_per_execution): {', '.join(tuned)}.\n"
    return text


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "an unknown processor"


def heading(retort):
    first = retort[0]
    peaks = f"{first['peak_gflops']:.0f} GFLOP/s in float32"
    if first["bfloat16_peak_gflops"]:
        peaks += f", {first['bfloat16_peak_gflops']:.0f} in bfloat16"
    return (f"Training images/s on {first['threads']} cores of {processor()} ({first['instruction_set']}), "
            f"{datetime.date.today()}. Multiply-add peak: {peaks}.\nRatios are against the better peer in float32.\n\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    retort = read_list(folder / "retort.json")
    if not retort:
        sys.exit(f"{folder / 'retort.json'} is missing or empty: run ./dev bench")
    peers = read_lines(folder / "keras.jsonl") + read_lines(folder / "pytorch.jsonl")
    try:
        joined = join(retort, read_list(folder / "retort-bfloat16.json"), peers)
    except ValueError as error:
        sys.exit(str(error))
    text = heading(retort) + markdown(joined)
    (folder / "table.md").write_text(text)
    (folder / "table.json").write_text(json.dumps(joined, indent=1) + "\n")
    print(text, end="")


if __name__ == "__main__":
    main()
