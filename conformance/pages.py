"""Opens report.html and the page of `retort data check` in a real Chromium, as a person would.

usage: pages.py [--build FOLDER] [--pictures FOLDER]

A small search on pictures, some of them wrongly labelled, for a board, and the check of a folder with broken and doubled
pictures. In both pages axe-core must find nothing in light and dark (contrast and labels among it) and the console must stay
empty, refusals of the pages' own policies included. In the report every mark of a front must be reached by the tab key and by
the mouse and tell of itself, a click must open its model, and paper must show what is folded. With --pictures the pages are
left there as pictures of several sizes.
"""

import argparse
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np

import _browser
from _small_search import retort, workplace


def png(pixels):
    """A grey picture's file."""
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = pixels.shape
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_pictures(folder):
    """Four classes of 8×8 pictures in noise, whose names want escaping; one in thirty is of another class than its folder's."""
    rng = np.random.default_rng(3)
    row, column = np.indices((8, 8))
    patterns = {"across": row % 2, "down <b>": column % 2, "slanted & 'quoted'": (row + column) % 4 // 2, "still": row * 0}
    names = list(patterns)
    for part, count in (("train", 120), ("test", 30)):
        for label, name in enumerate(names):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                shown = names[(label + 1) % 4] if i % 30 == 7 else name
                pixels = patterns[shown] * 90 + rng.integers(0, 150, (8, 8))
                (folder / part / name / f"{i:03}.png").write_bytes(png(pixels.astype(np.uint8)))


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--pictures", default="")
    arguments, _ = parser.parse_known_args()
    with workplace(__doc__) as (program, work):
        make_pictures(work / "pictures")
        report = work / "out"
        retort(program, "search", str(report), "--data", f"images:{work / 'pictures'}", "--preset", "notebook", "--time",
               "none", "--board", "nano33ble", "--blocks", "1", "--layers", "1,2", "--filters", "4,8,16", "--dense", "0",
               "--quick-epochs", "2", "--distill-epochs", "2", "--qat-epochs", "1", "--gate", "0", "--batch", "16",
               "--teacher-config", "1 block, 1 layer, 16 filters, 0 dense", "--teacher-epochs", "4",
               "--prune-update-every", "2", "--seeds", "2")
        # What `data check` has to tell of, too.
        folder = work / "pictures" / "train" / "still"
        (folder / "broken.png").write_bytes((folder / "000.png").read_bytes()[:60])
        (folder / "nothing.jpg").write_bytes(b"")
        (folder / "copy.png").write_bytes((folder / "001.png").read_bytes())
        page = work / "data.html"
        checked = subprocess.run([program, "data", "check", f"images:{work / 'pictures'}", "--html", str(page)],
                                 capture_output=True, text=True, check=False)
        assert checked.returncode == 1, checked.stderr  # what is broken would stop a training
        _browser.run("pages.mjs", report / "report.html", page, arguments.pictures and Path(arguments.pictures).resolve())


main()
