"""What a search found, and what a model gave."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Columns of trials.csv that are words, whatever is in them; all others are numbers, None where nothing is known.
_WORDS = {"config", "outcome", "reason", "hash", "file", "effort", "diverged", "recipe"}


@dataclass(frozen=True)
class Evaluation:
    """What an int8 model answered, bit for bit as on the microcontroller."""

    outputs: NDArray
    """images x classes: int8, or float32 where the file ends in a DEQUANTIZE."""
    accuracy: float | None
    """Share of the labels that were met; None without labels."""
    seconds: float

    @property
    def predictions(self) -> NDArray:
        """The class of each image, by number."""
        return self.outputs.argmax(axis=1)


class Result:
    """A search's folder and what is in it."""

    def __init__(self, folder: Path, found: dict[str, Any]) -> None:
        self.folder = folder
        result = found["result"]
        self.best: dict[str, Any] | None = result["best"]
        """Figures of the exported model, as `retort search --json` has them; None while there is none."""
        self.top: list[dict[str, Any]] = result["top"]
        self.teacher: dict[str, Any] = result["teacher"]
        self.counts: dict[str, int] = result["trials"]
        """Trials by outcome."""
        self.seconds: float = result["seconds"]
        self.trials: list[dict[str, Any]] = _rows(found["trials_csv"])
        """One dict a trial with the columns of trials.csv: pandas.DataFrame(result.trials)."""

    @property
    def model_path(self) -> Path:
        """The best model, a .tflite file; best/c beside it holds its C code."""
        return self.folder / "best" / "model.tflite"

    @property
    def model(self) -> bytes:
        return self.model_path.read_bytes()

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    def study(self) -> dict[str, Any]:
        """Everything that is known of the search, with each epoch of each trial: study.json."""
        return json.loads((self.folder / "study.json").read_text(encoding="utf-8"))

    def evaluate(self, x: ArrayLike, y: ArrayLike | None = None, *, threads: int = 0) -> Evaluation:
        """The best model on images like those of the search; float32 ones as its training data was scaled."""
        from . import evaluate

        images = np.asarray(x)
        scale = self.study()["range"]
        value_range = (scale["low"], scale["high"]) if images.dtype == np.float32 else None
        return evaluate(self.model_path, images, y, value_range=value_range, threads=threads)

    def __repr__(self) -> str:
        if self.best is None:
            return f"<retort.Result {str(self.folder)!r}: no model yet, {len(self.trials)} trials>"
        return (
            f"<retort.Result {str(self.folder)!r}: {self.best['accuracy_int8']:.2%} int8 on validation, "
            f"{self.best['flash_bytes']:,} bytes, {self.best['config']}, {len(self.trials)} trials>"
        )


def _rows(text: str) -> list[dict[str, Any]]:
    return [{name: _value(name, field) for name, field in row.items()} for row in csv.DictReader(io.StringIO(text, newline=""))]


def _value(name: str, field: str) -> Any:
    if name in _WORDS:
        return field
    if field == "":
        return None
    for number in (int, float):
        try:
            return number(field)
        except ValueError:
            pass
    return field  # of a column that is new
