"""The process that resolves commands: what it prints holds nothing up, and its end is reported with it."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fmnist.studies.resolver import Resolver

ROOT = Path(__file__).parents[2]


def test_a_network_that_prints_much_does_not_hold_up_the_resolver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loud.py").write_text(
        "from fmnist.models.lenet5 import LitLeNet5\n"
        "class Loud(LitLeNet5):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        print('x' * 100_000)  # more than a pipe holds\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    with Resolver() as resolver, ThreadPoolExecutor() as threads:
        resolved = threads.submit(resolver.resolve, ["scripts/train.py", "--model", "loud.Loud"])
        try:
            assert resolved.result(timeout=120).config["model"]["class_path"] == "loud.Loud"
        finally:
            resolver.close()


def test_an_end_is_reported_with_the_last_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies of the first import that parsing needs, as importing the real one takes seconds."""
    (tmp_path / "torch.py").write_text(
        "import os, sys\nprint('the last words', file=sys.stderr, flush=True)\nos._exit(1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    with Resolver() as resolver:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="has ended:") as error:
                resolver.resolve(["scripts/train.py"])
            assert str(error.value).count("the last words") == 1
            resolver.close()
