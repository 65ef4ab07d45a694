import _thread
import json
import logging
import subprocess
import sys
import threading
import time

import numpy as np
import pandas
import pytest

import retort
from conftest import SMALL, make


def test_finds_a_model_and_tells_all_of_it(result):
    assert len(result.trials) == 4
    assert result.counts["complete"] == 4
    assert result.best["accuracy_int8"] > 0.5
    assert result.model[4:8] == b"TFL3"
    assert len(result.model) == result.best["flash_bytes"]
    assert (result.folder / "best" / "c").is_dir()
    assert result.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "out" in repr(result) and "4 trials" in repr(result)


def test_trials_are_a_table(result):
    table = pandas.DataFrame(result.trials)
    assert list(table["number"]) == [0, 1, 2, 3]
    assert table["accuracy_int8"].dtype == float and table["flash_bytes"].dtype == int
    assert set(table["effort"]) == {"full"} and set(table["outcome"]) == {"complete"}
    best = table.set_index("number").loc[result.best["trial"]]
    assert best["accuracy_int8"] == pytest.approx(result.best["accuracy_int8"], abs=1e-6)
    assert best["config"] == result.best["config"]
    # The same columns as the file's.
    assert list(table.columns) == (result.folder / "trials.csv").read_text().splitlines()[0].split(",")


def test_load_gives_the_same(result):
    again = retort.load(result.folder)
    assert again.trials == result.trials and again.best == result.best


def test_study_has_every_epoch(result):
    trial = result.study()["trials"][0]
    assert [stage["name"] for stage in trial["stages"]] == ["quick", "distill", "prune", "quantize"]
    assert result.study()["classes"] == ["rows", "columns", "plain"]


def test_the_same_numbers_as_the_command_line(images, tmp_path, request):
    program = request.config.getoption("--program")
    if program is None:
        pytest.skip("--program names no retort to compare with")
    for name, array in zip(("x_train", "y_train", "x_test", "y_test"), images):
        np.save(tmp_path / f"{name}.npy", array)
    words = [f"--{name.replace('_', '-')}={','.join(map(str, v)) if isinstance(v, list) else v}" for name, v in SMALL.items()]
    done = subprocess.run(
        [program, "search", tmp_path / "out", "--data", f"npy:{tmp_path}", "--json", *words],
        capture_output=True, text=True, check=True,
    )
    theirs = json.loads(done.stdout)["best"]
    ours = retort.search(tmp_path / "ours", *images, progress=False, **SMALL).best
    for name in ("accuracy_int8", "accuracy_float", "test_accuracy_int8", "flash_bytes", "config", "footprint"):
        assert theirs[name] == ours[name], name


def test_goes_on_where_it_was_and_refuses_other_data(result, images):
    again = retort.search(
        result.folder, *images, classes=["rows", "columns", "plain"], progress=False, **SMALL
    )
    assert again.trials == result.trials
    with pytest.raises(retort.UsageError, match="holds a search on other data"):
        retort.search(result.folder, *make(300, 5), progress=False, **SMALL)


def test_float_images_and_one_hot_labels(images, tmp_path):
    x_train, y_train, x_test, _ = images
    x = x_train[:, :, :, 0].astype(np.float32) * 2 - 100
    options = SMALL | dict(layers=1, filters=4, top=1)
    found = retort.search(tmp_path / "out", x, np.eye(3)[y_train], progress=False, **options)
    assert found.study()["range"] == {"low": x.min(), "high": x.max()}
    test = x_test[..., 0].astype(np.float32) * 2 - 100
    as_floats = found.evaluate(test)
    # What the values became.
    low, high = x.min(), x.max()
    as_bytes = np.clip(np.round((test.astype(float) - low) * (255 / (float(high) - low))), 0, 255).astype(np.uint8)
    assert (retort.evaluate(found.model_path, as_bytes[..., None]).outputs == as_floats.outputs).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (dict(tim="1m"), "unknown option --tim: did you mean --time\\?"),
        (dict(time="soon"), "--time: .*soon"),
        (dict(gate=2), "--gate"),
        (dict(explore_share=0.5), "--explore-share is without effect"),
        (dict(board="toaster"), "--board: .*toaster"),
        (dict(classes=["a", "b"]), "2 classes are named and the labels have 3"),
        (dict(x_train=np.zeros((360, 8, 8, 1))), "x_train: has dtype <f8; images are uint8 or float32"),
        (dict(x_train=np.zeros((4, 4), np.uint8)), "x_train: has shape \\(4, 4\\)"),
        (dict(y_train=np.zeros(3, int)), "y_train: has 3 labels for 360 images"),
        (dict(y_train=np.array(["a"] * 360)), "y_train: has dtype <U1; labels are integers"),
        (dict(y_test=None), "x_test is given without y_test"),
        (dict(data="fashion-mnist"), "give either x_train and y_train .* or data"),
    ],
)
def test_refuses_with_the_command_lines_sentence(images, tmp_path, change, sentence):
    names = ("x_train", "y_train", "x_test", "y_test")
    arguments = SMALL | dict(zip(names, images)) | change
    with pytest.raises(retort.UsageError, match=sentence) as caught:
        retort.search(tmp_path / "out", progress=False, **arguments)
    assert isinstance(caught.value, ValueError)
    assert not (tmp_path / "out").exists()


def test_says_that_nothing_fits(images, tmp_path):
    with pytest.raises(retort.InfeasibleError):
        retort.search(tmp_path / "out", *images, progress=False, flash="1K", **SMALL)


def test_tells_progress(images, tmp_path, caplog):
    said = []
    with caplog.at_level(logging.INFO, logger="retort"):
        retort.search(tmp_path / "out", *images, progress=said.append, **SMALL)
    assert said[-1]["phase"] == "finalists" and said[-1]["complete"] == 4
    assert said[-1]["best"]["accuracy_int8"] > 0.5
    assert any("Config" in message or "Accuracy" in message for message in caplog.messages), caplog.messages


def test_shows_a_bar_where_tqdm_is(images, tmp_path, capsys):
    pytest.importorskip("tqdm")
    retort.search(tmp_path / "out", *images, **(SMALL | dict(layers=1, filters=4, top=1)))
    assert "100%" in capsys.readouterr().err


def test_an_error_of_the_listener_stops_the_search_and_keeps_the_study(images, tmp_path):
    def listener(status):
        if status["complete"] >= 1:
            raise LookupError("enough")

    options = SMALL | dict(quick_epochs=40, distill_epochs=200, quick_patience=40, workers=1)
    with pytest.raises(LookupError, match="enough"):
        retort.search(tmp_path / "out", *images, progress=listener, **options)
    assert len(retort.load(tmp_path / "out").trials) >= 1


def test_an_interrupt_stops_in_order_and_the_same_call_goes_on(images, tmp_path):
    options = SMALL | dict(distill_epochs=1200, workers=1)
    begun = threading.Event()

    def interrupt():
        begun.wait(60)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        retort.search(
            tmp_path / "out", *images,
            progress=lambda status: begun.set(), **options,
        )
    thread.join()
    assert retort.load(tmp_path / "out").best is None
    assert (tmp_path / "out" / "report.html").exists()
    again = retort.search(tmp_path / "out", *images, progress=False, **options)
    assert again.counts["complete"] == 4


def test_other_threads_go_on_while_it_trains(images, tmp_path):
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.monotonic()
    retort.search(tmp_path / "out", *images, progress=False, **SMALL)
    ended = time.monotonic()
    stop.set()
    thread.join()
    # With the interpreter's lock held there would be none.
    assert sum(began < at < ended for at in ticks) > 10


def test_its_options_are_the_programs():
    options = retort.search_options()
    assert {"time", "flash", "preset", "explore_epochs", "qat_keep", "storage"} <= options.keys()
    assert not {"data", "json", "quiet", "help"} & options.keys()
    assert options["top"].startswith("N: finalists")


def test_leaves_the_environment_as_it_was():
    script = "import os, retort; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
