"""What every test shares: the drawn data set, the published one where it is, and the marks' conditions."""

import os
from collections.abc import Callable, Iterator

os.environ["MPLBACKEND"] = "Agg"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core for each worker

from pathlib import Path
from typing import Any

import pytest

from fmnist.core.errors import InputError
from fmnist.data import source
from tests.browser import chromium
from tests.synthetic import write_synthetic


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that no worker is left alone with them at the end."""
    items.sort(key=lambda item: "tests/faults/" not in item.nodeid)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("real_data"):
        _published_folder()
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device on this machine")


@pytest.fixture(scope="session", autouse=True)
def _no_waits_for_the_disk() -> Iterator[None]:
    """Let files stay in the system's memory; tests of flushing have an ``os.fsync`` of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def synthetic_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small drawn data set: 600 training and 200 test images."""
    return write_synthetic(tmp_path_factory.mktemp("synthetic"), train_size=600, test_size=200)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the published files; skips the test where they are not on this machine."""
    return _published_folder()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser; skips the test where there is none."""
    with chromium() as started:
        yield started


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that calls a ``main`` with words that it must refuse, and returns the message."""

    def call(main: Callable[[list[str]], object], *words: object) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        assert stop.value.code == 2
        return capsys.readouterr().err

    return call


def _published_folder() -> Path:
    try:
        folder = source.find(Path(__file__).parents[1] / "data")
    except InputError as error:
        pytest.skip(str(error))
    if folder is None:
        pytest.skip("the published data are not on this machine: make data")
    if (folder / source.SUMS).exists():
        pytest.skip(f"{folder} holds a set of its own, not the published data")
    return folder
