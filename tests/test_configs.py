"""Every configuration trains or fits; the debug presets stack on one."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fmnist.baselines import fitting
from fmnist.baselines import report as baseline_report
from fmnist.core.runs import Run
from fmnist.training import cli, report
from fmnist.training.train import main
from scripts import baseline
from tests.baselines.network import write_network

ROOT = Path(__file__).parents[1]
PUBLISHED = sorted((ROOT / "configs" / "published").glob("*.yaml"))
RUNS = [*(ROOT / "configs").glob("*.yaml"), *(ROOT / "configs" / "baselines").glob("*.yaml"), *PUBLISHED]
BASELINES = sorted(path for path in RUNS if path.read_text().startswith("# python scripts/baseline.py"))
MODELS = sorted(set(RUNS) - set(BASELINES))
PRESETS = sorted((ROOT / "configs" / "debug").glob("*.yaml"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "configs"))


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted name."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        nested = isinstance(value, dict)
        found |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


@pytest.fixture
def train(synthetic_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Train on the drawn set; figures are left out, and precision is not measured."""
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.setattr(cli, "choose_precision", lambda _: ("32-true", "a test"))
    monkeypatch.setattr(report, "draw_figures", lambda *_: {})
    monkeypatch.setattr(report, "write_tensorboard", lambda *_: None)

    def run(*flags: str) -> Run:
        made = main([*flags, "--data.root", str(synthetic_root), "--logs", str(tmp_path)])
        assert made is not None
        return Run(made.path)

    return run


def test_there_are_configurations() -> None:
    assert {"lenet5.yaml", "published/lenet5.yaml"} <= set(map(name, MODELS))
    assert {"baselines/svm.yaml", "published/mlp_classifier.yaml"} <= set(map(name, BASELINES))
    assert {path.stem for path in PRESETS} >= {"fast", "overfit", "profile", "cpu"}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=name)
def test_a_configuration_begins_with_its_command(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert re.match(r"# python scripts/\w+\.py .*--config ", first)
    words = shlex.split(first)
    assert f"configs/{name(path)}" in words
    for word in words:
        assert "/" not in word or (ROOT / word).is_file(), f"{word} does not exist"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=name)
def test_no_configuration_averages_over_flips(path: Path) -> None:
    assert not [
        key for key, value in flat(yaml.safe_load(path.read_text())).items() if "flip_av" in key and value
    ]


@pytest.mark.parametrize("path", PUBLISHED, ids=name)
def test_published_configurations_use_all_training_images(path: Path) -> None:
    settings = flat(yaml.safe_load(path.read_text()))
    assert settings["data.val_size"] == 0
    assert "data.train_size" not in settings


def test_every_run_has_a_name_of_its_own() -> None:
    names = [yaml.safe_load(path.read_text())["name"] for path in RUNS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", MODELS, ids=name)
def test_a_configuration_trains(train: Callable[..., Run], path: Path) -> None:
    settings = flat(yaml.safe_load(path.read_text()))
    val_size = 0 if settings.get("data.val_size") == 0 else 50
    sizes = ["--data.val_size", str(val_size), "--data.batch_size", "20", "--data.eval_batch_size", "100"]
    run = train(
        "--config", str(path), *sizes, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"
    )
    assert run.record["name"] == settings["name"]
    assert run.record["status"] == "finished"
    assert run.record["split"]["val"] == val_size
    made = flat(yaml.safe_load((run.path / "config.yaml").read_text()))
    changed = {"data.val_size", "data.batch_size", "data.eval_batch_size", "trainer.max_epochs"}
    assert {key: made[key] for key in settings.keys() - changed} == {
        key: settings[key] for key in settings.keys() - changed
    }


@pytest.mark.parametrize("path", BASELINES, ids=name)
def test_a_baseline_fits(
    synthetic_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.setattr(fitting, "fit_in_subprocess", fitting.fit)
    monkeypatch.setattr(baseline_report, "draw_figures", lambda *_: {})
    monkeypatch.setattr(baseline_report, "write_tensorboard", lambda *_: None)
    monkeypatch.chdir(tmp_path)  # where logs/cnn is what a configuration is made of
    for member in ("cnn", "hog-svm"):
        write_network(synthetic_root, tmp_path / "logs", member)
    settings = flat(yaml.safe_load(path.read_text()))
    val_size = 0 if settings.get("data.val_size") == 0 else 100
    flags = ["--data.root", str(synthetic_root), "--data.val_size", str(val_size)]
    if "estimator.init_args.max_iter" in settings:
        flags += ["--estimator.max_iter", "2"]
    run = baseline.main(["--config", str(path), *flags])
    assert (run.record["name"], run.record["status"]) == (settings["name"], "finished")
    assert run.record["split"]["val"] == val_size
    assert run.record["command"].startswith(f"python scripts/baseline.py --config {path}")
    made = flat(yaml.safe_load((run.path / "config.yaml").read_text()))
    changed = {"data.val_size", "estimator.init_args.max_iter", "features", "blend"}
    assert {key: made[key] for key in settings.keys() - changed} == {
        key: settings[key] for key in settings.keys() - changed
    }


@pytest.mark.parametrize("preset", PRESETS, ids=name)
def test_a_preset_stacks_on_a_model(
    train: Callable[..., Run], preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # profilers may write where they stand
    lenet5 = ROOT / "configs" / "lenet5.yaml"
    run = train("--config", str(lenet5), "--config", str(preset), "--data.val_size", "50")
    made = flat(yaml.safe_load((run.path / "config.yaml").read_text()))
    expected = flat(yaml.safe_load(lenet5.read_text())) | flat(yaml.safe_load(preset.read_text()))
    assert {key: made[key] for key in expected} == expected
