"""Runs that a baseline builds on: refused where they would leak, and copied. See also test_fit."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist.baselines.members import check_member, copy_model
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.inference.predictor import load_logits

IMAGES = np.random.default_rng(0).integers(256, size=(4, 28, 28)).astype(np.uint8)
SAME, OTHER = "same files", {"train-images-idx3-ubyte": "0"}
LEAK = r"was trained on images that are validation here; make both with the same --data\.split_seed"


@pytest.mark.parametrize(
    ("split_seed", "val", "files", "message"),
    [
        (0, 100, SAME, None), (0, 60, SAME, None), (3, 0, SAME, None), (1, 100, SAME, LEAK),
        (0, 101, SAME, LEAK), (0, 100, OTHER, r"was trained on other files than those of --data\.root"),
    ],
)  # fmt: skip
def test_a_run_that_was_trained_on_validation_images_or_other_files_is_refused(
    network: Run, split_seed: int, val: int, files: Any, message: str | None
) -> None:
    digests = network.record["data_sha256"] if files == SAME else files
    arguments: Any = (network, "--blend", digests, {"split_seed": split_seed, "val": val})
    if message is None:
        check_member(*arguments)
        return
    with pytest.raises(InputError, match=message):
        check_member(*arguments)


@pytest.mark.parametrize("has_links", [True, False])
def test_a_copied_model_needs_nothing_of_its_run(
    network: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    copy = tmp_path / "copy"
    expected = load_logits(network.path)(IMAGES)
    copy_model(network, copy)
    checkpoint = Path("checkpoints", "best.ckpt")
    assert {str(path.relative_to(copy)) for path in copy.rglob("*.*")} == {"config.yaml", str(checkpoint)}
    assert (copy / checkpoint).samefile(network.path / checkpoint) == has_links
    for name in ("config.yaml", checkpoint):
        (network.path / name).unlink()
    assert np.array_equal(load_logits(copy)(IMAGES), expected)
