import ast
import inspect as python_inspect
import os
import re
from pathlib import Path

import numpy as np
import pytest
from nanobind import stubgen

import retort
from retort import _retort


def test_accuracy_is_the_one_that_was_reported(result, images):
    x_test, y_test = images[2:]
    evaluation = result.evaluate(x_test, y_test)
    assert evaluation.accuracy == pytest.approx(result.best["test_accuracy_int8"])
    assert (evaluation.predictions == y_test).mean() == pytest.approx(evaluation.accuracy)
    assert evaluation.outputs.shape == (90, 3)


def test_outputs_have_the_files_type(result, images):
    x_test = images[2]
    real = retort.evaluate(result.model, x_test).outputs
    assert real.dtype == np.float32
    assert retort.evaluate(result.model_path, x_test, threads=1).accuracy is None


def test_takes_images_that_are_not_contiguous(result, images):
    x_test, y_test = images[2:]
    whole = retort.evaluate(result.model, x_test, y_test)
    assert retort.evaluate(result.model, x_test, np.eye(3)[y_test]).accuracy == whole.accuracy
    assert (retort.evaluate(result.model, x_test[::3]).outputs == whole.outputs[::3]).all()
    assert (retort.evaluate(result.model, np.asfortranarray(x_test)).outputs == whole.outputs).all()


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (np.zeros((2, 9, 8, 1), np.uint8), None, "takes 8x8x1 but x has images of 9x8x1"),
        (np.zeros((0, 8, 8, 1), np.uint8), None, "x has no images"),
        (np.zeros((2, 8, 8, 1), np.uint8), [0], "y has 1 labels for 2 images"),
        (np.zeros((2, 8, 8, 1), np.uint8), [0, -1], "y has labels from -1 to 0"),
        (np.zeros((2, 8, 8, 1), np.uint8), [0.5, 1], "y has dtype float64"),
        (np.zeros((2, 8, 8, 1), np.float32), None, "x is float32: value_range"),
        (np.zeros((2, 8, 8, 1)), None, "x has dtype float64"),
    ],
)
def test_refuses_what_the_model_does_not_take(result, x, y, sentence):
    with pytest.raises(retort.UsageError, match=sentence):
        retort.evaluate(result.model, x, y)


@pytest.mark.parametrize(
    ("x", "value_range", "sentence"),
    [
        ([0, 1, np.nan, 1], (0, 1), "x: image 1 holds NaN \\(value 2 of the file\\); values must be finite"),
        ([0, -np.inf, 0, 1], (0, 1), "x: image 0 holds an infinity"),
        ([0, 1, 0, 1], (-np.inf, 1), "value_range is \\(-inf, 1\\): .* both finite"),
        ([0, 1, 0, 1], (0, np.nan), "value_range is \\(0, nan\\): .* both finite"),
        ([0, 1, 0, 1], (1, 1), "value_range is \\(1, 1\\): the first must be less"),
    ],
)
def test_refuses_values_that_no_byte_stands_for(x, value_range, sentence):
    with pytest.raises(retort.UsageError, match=sentence):
        retort.evaluate(b"not looked at yet", np.array(x, np.float32).reshape(2, 2, 1), value_range=value_range)


def test_makes_no_more_threads_than_there_are_cores(result):
    def most_address_space():
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmPeak:"))
        return int(line.split()[1]) * 1024

    x = np.zeros((5000, 8, 8, 1), np.uint8)
    retort.evaluate(result.model, x)
    before = most_address_space()
    retort.evaluate(result.model, x, threads=10**6)
    assert most_address_space() - before < 5 << 30  # 5000 stacks would be 40 GB


def test_a_model_is_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(retort.UsageError, match="is not a regular file"):
            retort.inspect(path)
        with pytest.raises(retort.UsageError, match="is not a regular file"):
            retort.evaluate(path, np.zeros((1, 8, 8, 1), np.uint8))


def test_inspect_knows_the_cost(result):
    told = retort.inspect(result.model_path)
    assert told["flash_bytes"] == result.best["flash_bytes"]
    assert told["classes"] == ["rows", "columns", "plain"]
    on_board = retort.inspect(result.model, board="nano33ble")
    assert on_board["board"] == "nano33ble" and on_board["fits"]


def test_errors_name_the_model(tmp_path):
    with pytest.raises(retort.RetortError, match="the model: "):
        retort.inspect(b"no model at all")
    with pytest.raises(retort.RetortError, match="none.tflite: cannot be read: No such file"):
        retort.inspect(tmp_path / "none.tflite")
    with pytest.raises(retort.UsageError, match="--board: .*toaster"):
        retort.inspect(b"", board="toaster")
    with pytest.raises(retort.UsageError, match="holds no search|no search"):
        retort.load(tmp_path)


def signatures(stubs):
    """Of every function and method its parameters; of each its default and whether it may be None."""
    found = {}

    def visit(body, place):
        for node in body:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                defaults = [ast.unparse(value) for value in node.args.defaults + node.args.kw_defaults if value]
                found[place + node.name] = defaults, [
                    (argument.arg, bool(argument.annotation) and "| None" in ast.unparse(argument.annotation))
                    for argument in arguments
                ]

    visit(ast.parse(stubs).body, "")
    return found


def test_the_stubs_are_those_of_the_module():
    generator = stubgen.StubGen(_retort)
    generator.put(_retort)
    package = Path(retort.__file__).parent
    assert signatures((package / "_retort.pyi").read_text()) == signatures(generator.get())
    errors = {name for name, value in vars(_retort).items() if isinstance(value, type) and issubclass(value, Exception)}
    named = set(re.findall(r"^class (\w+)\(.*Error", (package / "_retort.pyi").read_text(), re.MULTILINE))
    assert named == errors and errors
    assert (package / "py.typed").exists()


def test_everything_public_is_explained():
    for name in retort.__all__:
        if not name.startswith("__"):
            assert python_inspect.getdoc(getattr(retort, name)), name
