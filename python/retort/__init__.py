"""Searches, distils, prunes and quantises neural networks for microcontrollers.

    import retort

    result = retort.search("out", x_train, y_train, preset="micro", flash="64K", time="10m")
    pandas.DataFrame(result.trials)
    result.evaluate(x_test, y_test).accuracy

The options are those of `retort search`, with underscores: `retort.search_options()` lists them.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# OpenMP reads how its threads wait as it is loaded: not at full speed, or a busy machine loses time. For this import
# alone, and not where someone has decided.
_undecided = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
if _undecided:
    os.environ["GOMP_SPINCOUNT"] = "1000"
try:
    from . import _retort
finally:
    if _undecided:
        del os.environ["GOMP_SPINCOUNT"]

from ._progress import Bar, Listener
from ._results import Evaluation, Result
from ._retort import InfeasibleError, RetortError, StoppedError, UsageError, __version__

__all__ = [
    "Evaluation",
    "InfeasibleError",
    "Result",
    "RetortError",
    "StoppedError",
    "UsageError",
    "__version__",
    "evaluate",
    "inspect",
    "load",
    "search",
    "search_options",
]

Model = str | os.PathLike | bytes
"""A .tflite file's path or its bytes."""


def search(
    folder: str | os.PathLike,
    x_train: ArrayLike | None = None,
    y_train: ArrayLike | None = None,
    x_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
    *,
    data: str | None = None,
    classes: Sequence[str] | None = None,
    progress: bool | Callable[[dict[str, Any]], None] = True,
    **options: Any,
) -> Result:
    """Runs the search in `folder`, or goes on with it where there is one.

    x_train: images x height x width x channels (or without channels), uint8 or float32; y_train: a number from 0 for
    each, or one-hot rows. Without x_test and y_test a part of the training images is set aside. `data`, in place of
    arrays: what --data takes, "fashion-mnist" or "images:photos?size=32x32". `classes` names the classes of arrays.

    `options`: those of `retort search` with underscores (`search_options()`): time="10m", flash="64K",
    explore_epochs=3, filters=[8, 16]; True for one without a value; None is as if it were not given.

    progress: True shows a tqdm bar where tqdm is installed; a function is called a few times a second with a dict.
    Messages go to logging.getLogger("retort"). Ctrl-C (or a notebook's stop) ends the search in order: what is finished
    is kept, and the same call goes on from there.
    """
    by_arrays = x_train is not None or y_train is not None or x_test is not None or y_test is not None
    if (data is not None) == by_arrays or (by_arrays and (x_train is None or y_train is None)):
        raise UsageError("give either x_train and y_train (perhaps x_test and y_test too) or data")
    if data is not None and classes is not None:
        raise UsageError("classes is for arrays: data brings its own names")
    words = _words(options)
    folder = Path(folder)
    spec = data if data is not None else f"npy:{folder / 'data'}"  # where arrays are kept
    call = _retort.Search(str(folder), words, shlex.join(["retort", "search", str(folder), "--data", spec, *words]))
    bar = Bar() if progress is True else None
    listener = Listener(bar if bar is not None else progress if callable(progress) else None)
    finished = False
    try:
        if data is not None:
            found = call.run_on_spec(data, listener)
        else:
            found = call.run_on_arrays(
                _named(x_train), _named(y_train), _named(x_test), _named(y_test), [str(name) for name in classes or []],
                listener,
            )
        finished = True
    finally:
        if bar is not None:
            bar.close(finished)
    return Result(folder, json.loads(found))


def load(folder: str | os.PathLike) -> Result:
    """What the folder of a search holds, finished or not."""
    return Result(Path(folder), json.loads(_retort.load(str(folder))))


def evaluate(
    model: Model,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    value_range: tuple[float, float] | None = None,
    threads: int = 0,
) -> Evaluation:
    """Runs an int8 model as a microcontroller would, to the bit.

    x: images as the model takes them. uint8: a byte b stands for b / 255. float32: `value_range` says which values the
    bytes 0 and 255 stand for (Result.evaluate knows). y: a number from 0 for each. threads: 0 for all cores.
    """
    images = np.asarray(x)
    if images.dtype == np.float32:
        if value_range is None:
            raise UsageError("x is float32: value_range=(low, high) must say what the bytes 0 and 255 stand for")
        images = _retort.to_bytes(np.ascontiguousarray(images), *value_range)
    elif images.dtype != np.uint8:
        raise UsageError(f"x has dtype {images.dtype}; images are uint8 or float32")
    elif value_range is not None:
        raise UsageError("value_range is for float32 images, and x is uint8")
    content, name = _model(model)
    outputs, accuracy, seconds = _retort.evaluate(
        content, name, np.ascontiguousarray(images), None if y is None else _labels(y), threads
    )
    return Evaluation(outputs, accuracy, seconds)


def inspect(
    model: Model, *, board: str | None = None, boards: str | os.PathLike | None = None, runtime: str | None = None
) -> dict[str, Any]:
    """Operators, shapes, MACs, flash and arena to the byte, what is not supported: `retort inspect --json`."""
    content, name = _model(model)
    return json.loads(_retort.inspect(content, name, _words({"board": board, "boards": boards, "runtime": runtime})))


def search_options() -> dict[str, str]:
    """Each option of `search` with its words of help."""
    options = {}
    for name, kind, description, default in _retort.search_options():
        text = f"{kind}: {description}" if kind else description
        options[name] = f"{text} [{default}]" if default else text
    return options


def _words(options: dict[str, Any]) -> list[str]:
    """Options as words of a command line, which reads and checks them."""
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(flag)
        elif name == "config" and not isinstance(value, str):
            words += [f"{flag}={one}" for one in value]
        elif isinstance(value, (list, tuple, range)):
            words.append(f"{flag}={','.join(str(one) for one in value)}")
        else:
            words.append(f"{flag}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    return words


def _named(array: ArrayLike | None) -> tuple[np.ndarray, str] | None:
    """For the module: memory in C order and in the machine's byte order, and NumPy's name of the type."""
    if array is None:
        return None
    values = np.asarray(array)
    name = values.dtype.newbyteorder("<").str
    if values.dtype.kind not in "uifb" or values.dtype.itemsize > 8:
        # Nothing that the module could look into: its name is enough for the sentence.
        return np.zeros(values.shape, np.uint8), name
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    return values.view(np.uint8) if values.dtype == bool else values, name


def _labels(y: ArrayLike) -> np.ndarray:
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif labels.ndim == 2 and ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all():
        labels = labels.argmax(axis=1)  # one-hot rows
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        raise UsageError(
            f"y has dtype {labels.dtype} and shape {labels.shape}; labels are N integers or N x classes one-hot rows"
        )
    if labels.size and (labels.min() < 0 or labels.max() > 65534):
        raise UsageError(f"y has labels from {labels.min()} to {labels.max()}; they are 0 to 65534")
    return np.ascontiguousarray(labels, np.uint16)


def _model(model: Model) -> tuple[bytes, str]:
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model), "the model"
    path = str(Path(model))
    return _retort.read_model(path), path
