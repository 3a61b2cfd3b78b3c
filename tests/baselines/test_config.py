"""Files and flags of a baseline: what they become, and what is said of wrong ones."""

from pathlib import Path

import pytest
import yaml

from fmnist.baselines.config import Config, configure
from fmnist.core.errors import InputError

SVM = {"name": "svm", "estimator": {"class_path": "sklearn.svm.SVC", "init_args": {"C": 10, "gamma": 0.1}}}


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "svm.yaml"
    file.write_text(yaml.safe_dump(SVM))
    return str(file)


def estimator(config: Config) -> dict[str, object]:
    assert config.estimator is not None
    return config.estimator


def test_defaults(path: str) -> None:
    config = configure(["--config", path])
    assert config.name == "svm"
    assert config.estimator == SVM["estimator"]
    assert (config.logs, config.seed, config.engine, config.features) == ("logs", 0, "auto", [])
    assert config.data == {"root": "data", "val_size": 5000, "train_size": None, "split_seed": 0}


def test_flags_win(path: str) -> None:
    flags = ["--name", "mine", "--seed=3", "--data.val_size", "0", "--features", "[hog, {pca: 80}]"]
    config = configure(["--config", path, *flags, "--engine", "stock", "--logs", "elsewhere"])
    assert (config.name, config.seed, config.engine, config.logs) == ("mine", 3, "stock", "elsewhere")
    assert config.features == ["hog", {"pca": 80}]
    assert config.data["val_size"] == 0
    assert config.data["split_seed"] == 0


@pytest.mark.parametrize("flag", ["--estimator.C", "--estimator.init_args.C"])
def test_an_argument_is_a_flag(path: str, flag: str) -> None:
    config = configure(["--config", path, flag, "1e-3"])
    assert estimator(config)["init_args"] == {"C": 0.001, "gamma": 0.1}


def test_arguments_do_not_outlive_their_class(path: str) -> None:
    config = configure(["--config", path, "--estimator", "sklearn.naive_bayes.GaussianNB"])
    assert config.estimator == {"class_path": "sklearn.naive_bayes.GaussianNB"}
    same = configure(["--config", path, "--estimator", "sklearn.svm.SVC", "--estimator.C", "1"])
    assert estimator(same)["init_args"] == {"C": 1, "gamma": 0.1}


def test_files_stack(path: str, tmp_path: Path) -> None:
    second = tmp_path / "small.yaml"
    second.write_text("data: {train_size: 100}\nestimator: {init_args: {tol: 1e-2}}\n")
    config = configure(["--config", path, "--config", str(second)])
    assert config.data["train_size"] == 100
    assert estimator(config)["init_args"] == {"C": 10, "gamma": 0.1, "tol": 0.01}


def test_what_is_dumped_is_read_again(path: str, tmp_path: Path) -> None:
    config = configure(["--config", path, "--features", "[hog]", "--seed", "4", "--data.train_size", "50"])
    again = tmp_path / "config.yaml"
    again.write_text(config.dump())
    assert configure(["--config", str(again)]) == config
    blend = configure(["--blend", "[a, b]", "--name", "both"])
    again.write_text(blend.dump())
    assert configure(["--config", str(again)]) == blend


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        configure(["--help"])
    assert stop.value.code == 0
    assert "--estimator.ARGUMENT VALUE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--nam", "x"], "--nam: no such key; did you mean --name?"),
        (["--data.valsize", "1"], "--data.valsize: no such key; did you mean --data.val_size?"),
        (["--data.batch_size", "1"], "--data.batch_size: no such key"),
        (["--data", "x"], "--data.x: no such key"),
        (["stray"], "stray: no such flag"),
        (["--name"], "--name: expected one argument"),
        (["--config"], "--config: expected one argument"),
        (["--config", "missing.yaml"], "--config missing.yaml: cannot be read (No such file or directory)"),
        (["--features", "[hog"], "--features [hog: is no YAML"),
        (["--name", "a/b"], "--name 'a/b': must be letters"),
        (["--engine", "slow"], "--engine slow: must be one of auto, fast, stock"),
        (["--seed", "-1"], "--seed -1: must be a whole number, 0 or more"),
        (["--seed", "x"], "--seed x: must be a whole number"),
        (["--data.val_size", "1.5"], "--data.val_size 1.5: must be a whole number"),
        (["--data.train_size", "0"], "--data.train_size 0: must be a whole number, 1 or more"),
        (["--blend", "[a, b]"], "--estimator or --blend: one of them is wanted, not both"),
    ],
)
def test_wrong_flags_are_said(path: str, flags: list[str], said: str) -> None:
    with pytest.raises(InputError) as error:
        configure(["--config", path, *flags])
    assert str(error.value).startswith(said)
    assert len(str(error.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--estimator or --blend: one of them is required"),
        (["--blend", "[a]"], "--blend ['a']: must list two runs or more"),
        (["--blend", "a"], "--blend a: must list two runs or more"),
        (["--blend", "[a, b]", "--data.val_size", "0"], "--data.val_size 0: a blend is weighted by"),
    ],
)
def test_wrong_wholes_are_said(flags: list[str], said: str) -> None:
    with pytest.raises(InputError) as error:
        configure(flags)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", "must hold keys like 'estimator:', holds ['a']"),
        ("a: [", "is no YAML"),
        ("\0", "is no YAML"),
        ("estimatr: {}", "estimatr: no such key; did you mean estimator?"),
        ("data: {roots: x}", "data.roots: no such key; did you mean data.root?"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        configure(["--config", str(file)])
    assert str(error.value).startswith(f"--config {file}: {said}")
