"""Three classes of 8x8 images in noise, and a search of seconds over them. --program: a retort to compare with."""

import numpy as np
import pytest

import retort

SMALL = dict(
    preset="notebook", time="none", teacher="none", curriculum="none", blocks=1, layers=[1, 2], filters=[4, 8],
    dense=0, units=8, quick_epochs=2, distill_epochs=2, qat_epochs=1, gate=0.2, batch=16, prune_update_every=2,
    seeds=1, top=2,
)


def pytest_addoption(parser):
    parser.addoption("--program", help="the command line's program")


def make(count, seed):
    rng = np.random.default_rng(seed)
    patterns = np.stack([np.indices((8, 8))[0] % 2, np.indices((8, 8))[1] % 2, np.zeros((8, 8), int)])
    labels = np.arange(count) % 3
    images = (patterns[labels] * 90 + rng.integers(0, 130, (count, 8, 8))).astype(np.uint8)
    return images[..., None], labels


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETORT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def images():
    """x_train, y_train, x_test, y_test."""
    return *make(360, 1), *make(90, 2)


@pytest.fixture(scope="session")
def result(images, tmp_path_factory):
    return retort.search(
        tmp_path_factory.mktemp("search") / "out", *images, classes=["rows", "columns", "plain"], progress=False, **SMALL
    )
