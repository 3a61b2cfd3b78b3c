"""A run that was stopped or killed, gone on with, ends exactly as one that was not."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fmnist.core.runs import Run
from fmnist.models.classifier import Classifier
from fmnist.training.checkpoints import keep_previous, restore_last
from fmnist.training.train import main
from tests.training.folder import rows

TIMES = {"seconds", "images_per_second"}  # a clock's, never the same twice
STEPS = 5  # in an epoch
WHOLE = [
    "--trainer.max_epochs",
    "4",
    "--ema",
    "0.8",
    "--data.augmentation.flip",
    "true",
    "--trainer.log_every_n_steps",
    "3",
]


class Killed(BaseException):
    """Ends a run where it is, as ``kill -9`` would: nothing is saved any more."""


@pytest.fixture
def run(train: Callable[..., Run]) -> Callable[..., Run]:
    return lambda *flags: train(*WHOLE, *flags)


@pytest.fixture
def interrupted(
    run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Run]:
    """Train until ``place`` at a global step, then raise or send a signal."""

    def interrupt(place: str, step: int, by: int | None, *flags: str) -> Run:
        original = getattr(Classifier, place)

        def hook(self: Classifier, *args: Any) -> Any:
            if self.trainer.global_step == step:
                if by is None:
                    raise Killed
                os.kill(os.getpid(), by)
            return original(self, *args)

        with monkeypatch.context() as patch:
            patch.setattr(Classifier, place, hook)
            with pytest.raises(Killed if by is None else SystemExit) as stop:
                run("--name", "cut", *flags)
        if by is not None:
            assert stop.value.code == 128 + by
        return Run(tmp_path / "logs" / "cut" / "version_0")

    return interrupt


def scalars(run: Run) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run.path), size_guidance={"scalars": 0}).Reload()
    names = [name for name in events.Tags()["scalars"] if name not in TIMES]
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in names}


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def assert_same_end(found: Run, wanted: Run) -> None:
    assert found.record["status"] == "finished"
    for part in found.record["metrics"]:
        np.testing.assert_array_equal(found.predictions(part).logits, wanted.predictions(part).logits)
    for name in ("last", "best"):
        states = [
            torch.load(run.path / "checkpoints" / f"{name}.ckpt", weights_only=True)
            for run in (found, wanted)
        ]
        keys = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")
        assert not [key for key in (*keys, "global_step") if not equal(states[0][key], states[1][key])]
    tables = [
        [{name: value for name, value in row.items() if name not in TIMES} for row in rows(run)]
        for run in (found, wanted)
    ]
    assert tables[0] == tables[1]
    curves = [scalars(run) for run in (found, wanted)]
    assert {name: sorted(set(points)) for name, points in curves[0].items()} == {
        name: sorted(set(points)) for name, points in curves[1].items()
    }
    assert all(len(points) == len(set(points)) for name, points in curves[0].items() if name != "epoch")
    assert found.record["metrics"] == wanted.record["metrics"]


@pytest.mark.parametrize(
    ("place", "step", "by", "flags"),
    [
        ("training_step", 13, None, []),
        ("training_step", 0, signal.SIGTERM, []),
        ("training_step", 12, signal.SIGTERM, []),
        ("training_step", 12, signal.SIGINT, []),
        ("training_step", 14, signal.SIGTERM, []),
        ("validation_step", 10, signal.SIGTERM, []),
        ("validation_step", 20, None, []),
        ("on_train_epoch_end", 10, None, []),
        ("on_train_epoch_end", 20, signal.SIGTERM, []),
        ("on_test_epoch_end", 20, None, []),
        ("training_step", 7, None, ["--checkpoint_minutes", "1e-9"]),
        ("training_step", 8, signal.SIGTERM, ["--trainer.accumulate_grad_batches", "2"]),
        ("training_step", 12, signal.SIGTERM, ["--model.optimizer", "adamw", "--data.val_size", "0"]),
    ],
)
def test_a_resumed_run_ends_as_one_that_was_never_stopped(
    run: Callable[..., Run],
    interrupted: Callable[..., Run],
    place: str,
    step: int,
    by: int | None,
    flags: list[str],
) -> None:
    wanted = run("--name", "whole", *flags)
    cut = interrupted(place, step, by, *flags)
    assert cut.record["status"] == ("failed" if by is None else "stopped")
    found = main(["--resume", str(cut.path)])
    assert found is not None
    assert found.path == cut.path
    assert found.record["resumed"] == 1
    assert_same_end(Run(found.path), wanted)


def test_a_run_is_resumed_again_and_again(run: Callable[..., Run], interrupted: Callable[..., Run]) -> None:
    wanted = run("--name", "whole")
    cut = interrupted("training_step", 3, signal.SIGTERM)
    original = Classifier.training_step
    for step in (6, 11, 17):
        with pytest.MonkeyPatch.context() as patch:

            def stop(self: Classifier, *args: Any, step: int = step) -> Any:
                if self.trainer.global_step == step:
                    os.kill(os.getpid(), signal.SIGTERM)
                return original(self, *args)

            patch.setattr(Classifier, "training_step", stop)
            with pytest.raises(SystemExit):
                main(["--resume", str(cut.path)])
    main(["--resume", str(cut.path.parent)])  # by its name: the newest that did not finish
    assert_same_end(Run(cut.path), wanted)
    assert Run(cut.path).record["resumed"] == 4


def test_a_run_folder_may_be_moved(
    run: Callable[..., Run], interrupted: Callable[..., Run], tmp_path: Path
) -> None:
    wanted = run("--name", "whole")
    cut = interrupted("training_step", 17, signal.SIGTERM)
    moved = tmp_path / "elsewhere" / "moved" / "version_3"
    moved.parent.mkdir(parents=True)
    shutil.move(cut.path, moved)
    main(["--resume", str(moved)])
    assert_same_end(Run(moved), wanted)
    assert not cut.path.exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--seed_everything", "1"], "--seed_everything 1: {run} was begun with 0; leave it out"),
        (["--data.batch_size", "50"], "--data.batch_size 50: {run} was begun with 100"),
        (["--data.split_seed", "3"], "--data.split_seed 3: {run} was begun with 0"),
        (["--model.widths", "[17]"], "--model.widths [17]: {run} was begun with [16]"),
        (
            ["--model", "fmnist.models.lenet5.LitLeNet5"],
            "fmnist.models.lenet5.LitLeNet5: {run} was begun with",
        ),
        (["--trainer.max_epochs", "9"], "--trainer.max_epochs 9: {run} was begun with 4"),
        (["--ema", "null"], "--ema None: {run} was begun with 0.8"),
    ],
)
def test_another_configuration_is_refused(
    interrupted: Callable[..., Run], capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    cut = interrupted("training_step", 2, signal.SIGTERM)
    before = cut.record
    with pytest.raises(SystemExit) as stop:
        main(["--resume", str(cut.path), *flags])
    assert stop.value.code == 2
    assert said.format(run=cut.path) in capsys.readouterr().err
    assert Run(cut.path).record == before


def test_a_run_from_before_a_flag_goes_on_with_its_default(
    interrupted: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    cut = interrupted("training_step", 17, signal.SIGTERM)
    path = cut.path / "config.yaml"
    config = yaml.safe_load(path.read_text())
    del config["data"]["augmentation"]["shear"], config["model"]["init_args"]["label_smoothing"]
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit):
        main(["--resume", str(cut.path), "--data.augmentation.shear", "0.1"])
    assert (
        f"--data.augmentation.shear 0.1: {cut.path} was begun with 0.0; leave it out"
        in capsys.readouterr().err
    )
    main(["--resume", str(cut.path)])
    assert Run(cut.path).record["status"] == "finished"


def test_what_cannot_be_resumed_is_said(
    run: Callable[..., Run],
    interrupted: Callable[..., Run],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["--resume", str(path)])
        assert stop.value.code == 2
        return capsys.readouterr().err

    finished = run("--name", "whole")
    assert "is finished; to train anew: --config" in refused(finished.path)
    assert "holds no run that was stopped" in refused(finished.path.parent)
    assert "is no run folder" in refused(tmp_path / "nothing")
    assert "is no run folder" in refused(Path("http://localhost/run"))
    early = interrupted("training_step", 0, None)
    assert "holds no last.ckpt, the run was stopped before its first; train anew" in refused(early.path)
    early.update(kind="scikit-learn")
    assert "is a scikit-learn run" in refused(early.path)


def test_other_data_are_refused(interrupted: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    cut = interrupted("training_step", 2, signal.SIGTERM)
    cut.update(data_sha256="another")
    with pytest.raises(SystemExit) as stop:
        main(["--resume", str(cut.path)])
    assert stop.value.code == 2
    assert "was begun with data_sha256 another, now is {" in capsys.readouterr().err


def test_a_run_in_training_is_left_alone(
    interrupted: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    from filelock import FileLock

    cut = interrupted("training_step", 2, signal.SIGTERM)
    with FileLock(cut.path / ".lock"), pytest.raises(SystemExit) as stop:
        main(["--resume", str(cut.path)])
    assert stop.value.code == 2
    assert "is being trained by another process" in capsys.readouterr().err


def test_other_versions_are_told(interrupted: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    cut = interrupted("training_step", 17, signal.SIGTERM)
    cut.update(versions={**cut.record["versions"], "torch": "1.0"})
    main(["--resume", str(cut.path)])
    assert (
        "warning: resumed with other versions, so the result may differ: torch 1.0 -> "
        in capsys.readouterr().err
    )


def test_a_damaged_last_checkpoint_costs_one_interval(
    run: Callable[..., Run], interrupted: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = run("--name", "whole")
    cut = interrupted("training_step", 17, signal.SIGTERM)
    os.truncate(cut.path / "checkpoints" / "last.ckpt", 5_000)
    main(["--resume", str(cut.path)])
    assert "going on from previous.ckpt, the one before" in capsys.readouterr().out
    assert_same_end(Run(cut.path), wanted)


def test_the_configuration_of_a_run_is_kept(interrupted: Callable[..., Run], run: Callable[..., Run]) -> None:
    cut = interrupted("training_step", 17, signal.SIGTERM)
    before = (cut.path / "config.yaml").read_bytes()
    main(["--resume", str(cut.path), "--checkpoint_minutes", "5"])
    assert (cut.path / "config.yaml").read_bytes() == before
    assert yaml.safe_load(before)["ema"] == 0.8


def test_a_damaged_checkpoint_never_takes_the_place_of_the_good_one(interrupted: Callable[..., Run]) -> None:
    cut = interrupted("training_step", 17, signal.SIGTERM)
    folder = cut.path / "checkpoints"
    os.truncate(folder / "last.ckpt", 5_000)
    good = (folder / "previous.ckpt").read_bytes()
    restore_last(folder)
    keep_previous(folder)
    assert [(folder / name).read_bytes() for name in ("last.ckpt", "previous.ckpt")] == [good, good]


def test_a_run_that_stopped_early_stays_stopped(
    run: Callable[..., Run], interrupted: Callable[..., Run]
) -> None:
    still = ["--early_stopping", "1", "--model.optimizer", "sgd", "--model.learning_rate", "1e-20"]
    still += ["--model.batch_norm", "false", "--trainer.max_epochs", "9"]
    wanted = run("--name", "whole", *still)
    cut = interrupted("on_test_epoch_end", 10, signal.SIGTERM, *still)
    main(["--resume", str(cut.path)])
    assert Run(cut.path).record["epochs"] == wanted.record["epochs"] == 2


def test_a_run_without_validation_batches_is_resumed_after_its_end(interrupted: Callable[..., Run]) -> None:
    cut = interrupted("on_test_epoch_end", 20, signal.SIGTERM, "--trainer.limit_val_batches", "0")
    main(["--resume", str(cut.path)])
    assert Run(cut.path).record["status"] == "finished"


def test_a_sanity_check_is_no_training(run: Callable[..., Run]) -> None:
    assert run("--trainer.num_sanity_val_steps", "1").record["status"] == "finished"


@pytest.mark.parametrize("content", [None, "", "model: [1"])
def test_a_damaged_configuration_is_named(
    interrupted: Callable[..., Run], capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    cut = interrupted("training_step", 2, signal.SIGTERM)
    path = cut.path / "config.yaml"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as stop:
        main(["--resume", str(cut.path)])
    assert stop.value.code == 2
    assert f"--resume {cut.path}: its config.yaml is missing or damaged" in capsys.readouterr().err
