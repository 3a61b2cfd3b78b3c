"""A run that was stopped or killed, gone on with, ends exactly as one that was not."""

import os
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from filelock import FileLock
from lightning.pytorch.callbacks import timer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fmnist.core.runs import Run
from fmnist.models.classifier import Classifier
from fmnist.training.train import main
from tests.training.folder import STILL, WHOLE, assert_same_checkpoints, interruption, rows

ALWAYS = WHOLE
TIMES = {"seconds", "images_per_second"}  # a clock's, never the same twice
STEPS = 5  # in an epoch


@pytest.fixture(scope="module")
def trained() -> dict[tuple[str, ...], Run]:
    """Runs that were never stopped, by their flags."""
    return {}


@pytest.fixture
def whole(
    train: Callable[..., Run],
    trained: dict[tuple[str, ...], Run],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Run]:
    """Return a function that gives the run of these flags that was never stopped; tests share it."""

    def find(*flags: str) -> Run:
        if flags not in trained:
            trained[flags] = train("--logs", str(tmp_path_factory.mktemp("whole")), *flags)
        return trained[flags]

    return find


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what ``cut_at_17`` has made."""
    return tmp_path_factory.mktemp("cuts") / "version_0"


@pytest.fixture
def cut_at_17(interrupted: Callable[..., Run], cuts: Path, tmp_path: Path) -> Run:
    """A copy of a run that SIGTERM stopped three steps before its end; tests share the training."""
    if not cuts.exists():
        shutil.move(interrupted("training_step", 17, signal.SIGTERM).path, cuts)
    return Run(shutil.copytree(cuts, tmp_path / "logs" / "cut" / "version_0"))


@pytest.fixture
def _a_step_takes_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock of ``max_time`` go on by a second as a step begins."""
    begun = []
    monkeypatch.setattr(Classifier, "on_before_zero_grad", lambda *_: begun.append(1))
    monkeypatch.setattr(timer, "time", SimpleNamespace(monotonic=lambda: len(begun)))


def scalars(run: Run) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run.path), size_guidance={"scalars": 0}).Reload()
    names = [name for name in events.Tags()["scalars"] if name not in TIMES]
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in names}


def assert_same_end(found: Run, wanted: Run) -> None:
    assert (found.status, found.record["ended_by"]) == ("finished", wanted.record["ended_by"])
    for name in ("metrics", "training_multiply_adds"):
        assert found.record[name] == wanted.record[name]
    for part in found.record["metrics"]:
        np.testing.assert_array_equal(found.predictions(part).logits, wanted.predictions(part).logits)
    assert_same_checkpoints(found, wanted)
    one, other = (
        [{name: value for name, value in row.items() if name not in TIMES} for row in rows(run)]
        for run in (found, wanted)
    )
    assert one == other
    curves, expected = scalars(found), scalars(wanted)
    assert {name: set(points) for name, points in curves.items()} == {
        name: set(points) for name, points in expected.items()
    }
    assert all(len(points) == len(set(points)) for name, points in curves.items() if name != "epoch")


@pytest.mark.parametrize(
    ("place", "step", "by", "flags"),
    [
        ("training_step", 13, None, []),
        ("training_step", 0, signal.SIGTERM, []),
        ("training_step", 12, signal.SIGINT, []),
        ("training_step", 14, signal.SIGHUP, []),
        ("validation_step", 10, signal.SIGTERM, []),
        ("validation_step", 20, None, []),
        ("on_train_epoch_end", 10, None, []),
        ("on_train_epoch_end", 20, signal.SIGTERM, []),
        ("on_test_epoch_end", 20, None, []),
        ("training_step", 7, None, ["--checkpoint_minutes", "1e-9"]),
        ("training_step", 8, signal.SIGTERM, ["--trainer.accumulate_grad_batches", "2"]),
        ("training_step", 12, signal.SIGTERM, ["--model.optimizer", "adamw", "--data.val_size", "0"]),
        ("training_step", 10, None, ["--trainer.max_steps", "18", "--trainer.max_epochs", "-1"]),
        ("training_step", 8, signal.SIGTERM, ["--trainer.val_check_interval", "0.6"]),  # after a validation
    ],
)
def test_a_resumed_run_ends_as_one_that_was_never_stopped(
    whole: Callable[..., Run],
    interrupted: Callable[..., Run],
    place: str,
    step: int,
    by: int | None,
    flags: list[str],
) -> None:
    wanted = whole(*flags)
    cut = interrupted(place, step, by, *flags)
    assert cut.status == ("failed" if by is None else "stopped")
    main(["--resume", str(cut.path)])
    assert Run(cut.path).record["resumed"] == 1
    assert_same_end(Run(cut.path), wanted)


@pytest.mark.usefixtures("_a_step_takes_a_second")
@pytest.mark.parametrize(
    ("step", "flags", "best_before"),
    [
        (7, [], True),
        (3, [], False),  # before the first validation
        (3, ["--trainer.check_val_every_n_epoch", "2"], False),  # in an epoch without one
        (10, [], False),  # with the last step of an epoch
        (13, ["--trainer.val_check_interval", "0.4"], True),
        (5, ["--trainer.accumulate_grad_batches", "2"], True),
        (7, ["--trainer.check_val_every_n_epoch", "2", "--early_stopping", "1"], False),
        (5, ["--trainer.check_val_every_n_epoch", "2"], False),  # the stop waits for a step
        (8, ["--data.val_size", "0"], True),
        (9, ["--trainer.max_steps", "18"], True),
    ],
)
def test_a_run_that_is_cut_by_its_time_is_scored_and_goes_on_exactly(
    train: Callable[..., Run],
    whole: Callable[..., Run],
    capsys: pytest.CaptureFixture[str],
    step: int,
    flags: list[str],
    best_before: bool,
) -> None:
    wanted = whole(*flags)
    limit = f"00:00:00:{step:02}"
    cut = train("--name", "cut", "--trainer.max_time", limit, *flags)
    printed = capsys.readouterr().out.splitlines()
    assert (cut.status, cut.record["ended_by"]) == ("stopped", "max_time")
    assert cut.record["steps"] < wanted.record["steps"]
    assert printed[-2] == f"to continue: python scripts/train.py --resume {cut.path}"
    assert f"ended by max_time {limit} in epoch " in printed[-1]
    assert cut.predictions("test").accuracy == pytest.approx(cut.record["metrics"]["test"]["accuracy"])
    assert (cut.path / "checkpoints" / "best_before_end.ckpt").exists() == best_before
    main(["--resume", str(cut.path), "--trainer.max_time", "null"])
    assert_same_end(Run(cut.path), wanted)
    assert Run(cut.path).record["ended_by"] == (
        "max_steps" if "--trainer.max_steps" in flags else "max_epochs"
    )


@pytest.mark.usefixtures("_a_step_takes_a_second")
def test_a_run_that_is_cut_by_its_time_goes_on_for_as_long_again(
    train: Callable[..., Run], whole: Callable[..., Run]
) -> None:
    run = train("--trainer.max_time", "00:00:00:07")
    ends = [(run.record["steps"], run.record["ended_by"])]
    for _ in range(2):
        main(["--resume", str(run.path)])
        run = Run(run.path)
        ends.append((run.record["steps"], run.record["ended_by"]))
    assert ends == [(7, "max_time"), (14, "max_time"), (20, "max_epochs")]
    assert_same_end(run, whole())


def test_a_run_may_be_tested_after_all_and_says_so(
    whole: Callable[..., Run], interrupted: Callable[..., Run]
) -> None:
    cut = interrupted("training_step", 17, signal.SIGTERM, "--test", "false")
    assert not cut.is_tested
    main(["--resume", str(cut.path), "--test", "true"])
    run = Run(cut.path)
    assert run.is_tested
    assert_same_end(run, whole())


def test_a_run_killed_in_the_validation_of_its_end_validates_it_again(
    whole: Callable[..., Run], interrupted: Callable[..., Run]
) -> None:
    flags = ["--trainer.max_steps", "4"]
    wanted = whole(*flags)
    cut = interrupted("validation_step", 4, None, *flags)
    main(["--resume", str(cut.path)])
    assert Run(cut.path).record["metrics"] == wanted.record["metrics"]


def test_accumulation_that_changes_is_resumed_within_an_epoch(
    whole: Callable[..., Run], interrupted: Callable[..., Run]
) -> None:
    flags = [
        "--trainer.callbacks+=lightning.pytorch.callbacks.GradientAccumulationScheduler",
        "--trainer.callbacks.scheduling={0: 1, 1: 2}",
    ]
    wanted = whole(*flags)
    cut = interrupted("training_step", 7, signal.SIGTERM, *flags)
    main(["--resume", str(cut.path)])
    assert_same_end(Run(cut.path), wanted)


@pytest.mark.parametrize("own_folder", [True, False])
def test_a_checkpoint_callback_of_the_users_own_keeps_its_best(
    interrupted: Callable[..., Run], tmp_path: Path, capsys: pytest.CaptureFixture[str], own_folder: bool
) -> None:
    kept = ["--trainer.callbacks", "ModelCheckpoint", "--trainer.callbacks.save_top_k", "2"]
    kept += ["--trainer.callbacks.monitor", "val/accuracy", "--trainer.callbacks.mode", "max"]
    kept += ["--trainer.callbacks.filename", "mine-{epoch}"]
    if own_folder:
        kept += ["--trainer.callbacks.dirpath", str(tmp_path / "mine")]
    cut = interrupted("training_step", 17, signal.SIGTERM, *kept)
    moved = cut.path.rename(tmp_path / "moved")
    capsys.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        main(["--resume", str(moved)])
    assert not [
        str(one.message) for one in caught if "irpath" in str(one.message) or "irectory" in str(one.message)
    ]
    printed = capsys.readouterr().out
    assert "32-true (as when the run was started)" in printed
    folder = tmp_path / "mine" if own_folder else moved / "checkpoints"
    found = {float(row["val/accuracy"]): row["epoch"] for row in reversed(rows(Run(moved)))}
    names = {path.stem for path in folder.glob("mine-*.ckpt")}
    assert len(names) == 2
    assert f"mine-epoch={found[max(found)]}" in names
    assert Run(moved).status == "finished"


def test_a_run_is_resumed_again_and_again(whole: Callable[..., Run], interrupted: Callable[..., Run]) -> None:
    wanted = whole()
    cut = interrupted("training_step", 3, signal.SIGTERM)
    made = "detection.npz", "figures/shifts.png", "photographs/six.json", "export/model.onnx"
    derived = [cut.path / name for name in (*made, "classification_report.csv")]
    for path in derived:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"of weights that are going to change")
    for step in (6, 11, 17):
        with interruption("training_step", step, signal.SIGTERM):
            main(["--resume", str(cut.path)])
    main(["--resume", str(cut.path.parent)])  # by its name: the newest that did not finish
    assert_same_end(Run(cut.path), wanted)
    assert Run(cut.path).record["resumed"] == 4
    assert not [path for path in derived if path.exists()]


def test_a_run_folder_may_be_moved(
    whole: Callable[..., Run], interrupted: Callable[..., Run], tmp_path: Path
) -> None:
    wanted = whole()
    cut = interrupted("training_step", 17, signal.SIGTERM)
    moved = tmp_path / "elsewhere" / "moved" / "version_3"
    moved.parent.mkdir(parents=True)
    shutil.move(cut.path, moved)
    main(["--resume", str(moved)])
    assert_same_end(Run(moved), wanted)
    assert not cut.path.exists()  # to which the run's own files still point


def test_another_configuration_is_refused(cut_at_17: Run, refusal: Callable[..., str]) -> None:
    cut = cut_at_17
    path, before = cut.path / "config.yaml", cut.record
    config = yaml.safe_load(path.read_text())  # of a version without these flags
    del config["data"]["augmentation"]["shear"], config["model"]["init_args"]["label_smoothing"]
    path.write_text(yaml.safe_dump(config))
    for words, message in (
        (["--seed_everything", "1"], "--seed_everything 1: {run} was started with 0; leave it out"),
        (["--data.batch_size", "50"], "--data.batch_size 50: {run} was started with 100"),
        (["--data.augmentation.shear", "0.1"], "--data.augmentation.shear 0.1: {run} was started with 0.0"),
        (["--model.widths", "[17]"], "--model.widths [17]: {run} was started with [16]"),
        (["--model", "LitLeNet5"], "fmnist.models.lenet5.LitLeNet5: {run} was started with"),
        (["--trainer.max_epochs", "9"], "--trainer.max_epochs 9: {run} was started with 4"),
        (["--ema", "null"], "--ema None: {run} was started with 0.8"),
    ):
        assert message.format(run=cut.path) in refusal("--resume", cut.path, *words)
    assert Run(cut.path).record == before
    main(["--resume", str(cut.path)])  # today's defaults are those of the flags that were not there
    assert Run(cut.path).status == "finished"


def test_what_cannot_be_resumed_is_refused(
    whole: Callable[..., Run], interrupted: Callable[..., Run], refusal: Callable[..., str], tmp_path: Path
) -> None:
    finished = whole()
    assert "is finished; to train anew: --config" in refusal("--resume", finished.path)
    for words in (
        ["--trainer.max_epochs", "3"],
        ["--trainer.max_epochs", "4"],
        ["--trainer.max_steps", "90"],
    ):
        message = refusal("--resume", finished.path, *words)
        assert "to train longer: a larger --trainer.max_epochs" in message
    assert "--ema None: " in refusal("--resume", finished.path, "--trainer.max_epochs", "9", "--ema", "null")
    assert "is finished; to train anew" in refusal("--resume", finished.path.parent)
    assert "holds no run" in refusal("--resume", tmp_path)
    assert "is no run folder" in refusal("--resume", tmp_path / "nothing")
    assert "is no run folder" in refusal("--resume", "http://localhost/run")
    cut = interrupted("training_step", 0, None)
    assert "holds no last.ckpt, the run was stopped before its first; train" in refusal("--resume", cut.path)
    with FileLock(cut.path / ".lock"):
        assert "is being trained by another process" in refusal("--resume", cut.path)
    cut.update(data_sha256="another")
    assert "was started with data_sha256 another, now is {" in refusal("--resume", cut.path)
    for content in ("", "model: [1"):
        (cut.path / "config.yaml").write_text(content)
        message = f"--resume {cut.path}: its config.yaml is missing or damaged"
        assert message in refusal("--resume", cut.path)
    cut.update(kind="scikit-learn")
    assert "is a scikit-learn run" in refusal("--resume", cut.path)


def test_other_versions_are_reported_and_the_configuration_is_kept(
    cut_at_17: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = cut_at_17
    cut.update(versions={**cut.record["versions"], "torch": "1.0"})
    before = (cut.path / "config.yaml").read_bytes()
    shown = ["--trainer.callbacks", "TQDMProgressBar", "--trainer.log_every_n_steps", "4"]
    main(["--resume", str(cut.path), "--checkpoint_minutes", "5", *shown])
    assert (cut.path / "config.yaml").read_bytes() == before
    message = "warning: resumed with other versions, so the result may differ: torch 1.0 -> "
    assert message in capsys.readouterr().err


def test_a_damaged_last_checkpoint_costs_one_interval(
    whole: Callable[..., Run], cut_at_17: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = whole()
    os.truncate(cut_at_17.path / "checkpoints" / "last.ckpt", 5_000)
    main(["--resume", str(cut_at_17.path)])
    assert "continuing from previous.ckpt" in capsys.readouterr().err
    assert_same_end(Run(cut_at_17.path), wanted)


def test_a_run_that_stopped_early_stays_stopped(
    whole: Callable[..., Run], interrupted: Callable[..., Run]
) -> None:
    still = ["--early_stopping", "1", *STILL]
    wanted = whole(*still)
    assert wanted.record["ended_by"] == "early_stopping"
    cut = interrupted("on_test_epoch_end", 10, signal.SIGTERM, *still)
    main(["--resume", str(cut.path)])
    assert Run(cut.path).record["epochs"] == wanted.record["epochs"] == 2
    assert Run(cut.path).record["ended_by"] == "early_stopping"


def test_a_run_without_validation_batches_is_resumed_after_its_end(interrupted: Callable[..., Run]) -> None:
    cut = interrupted("on_test_epoch_end", 20, signal.SIGTERM, "--trainer.limit_val_batches", "0")
    main(["--resume", str(cut.path)])
    assert Run(cut.path).record["status"] == "finished"
