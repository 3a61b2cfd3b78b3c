"""A training that learns from the networks of finished runs: ``--teachers``."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from fmnist.core.runs import Run
from fmnist.models.loading import load_classifier
from fmnist.training.finished import validation_warnings
from fmnist.training.train import main
from tests.synthetic import write_photographs
from tests.training.folder import assert_same_checkpoints, checkpoint, equal, interruption, rows

MLP_COST = 784 * 16 + 16 * 10  # multiply-adds of an image


def test_a_network_learns_from_runs(train: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    first = train("--name", "first", "--model.flip_average", "true")
    plain = train("--name", "plain")
    capsys.readouterr()
    taught = train("--name", "taught", "--teachers", f"[{first.path.parent}, lenet5]")
    printed = capsys.readouterr()
    expected = "the network learns from first, version 0 and lenet5 (90 % of the loss, temperature 1)"
    assert f"{expected}\n" in printed.out

    assert {key: taught.config[key] for key in ("teachers", "teacher_weight", "teacher_temperature")} == {
        "teachers": [str(first.path), "lenet5"],
        "teacher_weight": 0.9,
        "teacher_temperature": 1.0,
    }
    mlp, lenet = taught.record["teachers"]
    assert (mlp["run"], mlp["version"], mlp["split"]) == ("first", 0, first.record["split"])
    assert (lenet["run"], lenet["version"]) == ("lenet5", -1)
    assert mlp["multiply_adds"] == 2 * MLP_COST  # each image and its mirror image
    cost = 3 * MLP_COST + 2 * MLP_COST + lenet["multiply_adds"]
    assert taught.record["training_multiply_adds"] == 2 * 500 * cost
    assert plain.record["teachers"] is None
    assert plain.config["teacher_weight"] is None

    assert checkpoint(taught).keys() == checkpoint(plain).keys()
    assert not equal(checkpoint(taught, "last"), checkpoint(plain, "last"))
    shutil.rmtree(first.path)
    assert equal(load_classifier(taught.path).state_dict(), checkpoint(taught))
    assert [row["val/loss"] for row in rows(taught)] != [row["val/loss"] for row in rows(plain)]


def test_of_several_runs_the_newest_finished_one_teaches_and_stays_the_teacher(
    train: Callable[..., Run],
) -> None:
    train("--name", "first")
    second = train("--name", "first", "--seed_everything", "1")
    taught = train("--name", "taught", "--teachers", str(second.path.parent), "--teacher_temperature", "2")
    assert taught.config["teachers"] == [str(second.path)]
    train("--name", "first", "--seed_everything", "2")
    again = main(["--config", str(taught.path / "config.yaml")])
    assert again is not None
    assert equal(checkpoint(again, "last"), checkpoint(taught, "last"))


SPLIT = {"split_seed": 0, "fold": 0, "train": 500, "val": 100}
OTHER_SPLIT = "with another split, which may use validation images of this run"


@pytest.mark.parametrize(
    ("split", "digest", "reason"),
    [
        ({}, "1", None),
        ({"train": 300}, "1", None),
        ({"val": 200}, "1", None),  # the student's validation images, and more
        ({"val": 50}, "1", OTHER_SPLIT),
        ({"fold": 1}, "1", OTHER_SPLIT),
        ({"split_seed": 1}, "1", OTHER_SPLIT),
        ({}, "0", "on other data files"),
    ],
)
def test_a_teacher_that_may_have_seen_validation_images_is_named(
    split: dict[str, int], digest: str, reason: str | None
) -> None:
    teacher = {"run": "first", "version": 0, "split": SPLIT | split, "data_sha256": {"images": digest}}
    warnings = list(validation_warnings([teacher], {"images": "1"}, SPLIT))
    too_high = "so the validation accuracy of this run may be too high"
    expected = [] if reason is None else [f"warning: first, version 0 was trained {reason}, {too_high}"]
    assert warnings == expected
    assert not list(validation_warnings([teacher], {"images": "1"}, SPLIT | {"val": 0}))


@pytest.mark.parametrize("flag", ["--teachers", "--init"])
def test_a_training_warns_of_the_runs_that_it_builds_on(
    train: Callable[..., Run], capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    first = train("--name", "first", "--trainer.max_epochs", "1", "--data.fold", "1")
    capsys.readouterr()
    train(flag, str(first.path), "--trainer.max_epochs", "1")
    assert f"warning: first, version 0 was trained {OTHER_SPLIT}, so " in capsys.readouterr().err


def test_a_run_does_not_teach_the_next_one_of_its_name(
    tiny: list[str], train: Callable[..., Run], tmp_path: Path, refusal: Callable[..., str]
) -> None:
    first = train("--name", "mlp", "--trainer.max_epochs", "1")
    folder = first.path.parent
    for logs, path in ((folder.parent, folder), (folder / "..", f"[lenet5, {folder}/]")):
        refused = refusal(*tiny, "--logs", logs, "--name", "mlp", "--teachers", path)
        assert f"error: --teachers {folder}" in refused
        assert "name the version, or give this run another --name\n" in refused
    assert [run.path for run in Run.all(folder)] == [first.path]
    for flags in (["--teachers", str(folder)], ["--name", "mlp", "--teachers", str(first.path)]):
        assert train(*flags, "--trainer.max_epochs", "1").config["teachers"] == [str(first.path)]


def test_a_resumed_training_has_the_same_teachers(
    train: Callable[..., Run],
    interrupted: Callable[..., Run],
    tmp_path: Path,
    refusal: Callable[..., str],
) -> None:
    first = train("--name", "first", "--trainer.max_epochs", "1")
    other = train("--name", "other", "--trainer.max_epochs", "1", "--seed_everything", "1")
    photographs = write_photographs(tmp_path / "photographs", {"Trouser": 6, "Coat": 6, "foreign": 4})
    flags = ["--teachers", f"[{first.path.parent}, {other.path}]", "--teacher_temperature", "3"]
    flags += ["--ema", "0.8", "--data.augmentation.mixup", "0.5", "--data.photographs", str(photographs)]
    whole = train("--name", "whole", *flags)
    cut = interrupted("training_step", 4, None, *flags, "--checkpoint_minutes", "1e-9")
    train("--name", "first", "--trainer.max_epochs", "1", "--seed_everything", "2")  # newer, and no teacher
    resume = ["--resume", str(cut.path)]
    with interruption("training_step", 11, signal.SIGTERM):
        main(resume)
    moved = Path(shutil.move(first.path, tmp_path / "moved"))
    assert f"--teachers {first.path}: is no run folder" in refusal(*resume)
    changed = refusal(*resume, "--teachers", f"[{other.path}, {other.path}]")
    assert f"--teachers {other.path} {other.path}: {cut.path} was started with other weights" in changed
    main([*resume, "--teachers", f"[{moved}, {other.path}]"])
    found = Run(cut.path)
    assert found.record["metrics"] == whole.record["metrics"]
    assert found.record["training_multiply_adds"] == whole.record["training_multiply_adds"]
    assert_same_checkpoints(found, whole)


def test_teachers_are_compiled_with_the_network(
    train: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train("--name", "first", "--trainer.max_epochs", "1")
    compiled: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda network: compiled.append(type(network).__name__))
    train("--teachers", f"[{first.path}, lenet5]", "--model.compile", "true")
    assert compiled == ["MLP", "MLP", "LeNet5"]


def test_teachers_that_cannot_teach_are_refused(
    tiny: list[str], train: Callable[..., Run], tmp_path: Path, refusal: Callable[..., str]
) -> None:
    run = train("--name", "first", "--trainer.max_epochs", "1").path
    before = sorted(tmp_path.rglob("*"))
    logs = ["--logs", tmp_path / "logs"]
    for flags, message in (
        (["--teachers", f"[{run}, {tmp_path}/none]"], f"--teachers {tmp_path}/none: is no run folder"),
        (["--teachers", run, "--teacher_weight", "0"], "--teacher_weight 0.0: must be above 0 and at most 1"),
        (["--teachers", run, "--teacher_weight", "x"], "--teacher_weight x: must be float"),
        (["--teachers", run, "--teacher_temperature", "-1"], "--teacher_temperature -1.0: must be above 0"),
        (["--teacher_weight", "0.9"], "--teacher_weight 0.9: needs --teachers RUN"),
        (["--teacher_temperature", "1"], "--teacher_temperature 1.0: needs --teachers RUN"),
    ):
        printed = refusal(*tiny, *logs, *flags)
        assert printed.startswith(f"error: {message}")
        assert len(printed.splitlines()) <= 2
    assert sorted(tmp_path.rglob("*")) == before
