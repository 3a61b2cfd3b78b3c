"""A job that SLURM takes back saves, asks for its place in the queue once, and goes on in its run folder."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from fmnist.core.commands import shell_command
from fmnist.core.runs import Run
from fmnist.training import outputs
from fmnist.training.resume import run_of_job
from fmnist.training.signals import Requeue, StopSignals, slurm_environment
from fmnist.training.train import main
from tests.quick import leave_out_figures
from tests.training.folder import checkpoint, equal
from tests.training.slurm import fake_scontrol, one_task

STEPS = 5  # in an epoch
PLUGIN = ["--trainer.plugins", "lightning.pytorch.plugins.environments.SLURMEnvironment"]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be the only task of a SLURM job; return the file that each call of ``scontrol`` adds a line to."""
    for name, value in one_task(JOB_ID=42, JOB_NAME="train").items():
        monkeypatch.setenv(name, value)
    # a training of another rank sets it, and what follows in this process would not write any more
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    return fake_scontrol(tmp_path)


def starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")


@pytest.fixture(scope="module")
def whole(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train once without SLURM and without a signal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["train.py"])
        leave_out_figures(patch, outputs)
        run = main([*tiny, "--logs", str(tmp_path_factory.mktemp("logs")), "--name", "whole"])
    assert run is not None
    return run


@pytest.mark.parametrize(
    ("place", "step", "flags"),
    [
        ("training_step", STEPS + 2, []),
        ("training_step", 0, []),
        ("validation_step", 2 * STEPS, []),
        ("on_test_epoch_end", 2 * STEPS, []),
        ("training_step", STEPS + 2, [*PLUGIN, "--trainer.plugins.requeue_signal", "SIGUSR2"]),
        ("training_step", STEPS + 2, [*PLUGIN, "--trainer.plugins.requeue_signal", "SIGHUP"]),
    ],
)
def test_a_job_that_is_queued_again_ends_as_one_that_was_not(
    whole: Run,
    train: Callable[..., Run],
    interrupted: Callable[..., Run],
    job: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    step: int,
    flags: list[str],
) -> None:
    number = signal.Signals[flags[-1]] if flags else signal.SIGUSR1
    cut = interrupted(place, step, number, *flags, times=2)
    assert (cut.status, cut.record["slurm_job"]) == ("stopped", "42")
    assert job.read_text() == "requeue 42\n"
    starts_again(monkeypatch)
    found = train("--name", "cut", *flags)
    assert found.path == cut.path
    assert [path.name for path in found.path.parent.iterdir()] == ["version_0"]
    assert (found.record["status"], found.record["resumed"]) == ("finished", 1)
    for name in ("best", "last"):
        assert equal(checkpoint(found, name), checkpoint(whole, name))
    for part in ("val", "test"):
        np.testing.assert_array_equal(found.predictions(part).logits, whole.predictions(part).logits)
    assert job.read_text() == "requeue 42\n"


def test_a_run_that_the_job_finished_is_not_trained_again(
    train: Callable[..., Run], job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train("--name", "cut")
    starts_again(monkeypatch)
    assert train("--name", "cut").path == first.path
    assert "was finished by this job" in capsys.readouterr().out
    assert train("--name", "cut", "--seed_everything", "1").path != first.path  # the job's next command
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    assert train("--name", "cut").path not in (first.path, first.path.with_name("version_1"))


def test_a_run_that_the_job_finished_is_told_by_the_main_process_alone(
    train: Callable[..., Run],
    tiny: list[str],
    job: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = train("--name", "cut")
    two = [*tiny, "--logs", str(first.path.parent.parent), "--name", "cut", "--trainer.devices", "2"]
    first.update(command=shell_command("train", *two))
    config = first.path / "config.yaml"
    config.write_text(config.read_text().replace("devices: '1'", "devices: 2"))
    starts_again(monkeypatch)
    capsys.readouterr()
    for name, value in {"NTASKS": 2, "NTASKS_PER_NODE": 2, "PROCID": 1, "LOCALID": 1}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    assert main(two) is None
    assert "was finished" not in capsys.readouterr().out


def test_a_job_that_was_killed_before_its_first_checkpoint_begins_anew(
    train: Callable[..., Run], interrupted: Callable[..., Run], job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert interrupted("on_fit_start", 0, signal.SIGUSR1).status == "stopped"
    assert job.read_text() == "requeue 42\n"
    starts_again(monkeypatch)
    assert train("--name", "cut").path.name == "version_1"


@pytest.mark.parametrize(
    "off",
    [
        [*PLUGIN, "--trainer.plugins.auto_requeue", "false"],
        ["--trainer.plugins", f"[{{class_path: {PLUGIN[1]}, init_args: {{auto_requeue: false}}}}]"],
    ],
)
def test_without_requeueing_a_job_that_starts_again_begins_anew(
    train: Callable[..., Run],
    interrupted: Callable[..., Run],
    job: Path,
    monkeypatch: pytest.MonkeyPatch,
    off: list[str],
) -> None:
    assert interrupted("training_step", STEPS + 2, signal.SIGTERM, *off).status == "stopped"
    assert not job.exists()
    starts_again(monkeypatch)
    assert train("--name", "cut", *off).path.name == "version_1"


def test_a_refusal_is_told_with_the_way_on(
    interrupted: Callable[..., Run], job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_scontrol(tmp_path, "echo 'Job may not be requeued' >&2", "exit 1")
    cut = interrupted("training_step", 2, signal.SIGUSR1)
    said = capsys.readouterr().err
    assert "warning: scontrol requeue 42: failed (Job may not be requeued)" in said
    assert f"to continue: python scripts/train.py --resume {cut.path}" in said


def test_the_answer_of_slurm_does_not_disturb_the_end(
    interrupted: Callable[..., Run], job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_scontrol(tmp_path, "kill -TERM $PPID")
    cut = interrupted("training_step", 2, signal.SIGUSR1)
    assert (cut.status, job.read_text()) == ("stopped", "requeue 42\n")
    said = capsys.readouterr().err
    assert "SLURM job 42 is queued again" in said
    assert "--resume" not in said


def test_a_foreign_checkpoint_of_lightnings_is_not_loaded(
    train: Callable[..., Run], job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}}, tmp_path / "hpc_ckpt_1.ckpt")
    assert train().record["status"] == "finished"


def test_tasks_that_lightning_cannot_tell_apart_are_refused(
    tiny: list[str], job: Path, monkeypatch: pytest.MonkeyPatch, refusal: Callable[..., str]
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    assert "error: --trainer: You set `--ntasks=2` in your SLURM bash script" in refusal(
        *tiny, "--logs", job.parent
    )


def test_only_the_main_process_asks_and_once(
    job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    other = Requeue(SLURMEnvironment())
    other.ask()
    assert not job.exists()
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "40")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    main = Requeue(SLURMEnvironment())
    main.ask()
    main.ask()
    assert job.read_text() == "requeue 40_3\n"
    assert (main.granted, other.granted) == (True, False)
    StopSignals(SLURMEnvironment()).ask_for_requeue(signal.SIGTERM)  # somebody wants the job to end
    assert job.read_text() == "requeue 40_3\n"
    monkeypatch.setenv("PATH", "")
    Requeue(SLURMEnvironment()).ask()
    assert "scontrol requeue 40_3: failed ([Errno 2] No such file" in capsys.readouterr().err


@pytest.mark.parametrize("devices", ["1", "2"])
@pytest.mark.parametrize(
    "plugins",
    [[], [LightningEnvironment()], [SLURMEnvironment(auto_requeue=False)], [SLURMEnvironment()]],
    ids=["none", "lightning", "off", "on"],
)
@pytest.mark.parametrize("torchrun", [False, True])
def test_the_cluster_is_the_one_that_lightning_chooses(
    job: Path, monkeypatch: pytest.MonkeyPatch, plugins: list[Any], torchrun: bool, devices: str
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", devices)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", devices)
    if torchrun:
        for name in ("RANK", "LOCAL_RANK", "GROUP_RANK"):
            monkeypatch.setenv(name, "0")
        for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
            monkeypatch.setenv(name, devices)
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    trainer = Trainer(accelerator="cpu", devices=int(devices), plugins=plugins, logger=False)
    chosen = trainer._accelerator_connector.cluster_environment  # what is private here is tested to be so
    ours = slurm_environment(plugins)
    assert (ours is not None) == isinstance(chosen, SLURMEnvironment)
    assert ours is None or not plugins or ours is chosen


def test_elsewhere_there_is_nothing_to_ask(job: Path, tmp_path: Path) -> None:
    assert StopSignals().requeue is None
    assert StopSignals(SLURMEnvironment(auto_requeue=False)).requeue is None
    assert run_of_job(str(tmp_path), "nothing", "python") is None
