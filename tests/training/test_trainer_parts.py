"""Every class of Lightning's that a flag of the Trainer names works, or is refused by its name."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Trainer, accelerators, callbacks, loggers, plugins, profilers, strategies
from lightning.pytorch.strategies import StrategyRegistry

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.training import outputs
from fmnist.training.train import main
from fmnist.training.trainer_parts import check_launch
from tests.quick import leave_out_figures

pytestmark = pytest.mark.filterwarnings("ignore:Trying to infer the `batch_size`")
NO_GPU = not torch.cuda.is_available()


def images_in(batch: Any) -> int:
    return len(batch[0])


class LogsItsOwn(callbacks.Callback):
    """Logs what this package does not know of."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        pl_module.log("mine", float(trainer.current_epoch))


class Broken(callbacks.Callback):
    def __init__(self) -> None:
        raise ValueError("the moon is full")


WORKING_CALLBACKS: dict[str, dict[str, Any]] = {
    "BasePredictionWriter": {},
    "Callback": {},
    "Checkpoint": {},
    "DeviceStatsMonitor": {"cpu_stats": True},
    "EarlyStopping": {"monitor": "train/loss"},
    "GradientAccumulationScheduler": {"scheduling": {0: 2, 1: 1}},
    "LambdaCallback": {},
    "LearningRateMonitor": {},
    "ModelCheckpoint": {"monitor": "val/accuracy", "mode": "max", "save_top_k": 3},
    "ModelSummary": {"max_depth": 2},
    "SpikeDetection": {},
    "TQDMProgressBar": {},
    "ThroughputMonitor": {"batch_size_fn": f"{__name__}.images_in"},
    "Timer": {"duration": "00:01:00:00"},
}
REFUSED = [
    ("callbacks", "BackboneFinetuning", {}, "needs a model with the attribute backbone"),
    ("callbacks", "BaseFinetuning", {}, "is a base class"),
    ("callbacks", "BatchSizeFinder", {}, "try several --data.batch_size"),
    ("callbacks", "EMAWeightAveraging", {}, "take --ema"),
    ("callbacks", "LearningRateFinder", {}, "try several --model.learning_rate"),
    ("callbacks", "OnExceptionCheckpoint", {"dirpath": "x"}, "a run keeps last.ckpt itself"),
    ("callbacks", "ProgressBar", {}, "is a base class"),
    ("callbacks", "StochasticWeightAveraging", {"swa_lrs": 0.1}, "take --ema"),
    ("callbacks", "WeightAveraging", {}, "take --ema"),
    ("callbacks", "EarlyStopping", {}, "the following arguments are required: monitor"),
    ("callbacks", "EarlyStopping", {"monitor": "val_loss"}, "did you mean val/loss?"),
    ("callbacks", "EarlyStopping", {"monitor": "zzz"}, "there are val/loss, val/accuracy, "),
    ("callbacks", "ModelCheckpoint", {"monitor": "val_acc"}, "did you mean val/accuracy?"),
    ("callbacks", "ModelCheckpoint", {"save_last": True}, "save_last would replace a checkpoint of the run"),
    ("callbacks", "ModelCheckpoint", {"filename": "best"}, "filename best would replace"),
    ("callbacks", "ModelCheckpoint", {"filename": "best_before_end"}, "best_before_end would replace"),
    ("callbacks", "EarlyStoping", {}, "did you mean EarlyStopping?"),
    ("callbacks", f"{__name__}.Broken", {}, "--trainer.callbacks Broken: the moon is full"),
    ("logger", "Logger", {}, "abstract"),
    ("logger", "CSVLogger", {}, "the following arguments are required: save_dir"),
    ("strategy", "ParallelStrategy", {}, "--trainer.strategy ParallelStrategy: "),
    ("strategy", "Strategy", {}, "--trainer.strategy Strategy: "),
    ("strategy", "DDPStrategy", {"start_method": "fork"}, "starts its processes by fork"),
    ("strategy", "ModelParallelStrategy", {}, "no network here is split over devices"),
    ("plugins", "AsyncCheckpointIO", {}, "a run writes its checkpoints itself"),
    ("plugins", "CheckpointIO", {}, "abstract"),
    ("plugins", "TorchCheckpointIO", {}, "a run writes its checkpoints itself"),
    ("plugins", "DeepSpeedPrecision", {"precision": "32-true"}, "belongs to a strategy"),
    ("plugins", "FSDPPrecision", {"precision": "32-true"}, "belongs to a strategy"),
    ("plugins", "LayerSync", {}, "abstract"),
    ("plugins", "Precision", {}, "--trainer.precision 32-true, --trainer.plugins Precision: choose one"),
    (
        "plugins",
        "lightning.pytorch.plugins.environments.SLURMEnvironment",
        {},
        "--trainer.plugins SLURMEnvironment: needs the environment variable 'SLURM_PROCID'",
    ),
    ("profiler", "Profiler", {}, "--trainer.profiler Profiler: "),
    ("accelerator", "Accelerator", {}, "--trainer.accelerator Accelerator: "),
]
"""Flag, class, arguments, and what the refusal says beside the flag."""
NEED_MORE = [
    ("callbacks", "ModelPruning", {"pruning_fn": "l1_unstructured", "amount": 0.5}),
    ("callbacks", "RichModelSummary", {}),
    ("callbacks", "RichProgressBar", {}),
    ("logger", "CometLogger", {}),
    ("logger", "LitLogger", {}),
    ("logger", "MLFlowLogger", {}),
    ("logger", "WandbLogger", {}),
    ("strategy", "DeepSpeedStrategy", {}),
    ("strategy", "FSDPStrategy", {}),
    ("plugins", "BitsandbytesPrecision", {"mode": "nf4"}),
    ("plugins", "TransformerEnginePrecision", {"weights_dtype": "float32"}),
    ("plugins", "XLACheckpointIO", {}),
    ("plugins", "XLAPrecision", {}),
    ("profiler", "XLAProfiler", {}),
    ("accelerator", "CUDAAccelerator", {}),
    ("accelerator", "MPSAccelerator", {}),
    ("accelerator", "XLAAccelerator", {}),
]
"""What works only with another package or device, which may be here or not."""
ALONE = [
    ("logger", "CSVLogger", {"save_dir": "mine"}),
    ("logger", "TensorBoardLogger", {"save_dir": "mine"}),
    ("plugins", "DoublePrecision", {}),
    ("plugins", "HalfPrecision", {"precision": "bf16-true"}),
    ("plugins", "MixedPrecision", {"precision": "bf16-mixed", "device": "cpu"}),
    ("plugins", "Precision", {}),
    ("plugins", "TorchSyncBatchNorm", {}),
    ("plugins", "lightning.pytorch.plugins.environments.LightningEnvironment", {}),
    ("profiler", "AdvancedProfiler", {}),
    ("profiler", "PassThroughProfiler", {}),
    ("profiler", "PyTorchProfiler", {}),
    ("profiler", "SimpleProfiler", {}),
    ("strategy", "SingleDeviceStrategy", {"device": "cpu"}),
    ("accelerator", "CPUAccelerator", {}),
]
"""What works, one in each training."""
DDP = ("strategy", "DDPStrategy", {})  # as processes, in tests/scripts and tests/faults


def configured(tmp_path: Path, flag: str, name: str, arguments: dict[str, Any]) -> list[str]:
    """Return flags that name a class, in a YAML file."""
    part: Any = {"class_path": name, "init_args": arguments} if arguments else name
    path = tmp_path / "parts.yaml"
    path.write_text(yaml.safe_dump({"trainer": {flag: [part] if flag == "callbacks" else part}}))
    return ["--config", str(path)]


def test_the_tables_name_all_that_lightning_offers() -> None:
    named = {(flag, name) for flag, name, *_ in (*REFUSED, *NEED_MORE, *ALONE, DDP)}
    named |= {("callbacks", name) for name in WORKING_CALLBACKS}
    for flag, module in (
        ("callbacks", callbacks),
        ("logger", loggers),
        ("plugins", plugins),
        ("profiler", profilers),
        ("strategy", strategies),
        ("accelerator", accelerators),
    ):
        classes = {name for name in module.__all__ if inspect.isclass(getattr(module, name))}
        assert {name for known, name in named if known == flag} >= classes


@pytest.mark.parametrize(("flag", "name", "arguments", "message"), REFUSED)
def test_what_does_not_go_with_a_run_is_refused_by_its_name(
    tiny: list[str],
    tmp_path: Path,
    refusal: Callable[..., str],
    flag: str,
    name: str,
    arguments: dict[str, Any],
    message: str,
) -> None:
    logs = tmp_path / "logs"
    said = refusal(*tiny, "--logs", logs, *configured(tmp_path, flag, name, arguments))
    assert f"--trainer.{flag} {name.rpartition('.')[2]}" in said
    assert message in said
    assert len(said.splitlines()) == 1
    assert not logs.exists()


@pytest.mark.parametrize("flag", ["--data.val_size", "--trainer.limit_val_batches"])
def test_what_is_not_validated_cannot_be_watched(
    tiny: list[str], refusal: Callable[..., str], flag: str
) -> None:
    watched = ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "val/accuracy"]
    said = refusal(*tiny, flag, 0, *watched)
    assert "EarlyStopping: monitor val/accuracy is not logged; did you mean train/accuracy?" in said


@pytest.mark.parametrize(("flag", "name", "arguments"), NEED_MORE)
def test_what_lacks_a_package_or_device_is_refused_by_its_name(
    tiny: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flag: str,
    name: str,
    arguments: dict[str, Any],
) -> None:
    leave_out_figures(monkeypatch, outputs)  # of what is here and trains
    logs = tmp_path / "logs"
    flags = configured(tmp_path, flag, name, arguments)
    short = ["--trainer.fast_dev_run", "true", "--trainer.precision", "null"]
    status, said = 0, [""]
    try:
        main([*tiny, "--logs", str(logs), *short, *flags])
    except SystemExit as stop:
        status, said = stop.code, capsys.readouterr().err.splitlines()
    assert status in (0, 2)
    if status:
        assert said[-1].startswith(f"error: --trainer.{flag}") or "pruning_fn" in said[-1]
        assert not logs.exists()


STRATEGIES = [name for name in StrategyRegistry if not name.startswith("ddp")]


@pytest.mark.parametrize("name", ["ddp_spawn", "ddp_fork", *STRATEGIES])  # one of each way to start
def test_every_strategy_by_name(
    tiny: list[str], tmp_path: Path, refusal: Callable[..., str], name: str
) -> None:
    if name in ("single_device", "fsdp", "fsdp_cpu_offload") or (
        name.startswith("deepspeed") and name != "deepspeed"
    ):
        pytest.skip("is the default, needs a GPU, or a variant")
    said = refusal(*tiny, "--logs", tmp_path / "logs", "--trainer.strategy", name)
    assert f"error: --trainer.strategy {name}: " in said
    assert not (tmp_path / "logs").exists()


def test_every_ddp_strategy_that_cannot_start_its_processes_is_refused() -> None:
    names = set(StrategyRegistry) - set(STRATEGIES)
    # the others train in processes of their own, see tests/scripts and tests/faults
    started = {name for name in names if StrategyRegistry[name]["init_params"]["start_method"] == "popen"}
    assert names - started >= {"ddp_spawn", "ddp_fork", "ddp_notebook"}
    for name in names - started:
        with pytest.raises(InputError, match=f"^--trainer.strategy {name}: starts its processes by "):
            check_launch(Trainer(accelerator="cpu", logger=False), name)


def test_every_working_callback_together(
    train: Callable[..., Run], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [{"class_path": name, "init_args": arguments} for name, arguments in WORKING_CALLBACKS.items()]
    path = tmp_path / "callbacks.yaml"
    path.write_text(yaml.safe_dump({"trainer": {"callbacks": parts, "log_every_n_steps": 1}}))
    run = train("--config", str(path))
    assert run.status == "finished"
    assert len(list((run.path / "checkpoints").glob("epoch=*.ckpt"))) == 2
    assert "Trainable params" in caplog.text
    again = train("--config", str(run.path / "config.yaml"))  # which holds every argument
    assert again.record["metrics"] == run.record["metrics"]


@pytest.mark.parametrize(("flag", "name", "arguments"), ALONE)
def test_a_part_that_works(
    train: Callable[..., Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flag: str,
    name: str,
    arguments: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)  # of what a part writes without being told where
    free = ["--trainer.precision", "null", "--trainer.max_epochs", "1"]
    flags = configured(tmp_path, flag, name, arguments)
    run = train(*flags, *free, "--trainer.limit_train_batches", "2")
    assert run.status == "finished"
    own = {"DoublePrecision": "64-true", "HalfPrecision": "bf16-true", "MixedPrecision": "bf16-mixed"}
    assert run.record["precision"] in ([own[name]] if name in own else ["32-true", "bf16-mixed"])


@pytest.mark.parametrize("terminal", [False, True])
def test_a_progress_bar_of_the_users_own_takes_the_place_of_the_default(
    train: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    train("--trainer.callbacks", "TQDMProgressBar", "--trainer.callbacks.refresh_rate", "1")
    assert "Epoch 1: 100%" in capsys.readouterr().out


def test_code_of_the_users_own_may_log_what_is_watched(train: Callable[..., Run]) -> None:
    watched = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "mine"]
    run = train(f"--trainer.callbacks+={__name__}.LogsItsOwn", *watched)
    assert run.status == "finished"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            [
                *(f"--trainer.callbacks+={__name__}.LogsItsOwn", "--trainer.callbacks+=EarlyStopping"),
                *("--trainer.callbacks.monitor", "yours"),
            ],
            "EarlyStopping: Early stopping conditioned on metric `yours` which is not available",
        ),
        (
            ["--trainer.val_check_interval", "20"],
            "--trainer.val_check_interval 20: `val_check_interval` (20) must",
        ),
        (
            ["--trainer.limit_train_batches", "0.001"],
            "--trainer.limit_train_batches 0.001: You requested to check 0.001 of the `train_dataloader`",
        ),
    ],
)
def test_what_lightning_finds_out_in_training_has_no_traceback(
    tiny: list[str], tmp_path: Path, refusal: Callable[..., str], flags: list[str], message: str
) -> None:
    assert message in refusal(*tiny, "--logs", tmp_path / "logs", *flags)
    assert Run(tmp_path / "logs" / "run" / "version_0").status == "failed"


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU on this machine")
def test_a_profiler_that_needs_a_gpu_is_refused(tiny: list[str], refusal: Callable[..., str]) -> None:
    flags = ["--trainer.profiler", "PyTorchProfiler", "--trainer.profiler.emit_nvtx", "true"]
    assert refusal(*tiny, *flags) == "error: --trainer.profiler.emit_nvtx true: needs an NVIDIA GPU\n"
