"""Every configuration trains or fits; debug presets stack on networks."""

import re
import shlex
from collections.abc import Callable, Set
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from fmnist.baselines import fitting, report
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data.augmentation import Augmentation
from fmnist.models.layers import parameter_count
from fmnist.pictures import read_labelled_folder
from fmnist.training import outputs
from fmnist.training.command_line import Command, parse
from fmnist.training.train import main
from scripts import baseline
from tests.baselines.network import write_network
from tests.quick import leave_out_figures

ROOT = Path(__file__).parents[1]
PUBLISHED = sorted((ROOT / "configs" / "published").glob("*.yaml"))
FOLDERS = ("", "baselines", "record", "speedrun")
RUNS = [*PUBLISHED, *(path for folder in FOLDERS for path in (ROOT / "configs" / folder).glob("*.yaml"))]
BASELINES = sorted(path for path in RUNS if path.read_text().startswith("# python scripts/baseline.py"))
MODELS = sorted(set(RUNS) - set(BASELINES))
MAPPINGS = sorted((ROOT / "configs" / "photographs").glob("*.yaml"))
PRESETS = sorted((ROOT / "configs" / "debug").glob("*.yaml"))
DIFFERENT = [
    ROOT / "configs" / path
    for path in ("robust.yaml", "record/cnn.yaml", "record/lenet5.yaml", "published/resnet.yaml")
]
"""Networks of different settings."""
STACKS = [  # the preset that removes keys, on every network
    (path, preset) for preset in PRESETS for path in (MODELS if preset.stem == "overfit" else DIFFERENT)
]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "configs"))


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted name."""
    settings: dict[str, Any] = {}
    for key, value in content.items():
        nested = isinstance(value, dict)
        settings |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return settings


def check_recorded(config: dict[str, Any], *paths: Path, changed: Set[str] = frozenset()) -> None:
    """Check that a resolved configuration has all settings of stacked YAML files but for ``changed``."""
    config, expected = flat(config), {}
    for path in paths:
        above = flat(read(path))  # null replaces all settings below it
        below = {
            key: value for key, value in expected.items() if not key.startswith(tuple(f"{k}." for k in above))
        }
        expected = below | above
    names = expected.keys() - changed
    assert {key: config[key] for key in names} == {key: expected[key] for key in names}


def configure(*paths: Path, flags: tuple[str, ...] = ()) -> Command:
    """Parse and build, without training, what YAML files and flags describe."""
    return parse([*(word for path in paths for word in ("--config", str(path))), *flags])


def teachers(path: Path) -> tuple[str, ...]:
    """Return flags that name a shipped network in place of the runs that a configuration learns from."""
    return ("--teachers", "lenet5") if "teachers" in read(path) else ()


@pytest.fixture(autouse=True)
def _no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py"])  # Lightning warns of flags beside given ones


@pytest.fixture
def train(synthetic_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Return a function that trains on the drawn set; figures are left out."""
    leave_out_figures(monkeypatch, outputs)
    where = ["--data.root", str(synthetic_root), "--logs", str(tmp_path), "--trainer.precision", "32-true"]

    def run(*paths: Path, flags: tuple[str, ...] = ()) -> Run:
        finished = main([*(word for path in paths for word in ("--config", str(path))), *flags, *where])
        assert finished is not None
        return Run(finished.path)

    return run


@pytest.mark.parametrize("path", sorted({*(ROOT / "configs").rglob("*.yaml")} - {*MAPPINGS}), ids=name)
def test_a_configuration_begins_with_its_command(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert re.match(r"# python scripts/\w+\.py .*--config ", first)
    words = shlex.split(first)
    assert f"configs/{name(path)}" in words
    for word in words:
        assert "/" not in word or (ROOT / word).is_file(), f"{word} does not exist"
    assert not [key for key, value in flat(read(path)).items() if "flip_av" in key and value]


@pytest.mark.parametrize("path", MAPPINGS, ids=name)
def test_a_mapping_begins_with_its_command_and_source_and_maps_every_subfolder(
    path: Path, tmp_path: Path
) -> None:
    command, source = path.read_text().splitlines()[:2]
    words = shlex.split(command)
    assert words[1:3] == ["python", "scripts/evaluate.py"]
    assert words[-1] == f"configs/{name(path)}"
    assert "https://" in source
    assert "CC0" in source
    subfolders = ["dress", "hat", "longsleeve", "outwear", "pants"]
    subfolders += ["shirt", "shoes", "shorts", "skirt", "t-shirt"]
    for subfolder in subfolders:
        (tmp_path / subfolder).mkdir()
        (tmp_path / subfolder / "1.jpg").touch()
    folder = read_labelled_folder(tmp_path, path, "--photographs", "--classes")
    assert sorted([*folder.answers, *folder.left_out]) == subfolders


@pytest.mark.parametrize("path", PUBLISHED, ids=name)
def test_published_configurations_use_all_training_images(path: Path) -> None:
    settings = flat(read(path))
    assert settings["data.val_size"] == 0
    assert "data.train_size" not in settings


def test_every_run_has_a_name_of_its_own() -> None:
    names = [read(path)["name"] for path in RUNS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", MODELS, ids=name)
def test_a_configuration_trains(train: Callable[..., Run], path: Path) -> None:
    settings = flat(read(path))
    val_size = 0 if settings.get("data.val_size") == 0 else 50
    sizes = ("--data.val_size", str(val_size), "--data.batch_size", "20", "--data.eval_batch_size", "100")
    short = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2")
    run = train(path, flags=(*sizes, *teachers(path), *short))
    assert run.record["name"] == settings["name"]
    assert run.status == "finished"
    assert run.record["split"]["val"] == val_size
    changed = {"data.val_size", "data.batch_size", "data.eval_batch_size", "trainer.max_epochs", "teachers"}
    check_recorded(run.config, path, changed=changed)


@pytest.mark.parametrize("path", BASELINES, ids=name)
def test_a_baseline_fits(
    synthetic_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.setattr(fitting, "fit_in_subprocess", fitting.fit)
    leave_out_figures(monkeypatch, report)
    monkeypatch.chdir(tmp_path)  # where logs/cnn is what a configuration is made of
    for member in ("cnn", "hog-svm"):
        write_network(synthetic_root, tmp_path / "logs", member)
    settings = flat(read(path))
    val_size = 0 if settings.get("data.val_size") == 0 else 100
    flags = ["--data.root", str(synthetic_root), "--data.val_size", str(val_size)]
    if "estimator.init_args.max_iter" in settings:
        flags += ["--estimator.max_iter", "2"]
    if "estimator.init_args.n_estimators" in settings:
        flags += ["--estimator.n_estimators", "10"]
    if "blend" in settings:
        flags += ["--blend", "[logs/cnn, logs/hog-svm]"]
    run = baseline.main(["--config", str(path), *flags])
    assert (run.record["name"], run.record["status"]) == (settings["name"], "finished")
    assert run.record["split"]["val"] == val_size
    assert run.record["command"].startswith(f"python scripts/baseline.py --config {path}")
    shortened = {f"estimator.init_args.{name}" for name in ("max_iter", "n_estimators")}
    changed = {"data.val_size", *shortened, "features", "blend"}
    check_recorded(run.config, path, changed=changed)


def test_the_parameters_in_readme_are_those_of_the_networks() -> None:
    cells = re.findall(r"^\| `configs/(\S+)`.*? \| ([\d,]+) \|", (ROOT / "README.md").read_text(), re.M)
    paths = {ROOT / "configs" / path: count for path, count in cells}
    models = {path: configure(path, flags=teachers(path)).model for path in paths}
    assert len(paths) > 5
    assert {path: f"{parameter_count(model.network):,}" for path, model in models.items()} == paths


@pytest.mark.parametrize(("path", "preset"), STACKS, ids=name)
def test_a_preset_stacks_on_every_network(path: Path, preset: Path) -> None:
    command = configure(path, preset, flags=teachers(path))
    check_recorded(yaml.safe_load(command.config_yaml), path, preset, changed={"teachers"})
    if preset.stem == "overfit":
        assert command.data.augmentation == Augmentation()  # everything is off
        assert command.config.ema is None


@pytest.mark.parametrize("preset", PRESETS, ids=name)
def test_a_preset_trains(
    train: Callable[..., Run], preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # profilers may write into the working directory
    lenet5 = ROOT / "configs" / "lenet5.yaml"
    run = train(lenet5, preset, flags=("--data.val_size", "50", "--trainer.max_epochs", "1"))
    assert run.status == "finished"
    check_recorded(run.config, lenet5, preset, changed={"trainer.max_epochs"})
    if preset.stem != "cpu":  # the training of `cpu` is a whole one
        assert run.record["name"] == f"debug-{preset.stem}"
        assert not (tmp_path / "lenet5").exists()


@pytest.mark.parametrize("order", [("lenet5", "debug/fast"), ("debug/fast", "lenet5")])
def test_a_debug_run_is_no_answer_to_the_name_of_real_ones(
    train: Callable[..., Run], tmp_path: Path, order: tuple[str, str]
) -> None:
    paths = [ROOT / "configs" / f"{config}.yaml" for config in order]
    run = train(*paths, flags=("--data.val_size", "50"))
    with pytest.raises(InputError, match=r"holds no finished run .* is a debug run|does not exist"):
        Run.find(tmp_path / "lenet5")
    assert Run.find(run.path).path == run.path


def test_flags_add_to_a_preset_that_turns_augmentation_off() -> None:
    overfit = ROOT / "configs" / "debug" / "overfit.yaml"
    command = configure(ROOT / "configs" / "robust.yaml", overfit, flags=("--data.augmentation.shift", "2"))
    assert command.data.augmentation == Augmentation(shift=2)


def test_every_augmentation_is_a_flag_and_a_key() -> None:
    values = {field.name: {"shift": 3, "flip": True}.get(field.name, 0.123) for field in fields(Augmentation)}
    words = [(f"--data.augmentation.{key}", str(value).lower()) for key, value in values.items()]
    command = configure(ROOT / "configs" / "mlp.yaml", flags=tuple(word for pair in words for word in pair))
    assert command.data.augmentation == Augmentation(**values)
    assert yaml.safe_load(command.config_yaml)["data"]["augmentation"] == values
