"""Files and flags of a baseline become a configuration; errors name the wrong ones."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fmnist.baselines.config import DEFAULTS, configure
from fmnist.core.errors import InputError

SVM: dict[str, Any] = {"class_path": "sklearn.svm.SVC", "init_args": {"C": 10, "gamma": 0.1}}


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "svm.yaml"
    file.write_text(yaml.safe_dump({"name": "svm", "estimator": SVM}))
    return str(file)


def test_flags_win_over_the_file_and_the_file_over_defaults(path: str) -> None:
    flags = [
        "--seed_everything=3",
        "--data.val_size",
        "0",
        "--features",
        "[hog, {pca: 80}]",
        "--engine",
        "stock",
    ]
    config = configure(["--config", path, *flags])
    assert (config.name, config.seed_everything, config.engine, config.logs) == ("svm", 3, "stock", "logs")
    assert config.features == ["hog", {"pca": 80}]
    assert config.estimator == SVM
    assert config.data == {**DEFAULTS["data"], "val_size": 0}


@pytest.mark.parametrize(
    ("flags", "estimator"),
    [
        (["--estimator.C", "1e-3"], {**SVM, "init_args": {"C": 0.001, "gamma": 0.1}}),
        (["--estimator.init_args.C", "1"], {**SVM, "init_args": {"C": 1, "gamma": 0.1}}),
        (
            ["--estimator", "sklearn.svm.SVC", "--estimator.C", "1"],
            {**SVM, "init_args": {"C": 1, "gamma": 0.1}},
        ),
        (["--estimator", "sklearn.naive_bayes.GaussianNB"], {"class_path": "sklearn.naive_bayes.GaussianNB"}),
    ],
)
def test_arguments_are_flags_and_do_not_outlive_their_class(
    path: str, flags: list[str], estimator: dict[str, Any]
) -> None:
    assert configure(["--config", path, *flags]).estimator == estimator


def test_hints_name_runs_as_they_are_on_the_disk() -> None:
    """Every run that a message, help text, YAML or page names is made by a configuration, or by `--name`."""
    root = Path(__file__).parents[2]
    names = {yaml.safe_load(path.read_text()).get("name") for path in root.glob("configs/**/*.yaml")}
    placeholders = {"NAME", "A", "B", "comparison", "studies", "pretrained", "benchmark", "name", ""}
    pages = [root / "README.md", *root.glob("docs/**/*.md")]
    made = {name for page in pages for name in re.findall(r"(?:--name|name:) ([\w-]+)", page.read_text())}
    placeholders |= made | {"first-comparison"}
    files = [*pages, *root.glob("fmnist/**/*.py"), *root.glob("scripts/*.py")]
    for file in [*files, *root.glob("configs/**/*.yaml")]:
        named = set(re.findall(r"\blogs/<?([\w.-]*)", file.read_text()))
        assert named - placeholders <= names, file


def test_files_stack(path: str, tmp_path: Path) -> None:
    second = tmp_path / "small.yaml"
    second.write_text("data: {train_size: 100}\nestimator: {init_args: {tol: 1e-2}}\n")
    config = configure(["--config", path, "--config", str(second)])
    assert config.data["train_size"] == 100
    assert config.estimator == {**SVM, "init_args": {"C": 10, "gamma": 0.1, "tol": 0.01}}


@pytest.mark.parametrize(
    "flags",
    [["--estimator", "sklearn.svm.SVC", "--features", "[hog]", "--data.fold", "1"], ["--blend", "[a, b]"]],
)
def test_what_is_dumped_is_read_again(tmp_path: Path, flags: list[str]) -> None:
    config = configure(flags)
    (tmp_path / "config.yaml").write_text(config.dump())
    assert configure(["--config", str(tmp_path / "config.yaml")]) == config


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--nam", "x"], "--nam: no such key; did you mean --name?"),
        (["--data", "x"], "--data 'x': must hold keys by name"),
        (["stray"], "stray: no such flag"),
        (["--name"], "--name: expected one argument"),
        (["--config", "missing.yaml"], "--config missing.yaml: cannot be read (No such file or directory)"),
        (["--features", "[hog"], "--features [hog: is no YAML"),
        (["--data.copies", "-1"], "--data.copies -1: must be a whole number, 0 or more"),
        (
            ["--data.augmentation.flp", "true"],
            "--data.augmentation.flp: no such key; did you mean --data.augmentation.flip?",
        ),
        (["--data.augmentation.flip", "left"], "--data.augmentation.flip left: must be true or false"),
        (["--data.augmentation.flip", "0.5"], "--data.augmentation.flip 0.5: must be true or false"),
        (["--data.augmentation.rotate", "true"], "--data.augmentation.rotate True: must be a number"),
        (["--data.augmentation", "flip"], "--data.augmentation flip: must hold settings by name"),
        (["--data", "[[1]]"], "--data [[1]]: must hold keys by name"),
        (["--blend", "[a, b]", "--features", "[hog]"], "--features ['hog']: a blend has none"),
        (["--data.augmentation.shift", "99"], "--data.augmentation.shift 99: must lie between"),
        (["--data.augmentation.flip", "true"], "--data.augmentation: augments copies"),
        (["--data.copies", "3"], "--data.copies 3: needs --data.augmentation"),
        (
            ["--data.copies", "1", "--data.augmentation.shift", "1.5"],
            "--data.augmentation.shift 1.5: must be a whole number",
        ),
        (
            ["--data.copies", "1", "--data.augmentation.mixup", "0.2"],
            "--data.augmentation: mixup and cutmix make targets",
        ),
        (["--blend", "[a, b]", "--data.copies", "1"], "--data.copies 1: a blend is not fitted to images"),
        (["--name", "a/b"], "--name 'a/b': must be letters"),
        (["--engine", "slow"], "--engine slow: must be one of auto, fast, stock"),
        (["--seed", "1"], "--seed: no such key; did you mean --seed_everything?"),
        (["--seed_everything", "-1"], "--seed_everything -1: must be a whole number, 0 or more"),
        (["--seed_everything", "true"], "--seed_everything True: must be a whole number, 0 or more"),
        (["--data.val_size", "1.5"], "--data.val_size 1.5: must be a whole number"),
        (["--data.fold", "-1"], "--data.fold -1: must be a whole number, 0 or more"),
        (["--data.train_size", "0"], "--data.train_size 0: must be a whole number, 1 or more"),
        (
            ["--estimator", "a.B", "--blend", "[a, b]"],
            "--estimator or --blend: choose one of them",
        ),
        ([], "--estimator or --blend: one of them is required"),
        (["--blend", "[a]"], "--blend ['a']: must list two runs or more"),
        (["--blend", "[a, b]", "--data.val_size", "0"], "--data.val_size 0: a blend is weighted by"),
    ],
)
def test_wrong_flags_are_named(flags: list[str], message: str) -> None:
    with pytest.raises(InputError) as error:
        configure(flags)
    assert str(error.value).startswith(message)
    assert len(str(error.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "must hold keys like 'estimator:', holds ['a']"),
        ("a: [", "is no YAML"),
        ("estimatr: {}", "estimatr: no such key; did you mean estimator?"),
        ("data: {roots: x}", "data.roots: no such key; did you mean data.root?"),
    ],
)
def test_wrong_files_are_named(path: str, text: str, message: str) -> None:
    Path(path).write_text(text)
    with pytest.raises(InputError) as error:
        configure(["--config", path])
    assert str(error.value).startswith(f"--config {path}: {message}")


@pytest.mark.parametrize(
    ("text", "flag"), [("name:", "name"), ("logs: null", "logs"), ("data: {root: null}", "data.root")]
)
def test_a_name_and_folders_are_needed(path: str, text: str, flag: str) -> None:
    Path(path).write_text(f"estimator: sklearn.naive_bayes.GaussianNB\n{text}\n")
    with pytest.raises(InputError, match=f"^--{flag} null: a value is needed$"):
        configure(["--config", path])
