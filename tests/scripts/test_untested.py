"""Runs with ``--test false``: the test set is left alone, and every later script says so in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch import Trainer

from fmnist.baselines import fit, fitting
from fmnist.core.runs import UNTESTED, Run
from fmnist.data.arrays import images_of
from fmnist.training.train import main as train
from scripts import baseline, compare, evaluate, explain
from tests.evaluation.made import make_run

TINY = ["--model", "fmnist.models.mlp.LitMLP", "--model.widths", "[8]", "--trainer.max_epochs", "1"]
CPU = ["--trainer.accelerator", "cpu", "--trainer.precision", "32-true"]


@pytest.fixture
def untested(synthetic_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """A network and a baseline that were trained where whatever looks at the test set fails."""

    def refuses(*_: object, **__: object) -> None:
        raise AssertionError("the test set was looked at")

    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.setattr(fitting, "fit_in_subprocess", fitting.fit)  # whose start would take seconds
    monkeypatch.setattr(Trainer, "test", refuses)
    monkeypatch.setattr(
        fit, "images_of", lambda data, part: refuses() if part == "test" else images_of(data, part)
    )
    places = ["--data.root", str(synthetic_root), "--data.val_size", "100", "--logs", str(tmp_path)]
    flags = ["--data.batch_size", "100", "--name", "network", "--test", "false"]
    network = train([*TINY, *CPU, *places, *flags])
    estimator = ["--name", "bayes", "--estimator", "sklearn.naive_bayes.GaussianNB", "--test", "false"]
    fitted = baseline.main([*estimator, *places])
    assert network is not None
    assert fitted is not None
    monkeypatch.undo()
    return [Run(network.path), Run(fitted.path)]


def test_they_are_validated_only_and_later_scripts_say_so(
    untested: list[Run],
    synthetic_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    refused: Callable[..., str],
) -> None:
    for run in untested:
        assert run.status == "finished"
        assert run.record["metrics"].keys() == {"val"}
        assert {path.name for path in (run.path / "predictions").iterdir()} == {"val.npz"}
        assert not run.is_tested
    for main, more in (
        (evaluate.main, ["--shifts", "50"]),
        (explain.main, ["--method", "occlusion", "--worst", "2"]),
    ):
        error = refused(main, untested[0].path, "--data.root", synthetic_root, *more)
        assert error == f"error: {untested[0].path}: {UNTESTED}\n"
        assert not (untested[0].path / "shifts.json").exists()
    for name in ("cnn", "mlp"):
        make_run(tmp_path, name)
    compare.main([str(tmp_path), "--output", str(tmp_path / "page")])
    first = min(run.path for run in untested)
    assert capsys.readouterr().out.startswith(f"skipped {first} and 1 more: {UNTESTED}\n")


def test_a_wrong_value_is_refused(refused: Callable[..., str]) -> None:
    for main, flags in ((train, TINY), (baseline.main, ["--estimator", "sklearn.svm.SVC"])):
        assert refused(main, *flags, "--test", "perhaps").startswith("error: --test perhaps: must be ")


def test_a_study_leaves_its_mark_in_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "study" not in Run.create(tmp_path, "alone").record
    study = {"name": "search", "trial": 3, "values": {"model.learning_rate": 0.1}}
    monkeypatch.setenv("FMNIST_STUDY", json.dumps(study))
    assert Run(Run.create(tmp_path, "trial").path).record["study"] == study
