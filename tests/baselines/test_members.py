"""Runs that a baseline is made of: found, checked, kept."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist.baselines import members
from fmnist.baselines.members import check_member, find_member, keep_model, load_model
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.models.loading import in_batches, load_classifier

IMAGES = np.random.default_rng(0).integers(256, size=(4, 28, 28)).astype(np.uint8)


def test_a_run_or_the_newest_of_a_name(network: Run) -> None:
    assert find_member(str(network.path), "--blend").path == network.path
    assert find_member(str(network.path.parent), "--blend").path == network.path


@pytest.mark.parametrize("status", ["running", "failed", "stopped"])
def test_an_unfinished_run_is_refused(network: Run, status: str) -> None:
    network.update(status=status)
    with pytest.raises(InputError, match=rf"^--blend \S+: is {status}, and only a finished run will do"):
        find_member(str(network.path), "--blend")
    with pytest.raises(InputError, match=r"^--blend \S+: holds no finished run"):
        find_member(str(network.path.parent), "--blend")


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"split_seed": 0, "val": 100}, None),
        ({"split_seed": 0, "val": 60}, None),
        ({"split_seed": 3, "val": 0}, None),
        ({"split_seed": 1, "val": 100}, "validation here; make both with the same --data.split_seed"),
        ({"split_seed": 0, "val": 101}, "validation here; make both with the same --data.split_seed"),
    ],
)
def test_a_run_that_has_seen_the_validation_set_is_refused(
    network: Run, split: dict[str, Any], said: str | None
) -> None:
    digests = network.record["data_sha256"]
    if said is None:
        check_member(network, "--blend", digests, split)
        return
    with pytest.raises(InputError, match=said):
        check_member(network, "--blend", digests, split)


def test_other_files_are_refused(network: Run) -> None:
    with pytest.raises(InputError, match=r"was trained on other files than those of --data\.root"):
        check_member(network, "--blend", {"train-images-idx3-ubyte": "0"}, network.record["split"])


def test_a_kept_model_answers_alone(network: Run, tmp_path: Path) -> None:
    expected = in_batches(load_classifier(network.path).evaluation_logits, IMAGES)
    keep_model(network, tmp_path / "kept")
    files = {str(path.relative_to(tmp_path / "kept")) for path in (tmp_path / "kept").rglob("*.*")}
    assert files == {"config.yaml", "checkpoints/best.ckpt"}
    for name in ("config.yaml", "checkpoints/best.ckpt"):
        (network.path / name).unlink()
    assert np.array_equal(load_model(tmp_path / "kept")(IMAGES), expected)


def test_without_hard_links_it_is_copied(
    network: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    keep_model(network, tmp_path / "kept")
    kept, own = (folder / members.BEST for folder in (tmp_path / "kept", network.path))
    assert kept.read_bytes() == own.read_bytes()
    assert not kept.samefile(own)
