"""Every flag of the Trainer works, or is refused; test_trainer_parts.py tests the classes that they take."""

import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from lightning.pytorch import Trainer

from fmnist.core.runs import Run

TRAINING = {
    "accumulate_grad_batches": 2,
    "benchmark": False,
    "detect_anomaly": True,
    "deterministic": "warn",
    "enable_autolog_hparams": False,
    "enable_checkpointing": True,
    "gradient_clip_algorithm": "norm",
    "gradient_clip_val": 1.0,
    "inference_mode": False,
    "limit_predict_batches": 1,
    "limit_test_batches": 1.0,
    "limit_train_batches": 4,
    "limit_val_batches": 1,
    "log_every_n_steps": 1,
    "logger": True,
    "max_epochs": 2,
    "max_steps": 9,
    "max_time": "00:01:00:00",
    "min_epochs": 1,
    "min_steps": 1,
    "num_nodes": 1,
    "num_sanity_val_steps": 1,
    "profiler": "simple",
    "reload_dataloaders_every_n_epochs": 1,
    "sync_batchnorm": True,
    "use_distributed_sampler": False,
    "val_check_interval": 1.0,
}
"""Flags of the Trainer that one training may have together."""
ELSEWHERE = {
    *("fast_dev_run", "check_val_every_n_epoch", "precision"),  # test_endings.py
    "overfit_batches",  # tests/models/test_classifier.py
    *("enable_progress_bar", "enable_model_summary"),  # below
    *("accelerator", "devices", "strategy", "callbacks", "plugins"),  # test_trainer_parts.py
    *("barebones", "default_root_dir"),  # refused in test_command_line.py
    "model_registry",  # has no effect without a package of Lightning's paid service
}


def test_the_tables_name_every_flag() -> None:
    assert {*TRAINING, *ELSEWHERE} == {*inspect.signature(Trainer).parameters}


def test_every_flag_of_the_trainer_together(
    train: Callable[..., Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "trainer.yaml"
    path.write_text(yaml.safe_dump({"trainer": TRAINING}))
    run = train("--config", str(path))
    assert run.status == "finished"
    assert [child.name for child in (tmp_path / "logs").iterdir()] == ["run"]
    assert "run_training_batch" in caplog.text  # the profiler's table


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (["--trainer.enable_model_summary", "true"], "Trainable params"),
        (["--trainer.callbacks", "ModelSummary"], "Trainable params"),
        (["--trainer.max_time", "{milliseconds: 1}"], "Time limit reached"),
        (["--early_stopping", "5", "--ema", "0.5"], ""),
    ],
)
def test_what_lightning_says_is_shown_where_it_was_asked_for(
    train: Callable[..., Run],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    shown: str,
) -> None:
    train(*flags)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    # a summary that is asked for by its switch is printed by rich, where that is installed
    said += [line for line in capsys.readouterr().out.splitlines() if "Trainable params" in line]
    assert bool(said) == bool(shown)
    assert shown in "\n".join(said)


def test_several_processes_are_refused_where_no_script_starts_them(
    tiny: list[str], tmp_path: Path, refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    said = refusal(*tiny, "--logs", tmp_path / "logs", "--trainer.devices", "2")
    assert "--trainer.devices 2: several processes need a script that each of them runs" in said
    assert not (tmp_path / "logs").exists()


def test_machines_that_do_not_know_of_each_other_are_refused(
    tiny: list[str], refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(sys, "argv", [__file__])
    said = refusal(*tiny, "--trainer.num_nodes", "2")
    assert "--trainer.num_nodes 2: start the processes by torchrun or SLURM, or set MASTER_ADDR" in said
