"""A training that begins with the weights of a run, and one that sees labelled photographs."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.runs import Run
from fmnist.training.train import main
from tests.synthetic import write_photographs
from tests.training.folder import assert_same_checkpoints, checkpoint, equal, rows

STILL = ["--model.optimizer", "sgd", "--model.learning_rate", "1e-20", "--trainer.max_epochs", "1"]
COUNTS = {"Trouser": 6, "Coat": 6, "foreign": 4}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return write_photographs(tmp_path / "photographs", COUNTS)


def test_a_training_begins_with_the_weights_of_a_run(
    train: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    first = train("--name", "first")
    again = train("--name", "again", "--init", str(first.path.parent), "--ema", "0.5", *STILL)
    weights, expected = (
        {name: value for name, value in checkpoint(run).items() if name.endswith(("weight", "bias"))}
        for run in (again, first)
    )
    assert equal(weights, expected)  # of network and average
    assert again.record["init"].keys() == {"run", "version", "sha256", "data_sha256", "split"}
    assert (again.record["init"]["run"], again.record["init"]["version"]) == ("first", 0)
    assert again.config["init"] == str(first.path.parent)  # as written
    assert "begins with the weights of first, version 0" in capsys.readouterr().out
    assert first.record["init"] is None


def test_weights_that_do_not_fit_are_refused(
    tiny: list[str], train: Callable[..., Run], refusal: Callable[..., str]
) -> None:
    run = train("--trainer.max_epochs", "1").path
    other_widths = refusal(*tiny, "--init", run, "--model.widths", "[16, 8]")
    assert "--model.widths [16, 8], there [16]" in other_widths
    lenet = ["--model", "fmnist.models.lenet5.LitLeNet5"]
    assert "--model LitLeNet5: --init " in refusal(*tiny[-10:], *lenet, "--init", run)


@pytest.mark.parametrize("flag", ["--init", "--teachers"])
def test_runs_without_a_finished_network_are_refused(
    tiny: list[str], tmp_path: Path, refusal: Callable[..., str], flag: str
) -> None:
    for name, kind, status in (("svm", "scikit-learn", "finished"), ("going", "lightning", "running")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"kind": kind, "status": status}))
    before = sorted(tmp_path.rglob("*"))
    for name, reason in (
        ("svm", "is a scikit-learn run and holds no network"),
        ("going", "is running, or was killed, and only a finished run has a model"),
        ("none", "is no run folder"),
    ):
        printed = refusal(*tiny, "--logs", tmp_path / "logs", flag, tmp_path / name)
        assert printed.startswith(f"error: {flag} {tmp_path / name}: {reason}")
        assert len(printed.splitlines()) <= 2
    assert sorted(tmp_path.rglob("*")) == before


def test_photographs_are_trained_on_validated_and_recorded(
    train: Callable[..., Run], photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "Coat" / "damaged.png").write_bytes(b"no picture")
    flags = ["--data.photographs", str(photographs), "--data.photograph_val", "0.5"]
    run = train(*flags, "--trainer.max_epochs", "3")
    recorded = run.record["photographs"]
    assert recorded["counts"] == {
        "Coat": {"train": 3, "val": 3, "left_out": 1},
        "Trouser": {"train": 3, "val": 3, "left_out": 0},
        "foreign": {"train": 2, "val": 2, "left_out": 0},
    }
    assert recorded["answers"] == {"Coat": ["Coat"], "Trouser": ["Trouser"], "foreign": "foreign"}
    assert recorded["left_out"].keys() == {"Coat/damaged.png"}
    assert (recorded["folder"], recorded["per_batch"]) == ("photographs", 40)
    printed = capsys.readouterr().out
    assert (
        "8 training photographs, 40 of 100 images a batch, and 6 of known garments for validation" in printed
    )
    assert "1 left out: Coat/damaged.png (" in printed
    curve = [float(row["val/photographs"]) for row in rows(run)]
    assert len(curve) == 3
    assert curve[-1] > 0.6  # of two classes that a network of ten can tell
    best = max(rows(run), key=lambda row: float(row["val/accuracy"]))
    assert run.record["metrics"]["photographs"] == {
        "images": 6,
        "accuracy": pytest.approx(float(best["val/photographs"]), abs=1e-6),
    }
    assert f"photographs {curve[0]:.4f}" in printed
    with np.load(run.path / "predictions" / "photographs.npz") as saved:
        right = np.take_along_axis(saved["targets"], saved["logits"].argmax(1)[:, None], 1)
        assert right.mean() == pytest.approx(run.record["metrics"]["photographs"]["accuracy"], abs=1e-6)
        assert saved["images"].shape == run.photograph_images().shape == (6, 28, 28)
    assert run.record["split"] == {"split_seed": 0, "fold": 0, "train": 500, "val": 100, "test": 200}


@pytest.mark.parametrize("share", ["0.0", "0.5"])
def test_without_validation_images_photographs_may_be_validated(
    train: Callable[..., Run], photographs: Path, share: str
) -> None:
    flags = ["--data.photographs", str(photographs), "--data.photograph_val", share]
    run = train(*flags, "--data.val_size", "0", "--trainer.max_epochs", "1")
    assert ("photographs" in run.record["metrics"]) == (share == "0.5")
    assert "val" not in run.record["metrics"]


@pytest.mark.parametrize("by", [None, signal.SIGTERM])
def test_a_resumed_training_sees_the_same_photographs(
    train: Callable[..., Run],
    interrupted: Callable[..., Run],
    photographs: Path,
    tmp_path: Path,
    refusal: Callable[..., str],
    by: int | None,
) -> None:
    first = train("--name", "first", "--trainer.max_epochs", "1")
    flags = ["--init", str(first.path), "--ema", "0.8", "--data.augmentation.noise", "0.5"]
    flags += ["--data.photographs", str(photographs), "--data.photograph_val", "0.5"]
    whole = train("--name", "whole", *flags)
    cut = interrupted("training_step", 11, by, *flags, *["--checkpoint_minutes", "1e-9"] * (by is None))
    shutil.rmtree(first.path)
    if by is not None:
        moved = tmp_path / "moved" / "photographs"
        shutil.move(photographs, moved)
        picture = moved / "Coat" / "0.png"
        before = picture.read_bytes()
        Image.new("L", (28, 28), 0).save(picture)
        resume = ["--resume", str(cut.path), "--data.photographs", str(moved)]
        assert f"--data.photographs {moved}: {cut.path} was started with others: sha256" in refusal(*resume)
        picture.write_bytes(before)
        main(resume)
    else:
        main(["--resume", str(cut.path)])
    found = Run(cut.path)
    assert found.record["metrics"] == whole.record["metrics"]
    assert_same_checkpoints(found, whole)
    times = {"seconds", "images_per_second"}
    one, other = (
        [{k: v for k, v in row.items() if k not in times} for row in rows(r)] for r in (found, whole)
    )
    assert one == other


def test_photographs_that_cannot_be_used_are_refused(
    tiny: list[str], tmp_path: Path, photographs: Path, refusal: Callable[..., str]
) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "hats" / "hat").mkdir(parents=True)
    shutil.copy(photographs / "Coat" / "0.png", tmp_path / "hats" / "hat")
    logs = ["--logs", tmp_path / "logs"]
    for folder, message in (
        ("none", "cannot be read (No such file or directory)"),
        ("flat", "has no subfolders"),
        ("hats", "no class is known for hat"),
    ):
        printed = refusal(*tiny, *logs, "--data.photographs", tmp_path / folder)
        assert printed.startswith(f"error: --data.photographs {tmp_path / folder}: {message}")
    assert "--data.photograph_classes FILE.yaml" in printed
    printed = refusal(*tiny, "--data.photograph_share", "0.3")
    assert printed == "error: --data.photograph_share 0.3: needs --data.photographs FOLDER\n"
    assert not os.path.exists(tmp_path / "logs")
