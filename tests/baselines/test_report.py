"""What is measured and shown of a baseline."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fmnist.baselines import report
from fmnist.baselines.config import configure
from fmnist.baselines.estimators import Scores
from fmnist.core.runs import Predictions, Run


@pytest.fixture
def predictions() -> Predictions:
    generator = np.random.default_rng(0)
    labels = generator.integers(10, size=300)
    scores = generator.normal(size=(300, 10)) + 1.5 * np.eye(10)[labels]
    log_probabilities = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    return Predictions(log_probabilities.astype(np.float32), labels, np.arange(300))


def test_measures_are_scikit_learns(predictions: Predictions) -> None:
    found = report.measure(predictions, "log-probabilities")
    labels, predicted = predictions.labels, predictions.logits.argmax(1)
    expected = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "top2_accuracy": metrics.top_k_accuracy_score(labels, predictions.logits, k=2),
        "precision": metrics.precision_score(labels, predicted, average="macro"),
        "recall": metrics.recall_score(labels, predicted, average="macro"),
        "f1": metrics.f1_score(labels, predicted, average="macro"),
        "loss": metrics.log_loss(labels, predictions.probabilities),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert list(found["class_accuracy"].values()) == pytest.approx(
        metrics.recall_score(labels, predicted, average=None), abs=1e-5
    )
    assert found["confusion_matrix"] == metrics.confusion_matrix(labels, predicted).tolist()
    assert 0 < found["calibration_error"] < 1


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("decision scores", {"loss", "calibration_error"}),
        ("decisions", {"loss", "calibration_error", "top2_accuracy"}),
    ],
)
def test_what_has_no_meaning_is_left_out(predictions: Predictions, kind: Scores, missing: set[str]) -> None:
    whole = report.measure(predictions, "log-probabilities")
    assert report.measure(predictions, kind) == {k: v for k, v in whole.items() if k not in missing}


def test_figures_and_tensorboard(predictions: Predictions, tmp_path: Path) -> None:
    measured = report.measure(predictions, "log-probabilities")
    run = Run.create(tmp_path, "mlp", metrics={"val": measured, "test": measured}, fit_seconds=1.5)
    report.write_table(run, [2.0, 1.0, 0.5])
    images = np.random.default_rng(0).integers(256, size=(300, 28, 28)).astype(np.uint8)
    drawn = report.draw_figures(run, predictions, "log-probabilities", images)
    assert drawn.keys() == {"confusion_matrix", "class_f1", "worst_errors", "curves"}
    assert {path.stem for path in (run.path / "figures").iterdir()} == drawn.keys()
    config = configure(["--estimator", "sklearn.svm.SVC", "--estimator.C", "3"])
    report.write_tensorboard(run, drawn, config)
    events = EventAccumulator(str(run.path))
    events.Reload()
    assert [event.value for event in events.Scalars("train/loss")] == [2.0, 1.0, 0.5]
    assert [event.step for event in events.Scalars("val/accuracy")] == [2]
    assert set(events.Tags()["images"]) == {f"figures/{name}" for name in drawn}


def test_without_epochs_there_is_one_row_and_no_curve(predictions: Predictions, tmp_path: Path) -> None:
    run = Run.create(tmp_path, "knn", metrics={"test": {}}, fit_seconds=1.5)
    report.write_table(run, [])
    assert (run.path / "metrics.csv").read_text().splitlines() == ["epoch,seconds", "0,1.5"]
    images = np.zeros((300, 28, 28), np.uint8)
    assert "curves" not in report.draw_figures(run, predictions, "decision scores", images)
