"""The command line of a training: flags and YAML files, what is refused, and the help text."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from fmnist.models.classifier import Classifier
from fmnist.training import command_line, train
from fmnist.training.command_line import parse
from fmnist.training.session import Session

HAS_GPU = torch.cuda.is_available() or torch.backends.mps.is_available()
TRAINER = ["--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.precision", "32-true"]


@pytest.fixture
def flags(synthetic_root: Path, tmp_path: Path) -> list[str]:
    data = ["--data.root", str(synthetic_root), "--data.batch_size", "100", "--data.val_size", "100"]
    model = ["--model", "fmnist.models.mlp.LitMLP", "--model.widths", "[8]"]
    return [*model, *data, *TRAINER, "--logs", str(tmp_path / "logs"), "--trainer.max_epochs", "1"]


@pytest.fixture
def refusal(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], str]:
    """Run ``main`` with flags that it must refuse before anything is written; return the message."""

    def run(extra: list[str]) -> str:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(SystemExit) as stop:
            train.main([*flags, *extra])
        printed = capsys.readouterr()
        assert (stop.value.code, printed.out) == (2, "")
        assert sorted(tmp_path.rglob("*")) == before
        assert printed.err.startswith("error: ")
        assert len(printed.err.splitlines()) <= 2
        return printed.err.removeprefix("error: ").rstrip("\n")

    return run


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--model.learning_rat", "1"], "--model.learning_rat: no such flag; did you mean --model.lear"),
        (["--data.batchsize=9"], "--data.batchsize=9: no such flag; did you mean --data.batch_size?"),
        (["--trainer.max_epoch=1"], "--trainer.max_epoch=1: no such flag; did you mean --trainer.max_ep"),
        (["configs/cnn.yaml"], "configs/cnn.yaml: no such flag; did you mean --config "),
        (["--nam", "x"], "--nam: no such flag; did you mean --name?"),
        (["--data.shift", "1"], "--data.shift: no such flag; did you mean --data.augmentation.shift?"),
        (["--data.augmentation.shift", "x"], "--data.augmentation.shift x: must be int"),
        (["--checkpoint_minutes", "0"], "--checkpoint_minutes 0.0: must be above 0"),
        (["--zzzz", "x"], "--zzzz: no such flag (--help lists them)"),
        (["--data.rot=/tmp/x"], "--data.rot=/tmp/x: no such flag; did you mean --data.root?"),
        (["--teachers", "logs/a", "logs/b"], "logs/b: no such flag; several values of one flag go in"),
        (["--teachers", "a, b"], "--teachers 'a, b': several teachers go in brackets"),
        (["--config"], "--config: expected one argument"),
        (["--model"], "--model: expected one argument"),
        (["--data.seed", "3"], "--data.seed: cannot be set apart, it is --seed_everything"),
        (["--model", "fmnist.models.mlp.LitMPL"], "has no attribute 'LitMPL'"),
        (["--model", "Nonsense"], "--model Nonsense: "),
        (["--model", "torch.nn.Linear"], "is no subclass of Classifier; docs/how-to/own-network.md"),
        (["--model.learning_rate", "fast"], "--model.learning_rate fast: must be float"),
        (["--model.widths", "[a]"], "--model.widths a: must be int"),
        (["--model.widths", "[8, -8]"], "--model.widths 8, -8: must be at least 1"),
        (["--model.dropout", "1.5"], "1.5"),
        (["--model.learning_rate", "-1"], "--model.learning_rate -1.0: must be above 0"),
        (["--model.optimizer", "adamm"], "--model.optimizer adamm: must be one of adam, adamw, sgd, muon"),
        (["--data.batch_size", "1.5"], "--data.batch_size 1.5: must be int"),
        (["--data.augmentation.flip", "maybe"], "--data.augmentation.flip maybe: must be bool"),
        (["--data.val_size", "600"], "--data.val_size 600: must lie between 0 and 599"),
        (["--data.augmentation.shift", "-1"], "--data.augmentation.shift -1: must lie between 0 and 27"),
        (["--seed_everything", "-1"], "--seed_everything -1 is not in bounds, "),
        (["--name", "../x"], "--name '../x': must be letters"),
        (["--ema", "1.5"], "--ema 1.5: must lie between 0 and 1"),
        (["--ema", "x"], "--ema x: must be float"),
        (["--early_stopping", "0"], "--early_stopping 0: must be at least 1"),
        (["--early_stopping", "2", "--data.val_size", "0"], "--early_stopping 2: needs a validation set"),
        (["--early_stopping", "2", "--trainer.limit_val_batches", "0"], "needs a validation set"),
        (["--trainer.accelerator", "abacus"], "`accelerator='abacus'`. Available names are: "),
        (["--trainer.devices", "-3"], "--trainer.devices -3: must be at least 1"),
        (["--trainer.devices", "many"], "--trainer.devices many, --trainer.accelerator cpu: `devices` sel"),
        (["--model", "resnet"], "--model resnet: must be one of LitCNN, LitLeNet5, LitMLP, LitResNet, or "),
        (["--model", "LitLenet5"], "--model LitLenet5: must be one of LitCNN, LitLeNet5, "),
        (["--model.widths", "64"], "--model.widths 64: must be a list like [64, 32]"),
        (["--early_stopping", "never"], "--early_stopping never: must be int or null"),
        (["--model.lr", "1"], "--model.lr: no such flag; did you mean --model.learning_rate?"),
        (["--model.bs", "1"], "--model.bs: no such flag; did you mean --data.batch_size?"),
        (["--learning-rate", "1"], "--learning-rate: no such flag; did you mean --model.learning_rate?"),
        (["--epochs", "1"], "--epochs: no such flag; did you mean --trainer.max_epochs?"),
        (["--seed", "1"], "--seed: no such flag; did you mean --seed_everything?"),
        (["--trainer.callbacks+=EarlyStopping"], "--trainer.callbacks EarlyStopping: the following argu"),
        (["--trainer.precision", "17"], "--trainer.precision 17: must be one of 64, 32, 16, "),
        (["--trainer.max_epochs", "0"], "--trainer.max_epochs 0: must be at least 1"),
        (["--trainer.max_epochs", "-1"], "--trainer.max_epochs -1: must be at least 1, or -1 with"),
        (["--trainer.limit_train_batches", "0"], "--trainer.limit_train_batches 0: must be above 0"),
        (["--trainer.accumulate_grad_batches", "-2"], "--trainer.accumulate_grad_batches -2: must be above"),
        (["--trainer.gradient_clip_val", "-1"], "--trainer.gradient_clip_val -1: must be 0 or above"),
        (["--trainer.max_time", "00:00:30"], "--trainer.max_time 00:00:30: "),
        (["--data.batch_size=1", "--model.batch_norm=true"], "--data.batch_size 1: leaves one image a step"),
        (["--data.train_size=1", "--model.batch_norm=true"], "--data.train_size 1: leaves one image a step"),
        (["--trainer.callbacks=Timer", "--trainer.callbacks.duratio=3"], "such flag (--help lists them)"),
        (["--trainer.max_steps", "0"], "--trainer.max_steps 0: must be at least 1"),
        (["--trainer.enable_checkpointing", "false"], "--trainer.enable_checkpointing False: a run must"),
        (["--trainer.barebones", "true"], "--trainer.barebones True: a run must leave"),
        (["--trainer.default_root_dir", "x"], "--trainer.default_root_dir x: a run's folder lies in --logs"),
        (["--trainer.callbacks", "Nonsense"], "--trainer.callbacks Nonsense: must be the path of a class"),
        (["--trainer.callbacks", "EarlyStopping"], "the following arguments are required: monitor"),
        pytest.param(
            ["--trainer.accelerator", "gpu", "--trainer.precision", "null"],
            "--trainer.accelerator gpu: there is no GPU here that PyTorch can use; take cpu or auto",
            marks=pytest.mark.skipif(HAS_GPU, reason="there is a GPU on this machine"),
        ),
        (["--data.batch_size", "101", "--trainer.devices=2", "--trainer.strategy=ddp"], "multiple of 2"),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_refused(refusal: Callable[[list[str]], str], extra: list[str], message: str) -> None:
    assert message in refusal(extra)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer: {max_epochs: [\n", "{path}: is no YAML (while parsing"),
        ("- a\n- b\n", "{path}: must hold keys like 'trainer:', holds ['a', 'b']"),
        ("", "{path}: must hold keys like 'trainer:', holds None"),
        ("nme: x\n", "--nme: no such flag; did you mean --name?"),
        ("data:\n  batchsize: 1\n", "did you mean --data.batch_size?"),
        ("model: {init_args: {learning_rat: 1}}", "--model.learning_rat: no such flag; did you mean --mod"),
        ("data:\n  batch_size: many\n", "--data.batch_size many: must be int"),
        ("resume: logs/mlp\n", "{path}: resume must be a flag of the command line"),
        ("data:\n  seed: 3\n", "{path}: data.seed cannot be set apart, it is seed_everything"),
    ],
)
def test_a_wrong_yaml_is_refused(
    refusal: Callable[[list[str]], str], tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert message.format(path=path) in refusal(["--config", str(path)])
    assert message.format(path=path) in refusal(["-c", str(path)])


def test_files_and_folders_that_cannot_be_used_are_refused(
    refusal: Callable[[list[str]], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusal(["--config", "none.yaml"]).startswith("--config none.yaml: cannot be read (No such file")
    path = tmp_path / "taken"
    path.touch()
    assert refusal(["--logs", str(path)]).startswith(f"--logs {path}: cannot be written (")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("FMNIST_DATA", str(tmp_path / "empty"))
    message = refusal(["--data.root", str(tmp_path / "none")])
    assert f"{tmp_path / 'empty'}" in message
    assert "train-images-idx3-ubyte" in message


@pytest.mark.parametrize("args", [[], ["--model.learning_rate", "0.1"]])
def test_a_model_is_required(capsys: pytest.CaptureFixture[str], args: list[str]) -> None:
    with pytest.raises(SystemExit):
        train.main(args)
    assert capsys.readouterr().err == "error: --model: is required; --config configs/cnn.yaml has one\n"


@pytest.mark.parametrize(
    ("flag", "text", "key", "value"),
    [
        ("--model.widths", "(64, 32)", "model.init_args.widths", [64, 32]),
        ("--model.widths", "(64,)", "model.init_args.widths", [64]),
        ("--model.widths", "64,32", "model.init_args.widths", [64, 32]),
        ("--ema", "None", "ema", None),
        ("--early_stopping", "None", "early_stopping", None),
        ("--trainer.gradient_clip_val", "None", "trainer.gradient_clip_val", None),
        ("--model.batch_norm", "True", "model.init_args.batch_norm", True),
        ("--model.learning_rate", "1e-2", "model.init_args.learning_rate", 0.01),
        ("--name", "1e2", "name", "1e2"),
        ("--trainer.limit_train_batches", "1", "trainer.limit_train_batches", 1),
        ("--trainer.limit_train_batches", "1.0", "trainer.limit_train_batches", 1.0),
    ],
)
def test_values_are_taken_as_people_write_them(
    flags: list[str], tmp_path: Path, flag: str, text: str, key: str, value: object
) -> None:
    command = parse([*flags, flag, text])

    def found(config: Any) -> str:
        return repr(list(config[key]) if isinstance(config[key], tuple) else config[key])

    assert found(command.config) == repr(value)  # 1 batch is not 1.0
    for name in reversed(flag.strip("-").split(".")):  # the same in YAML
        text = f"{{{name}: {text if text.endswith('}') else repr(text)}}}"
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("'", '"'))
    assert found(parse([*flags, "--config", str(path)]).config) == repr(value)


class LitBroken(Classifier):
    """A network that does not fit the data, in one of several ways."""

    def __init__(self, kind: str) -> None:
        networks = {
            "classes": nn.Sequential(nn.Flatten(), nn.Linear(784, 11)),
            "inputs": nn.Sequential(nn.Flatten(), nn.Linear(28, 10)),
            "colours": nn.Conv2d(3, 10, 28),
            "map": nn.Conv2d(1, 10, 28),
        }
        super().__init__(networks[kind])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("classes", "Sequential must map images (2, 1, 28, 28) to logits (2, 10), gives (2, 11)"),
        ("inputs", "mat1 and mat2 shapes cannot be multiplied (2x784 and 28x10)"),
        ("colours", "to logits (2, 10): Given groups=1, weight of size"),
        ("map", "to logits (2, 10), gives (2, 10, 1, 1)"),
    ],
)
def test_a_network_that_does_not_fit_the_data_is_refused(
    refusal: Callable[[list[str]], str], kind: str, message: str
) -> None:
    said = refusal(["--model", f"{__name__}.LitBroken", "--model.kind", kind])
    assert said.startswith("--model: its network ")
    assert message in said


def test_a_defect_of_a_class_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(command_line, "TrainCLI", fail)
    with pytest.raises(ValueError, match="a defect"):
        parse([])


def test_later_files_and_flags_win(flags: list[str], tmp_path: Path) -> None:
    for number in (2, 3):
        text = f"trainer: {{max_epochs: {number}}}\nseed_everything: {number}\n"
        text += f"data: {{augmentation: {{shift: {number}}}}}\n"
        (tmp_path / f"{number}.yaml").write_text(text)
    files = ["--config", str(tmp_path / "2.yaml"), "--config", str(tmp_path / "3.yaml")]
    command = parse([*flags, *files, "--data.augmentation.shift", "4"])
    assert command.trainer_arguments["max_epochs"] == 3
    assert command.data.augmentation.shift == 4
    assert command.data.seed == 3


def test_callbacks_are_added_to_ours(flags: list[str]) -> None:
    command = parse([*flags, "--ema", "0.9", "--trainer.callbacks", "LearningRateMonitor"])
    callbacks = Session(command).trainer.callbacks  # type: ignore[attr-defined]
    names = {type(callback).__name__ for callback in callbacks}
    assert {"LearningRateMonitor", "StopAtNonFiniteLoss", "EMA", "BestCheckpoint"} <= names


@pytest.mark.parametrize("asked", [None, "32-true", "bf16-mixed"])
def test_precision_is_chosen_only_where_none_is_asked_for(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    chosen = ("64-true", "the fastest on {}")
    monkeypatch.setattr(command_line, "choose_precision", lambda kind: (chosen[0], chosen[1].format(kind)))
    command = parse([*flags, "--trainer.precision", asked or "null"])
    assert command.trainer_arguments["precision"] == (asked or "64-true")
    assert command.precision_reason == ("as asked" if asked else "the fastest on cpu")


@pytest.mark.parametrize(
    ("args", "shown", "hidden"),
    [
        ([], ["--name", "--model CLASS", "--data.augmentation.blur", "LitResNet"], ["--model.stem_width"]),
        (["--config", "configs/cnn.yaml"], ["Flags of LitCNN", "--model.stem_width"], ["--model.depth"]),
        (["--model", "LitResNet"], ["Flags of LitResNet", "--model.depth"], ["--model.stem_width"]),
        (["--model", "no.such.Network"], ["--model.optimizer"], ["Flags of"]),
    ],
)
def test_help_begins_with_the_project_and_ends_with_the_trainer(
    capsys: pytest.CaptureFixture[str], args: list[str], shown: list[str], hidden: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        train.main([*args, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for words in shown:
        assert words in text
    for words in hidden:
        assert words not in text
    assert ":class:" not in text
    assert text.index("--name") < text.index("--model CLASS") < text.index("--data.root")
    assert text.index("--data.augmentation.noise") < text.index("--trainer.max_epochs")
    assert len(text.splitlines()) < 178


def test_the_trainers_flags_are_listed_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        train.main(["--trainer.help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name in inspect.signature(Trainer).parameters:
        assert f"--trainer.{name}" in text
    assert ":class:" not in text


def test_only_yaml_files_are_looked_for_among_the_shipped_ones(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = parse([*flags, "--config", "configs/debug/cpu.yaml", "--name", "configs", "--logs", "scripts"])
    assert (command.config.name, str(command.config.logs)) == ("configs", "scripts")
