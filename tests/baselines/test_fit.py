"""A baseline writes what the networks write: the same split, the same metrics, the same folder."""

import csv
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import log_softmax
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fmnist.baselines import fitting, report
from fmnist.baselines.config import configure
from fmnist.baselines.estimator import ScoreType, load_estimator
from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.images import as_pixels
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.data.arrays import images_of
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.evaluation.summary import summarise
from fmnist.inference.predictor import load_logits
from fmnist.models.loading import in_batches, load_classifier
from scripts import evaluate, explain, predict

Fit = Callable[..., Run]
LOGISTIC = ["--name", "logistic", "--estimator", "sklearn.linear_model.LogisticRegression"]
MLP = ["--name", "mlp", "--estimator", "sklearn.neural_network.MLPClassifier", "--estimator.max_iter", "3"]
SVM = ["--name", "svm", "--estimator", "sklearn.svm.SVC", "--features", "[hog, {pca: 20}]"]


@pytest.fixture
def data(synthetic_root: Path) -> FashionMNISTDataModule:
    module = FashionMNISTDataModule(str(synthetic_root), val_size=100)
    module.setup()
    return module


def test_its_folder_is_locked_until_its_end(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(predictions: Predictions, *_: object) -> dict[str, float]:
        (run,) = Run.all(Path(logs))
        with pytest.raises(InputError, match="is being trained by another process"), run.locked():
            pass
        return {"accuracy": predictions.accuracy}

    logs = fit(*LOGISTIC).path.parent.parent / "other"
    monkeypatch.setattr(report, "measure", measure)
    run = fit(*LOGISTIC, "--name", "other")
    with run.locked():
        assert run.status == "finished"


def test_the_folder_holds_what_is_promised(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(*MLP, "--seed_everything", "4")
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    named = {".lock", "config.yaml", "run.json", "metrics.csv", "checkpoints/estimator.skops"}
    assert files == {*named, "predictions/val.npz", "predictions/test.npz"}  # figures: see below
    record = run.record
    expected = {
        "name": "mlp", "kind": "scikit-learn", "status": "finished", "command": "a test", "seed": 4,
        "split": {"split_seed": 0, "fold": 0, "train": 500, "val": 100, "test": 200},
        "classes": list(CLASSES),
        "parameters": 784 * 100 + 100 + 100 * 10 + 10,
        "epochs": 3, "scores": "log-probabilities", "predict_agreement": 1,
    }  # fmt: skip
    assert {key: record[key] for key in expected} == expected
    assert record["train_seconds"] == record["fit_seconds"] > 0
    assert record["predict_seconds"] >= 0
    assert record["size_bytes"] == (run.path / "checkpoints" / "estimator.skops").stat().st_size
    assert record["engine"].startswith("scikit-learn ")
    assert record["versions"]["scikit-learn"]
    assert json.dumps(record, allow_nan=False)
    with (run.path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert all(float(row["train/loss"]) > 0 for row in rows)
    assert [bool(row["val/accuracy"]) for row in rows] == [False, False, True]
    assert float(rows[2]["val/accuracy"]) == record["metrics"]["val"]["accuracy"]
    printed = capsys.readouterr().out
    for text in ("  warning: Stochastic", "fitted in ", "weighted avg", "test accuracy 0."):
        assert text in printed


def test_predictions_are_those_of_the_estimator_on_the_split(fit: Fit, data: FashionMNISTDataModule) -> None:
    run = fit(*LOGISTIC, "--estimator.C", "0.5")
    images, labels, _ = images_of(data, "train")
    model = LogisticRegression(C=0.5, random_state=0).fit(as_pixels(images), labels)
    for part in ("val", "test"):
        predictions = run.predictions(part)
        images, y, indices = images_of(data, part)
        x = as_pixels(images)
        assert np.array_equal(predictions.labels, y)
        assert np.array_equal(predictions.indices, indices)
        assert (predictions.logits.argmax(1) == model.predict(x)).all()
        np.testing.assert_allclose(np.exp(predictions.logits), model.predict_proba(x), atol=1e-5)
        recorded = run.record["metrics"][part]
        assert recorded["images"] == len(y)
        assert recorded["accuracy"] == pytest.approx(model.score(x, y), abs=1e-6)


def test_a_run_can_be_loaded_and_its_configuration_runs_again(fit: Fit, data: FashionMNISTDataModule) -> None:
    first = fit(*SVM, "--estimator.C", "3")
    logits = load_logits(first.path)(images_of(data, "test").images)
    np.testing.assert_allclose(logits, first.predictions("test").logits, atol=1e-5)
    assert first.record["scores"] == "decision scores"
    assert (first.record["parameters"], first.record["epochs"]) == (None, None)
    assert "loss" not in first.record["metrics"]["test"]
    again = fit("--config", str(first.path / "config.yaml"))
    assert again.path.name == "version_1"
    assert np.array_equal(again.predictions("test").logits, first.predictions("test").logits)


LOGISTIC_SPEC = "{class_path: sklearn.linear_model.LogisticRegression, init_args: {max_iter: 5}}"
SPLITTER = "{class_path: sklearn.model_selection.StratifiedKFold, init_args: {n_splits: 2}}"
BINS = "{class_path: sklearn.preprocessing.KBinsDiscretizer, init_args: {n_bins: 3}}"
PCA = "{class_path: sklearn.decomposition.PCA, init_args: {n_components: 5}}"
UNION = f"{{class_path: sklearn.pipeline.FeatureUnion, init_args: {{transformer_list: [[a, {PCA}]]}}}}"
KEPT = {
    "search": [
        *("sklearn.model_selection.HalvingGridSearchCV", "--estimator.estimator", LOGISTIC_SPEC),
        *("--estimator.param_grid", "{C: [0.1, 1]}", "--estimator.cv", SPLITTER),
    ],
    "stack": [
        *("sklearn.ensemble.StackingClassifier", "--estimator.estimators", f"[[a, {LOGISTIC_SPEC}]]"),
        *("--estimator.cv", SPLITTER),
    ],
    "union of features": ["sklearn.naive_bayes.GaussianNB", "--features", f"[hog, {UNION}]"],
    "sparse features": ["sklearn.svm.SVC", "--features", f"[hog, {{pca: 10}}, {BINS}]"],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KEPT)
def test_what_is_made_of_other_estimators_is_kept(fit: Fit, data: FashionMNISTDataModule, name: str) -> None:
    run = fit("--name", "kept", "--estimator", *KEPT[name])
    assert run.record["predict_agreement"] > 0.9
    logits = load_logits(run.path)(images_of(data, "test").images)
    assert (logits.argmax(1) == run.predictions("test").logits.argmax(1)).mean() > 0.98


def test_augmented_copies_are_fitted_too(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    neighbour = ["--estimator", "sklearn.neighbors.KNeighborsClassifier", "--estimator.n_neighbors", "1"]
    copies = ["--data.copies", "2", "--data.augmentation.flip", "true", "--data.augmentation.shift", "1"]
    run = fit(*neighbour, *copies)
    assert "500 training, 2 augmented copies of them and 100 validation images" in capsys.readouterr().out
    assert run.record["split"]["train"] == 500
    model = load_estimator(run.path)
    assert len(model.pipeline[-1].classes_) == 10
    assert model.pipeline[-1].n_samples_fit_ == 1500


def test_a_search_is_fitted_to_no_copies(fit: Fit) -> None:
    search = ["--estimator", "sklearn.linear_model.LogisticRegressionCV"]
    copies = ["--data.copies", "1", "--data.augmentation.flip", "true"]
    with pytest.raises(InputError, match=r"--data\.copies 1: LogisticRegressionCV's cv validates on some"):
        fit(*search, *copies)


def test_tied_scores_count_alike_in_the_record_and_in_the_report(fit: Fit) -> None:
    run = fit("--estimator", "sklearn.tree.DecisionTreeClassifier", "--estimator.max_depth", "4")
    reported = summarise(run.predictions("test"), run.predictions("val"), run.score_type)
    assert run.record["metrics"]["test"]["top2_accuracy"] == pytest.approx(reported["top2_accuracy"]["value"])


def test_without_validation(fit: Fit) -> None:
    run = fit(*LOGISTIC, "--data.val_size", "0")
    assert run.record["split"]["train"] == 600
    assert run.record["metrics"].keys() == {"test"}
    assert not (run.path / "predictions" / "val.npz").exists()
    assert run.history().keys() == {"seconds"}


def test_an_embedding_is_the_networks(fit: Fit, network: Run, data: FashionMNISTDataModule) -> None:
    run = fit(*LOGISTIC, "--features", f"[embedding: {network.path.parent}, standardize]")
    assert f"embedding: {network.path}" in (run.path / "config.yaml").read_text()
    copied = {path.name for path in (run.path / "checkpoints" / "network").rglob("*")}
    assert copied == {"config.yaml", "checkpoints", "best.ckpt"}
    images = images_of(data, "test").images
    embed: Any = load_classifier(network.path).network.features
    (network.path / "config.yaml").unlink()  # the new run does not need it
    loaded = load_estimator(run.path)
    np.testing.assert_array_equal(loaded.extract(images), in_batches(embed, images))
    np.testing.assert_allclose(loaded.logits(images), run.predictions("test").logits, atol=1e-5)


def test_a_blend_is_weighted_on_validation(fit: Fit, network: Run, data: FashionMNISTDataModule) -> None:
    logistic = fit(*LOGISTIC)
    run = fit("--name", "both", "--blend", f"[{network.path.parent}, {logistic.path.parent}]")
    assert run.record["weights"][1] > 0.9  # the network was never trained
    assert len(run.record["temperatures"]) == 2
    assert run.record["parameters"] == 7 + 7850
    assert (run.record["kind"], run.record["scores"]) == ("scikit-learn", "log-probabilities")
    for member in (network, logistic):
        (member.path / "config.yaml").unlink()
    logits = load_logits(run.path)(images_of(data, "test").images)
    np.testing.assert_allclose(logits, run.predictions("test").logits, atol=1e-5)
    with pytest.raises(InputError, match=r"is a blend itself; name the runs of its config.yaml"):
        fit("--name", "again", "--blend", f"[{run.path}, {logistic.path}]")
    assert not (run.path.parents[1] / "again").exists()
    with pytest.raises(InputError, match=r"^--blend \S+/logistic: is listed twice"):
        fit("--name", "again", "--blend", f"[{logistic.path}, {logistic.path.parent}, {logistic.path}]")


def test_members_with_other_validation_images_are_refused_before_there_is_a_folder(
    fit: Fit, network: Run
) -> None:
    logistic = fit(*LOGISTIC)
    with pytest.raises(InputError, match=r"^--blend \S+: its predictions are of other validation images"):
        fit("--name", "both", "--blend", f"[{network.path}, {logistic.path}]", "--data.val_size", "60")
    assert not (network.path.parents[1] / "both").exists()


def test_a_full_disk_is_said_in_a_line(fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x.npz")

    monkeypatch.setattr(Run, "save_predictions", full)
    with pytest.raises(InputError, match=r"^--logs \S+: cannot be written \(No space"):
        fit(*LOGISTIC)
    assert Run(tmp_path / "logs" / "logistic" / "version_0").status == "failed"


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), "stopped"), (SystemExit(143), "stopped"), (RuntimeError("no"), "failed")],
)
def test_the_end_is_recorded(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: str
) -> None:
    def end(*_: Any) -> None:
        raise error

    monkeypatch.setattr(fitting, "fit_in_subprocess", end)
    with pytest.raises(type(error)):
        fit(*LOGISTIC)
    run = Run(tmp_path / "logs" / "logistic" / "version_0")
    assert run.record["status"] == status
    assert run.record["finished"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.train_size", "7"], "--data.train_size 7: leaves out classes; take at least 10"),
        (["--data.val_size", "600"], "--data.val_size 600: must lie between 0 and 599"),
        (["--data.fold", "6"], "--data.fold 6: must lie between 0 and 5, with --data.val_size 100 of 600"),
        (["--features", "[embedding: nowhere]"], "--features embedding nowhere: is no run folder"),
    ],
)
def test_bad_input_leaves_nothing_behind(fit: Fit, tmp_path: Path, flags: list[str], message: str) -> None:
    with pytest.raises(InputError) as error:
        fit(*LOGISTIC, *flags)
    assert str(error.value).startswith(message)
    assert not list(tmp_path.iterdir())


def test_runs_that_will_not_do_are_refused(fit: Fit, network: Run) -> None:
    logistic = fit(*LOGISTIC)
    with pytest.raises(InputError, match="is a scikit-learn run, a network is wanted"):
        fit(*LOGISTIC, "--features", f"[embedding: {logistic.path}]")
    with pytest.raises(InputError, match=r"images that are validation here.*--data\.split_seed.*there 100\)"):
        fit(*LOGISTIC, "--features", f"[embedding: {network.path}]", "--data.val_size", "120")
    network.update(status="stopped")
    with pytest.raises(InputError, match=r"^--blend \S+: is stopped, and only a finished run will do"):
        fit("--blend", f"[{network.path}, {logistic.path}]")
    with pytest.raises(InputError, match=r"^--features embedding \S+: holds no finished run"):
        fit(*LOGISTIC, "--features", f"[embedding: {network.path.parent}]")


LINEAR = "{class_path: sklearn.svm.LinearSVC}"
BAYES = "{class_path: sklearn.naive_bayes.GaussianNB}"
UNUSABLE = {
    "NaN": (
        ["sklearn.semi_supervised.LabelPropagation", "--estimator.gamma", "5000"],
        "LabelPropagation: gives scores that are not numbers for ",
    ),
    "no neighbour": (
        ["sklearn.neighbors.RadiusNeighborsClassifier", "--estimator.radius", "0.1"],
        "RadiusNeighborsClassifier: cannot predict (No neighbors found for test samples",
    ),
    "soft votes of a model without probabilities": (
        [
            *("sklearn.ensemble.VotingClassifier", "--estimator.voting", "soft"),
            *("--estimator.estimators", f"[[a, {LINEAR}], [b, {BAYES}]]"),
        ],
        "VotingClassifier: cannot predict (",
    ),
    "scores of pairs": (
        ["sklearn.svm.NuSVC", "--estimator.decision_function_shape", "ovo", "--estimator.nu", "0.1"],
        "NuSVC: gives scores (500, 45), not (500, 10)",
    ),
    "what cannot be kept": (
        ["sklearn.naive_bayes.GaussianNB", "--features", "[{class_path: sklearn.cluster.Birch}]"],
        "GaussianNB: cannot be kept in a file that is safe to load (Objects of type Birch are not supported",
    ),
    "parts that hold each other": (
        [
            *("sklearn.ensemble.HistGradientBoostingClassifier", "--estimator.early_stopping", "true"),
            *("--estimator.scoring", "accuracy", "--features", "[{pca: 2}]", "--estimator.max_iter", "1"),
        ],
        "HistGradientBoostingClassifier: cannot be kept in a file that is safe to load, parts of it hold",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_gives_no_answers_ends_in_a_line_and_leaves_no_answers(
    fit: Fit, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags, message = UNUSABLE[name]
    if name not in ("NaN", "no neighbour"):  # which depend on the images
        monkeypatch.setattr(fitting, "fit_classifier", lambda *_: pytest.fail("was fitted to all images"))
    with pytest.raises(InputError) as error:
        fit("--name", "unusable", "--estimator", *flags)
    assert str(error.value).startswith(f"--estimator {message}")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 450
    run = Run(tmp_path / "logs" / "unusable" / "version_0")
    assert run.status == "failed"
    assert not list(run.path.rglob("*.npz"))
    assert not list(run.path.rglob("*.skops"))
    json.loads((run.path / "run.json").read_text(), parse_constant=pytest.fail)


def test_a_run_that_gives_no_answers_is_named_by_every_script(
    fit: Fit,
    data: FashionMNISTDataModule,
    synthetic_root: Path,
    tmp_path: Path,
    refused: Callable[..., str],
) -> None:
    neighbours = ["sklearn.neighbors.RadiusNeighborsClassifier", "--estimator.radius", "28"]
    run = fit("--name", "radius", "--estimator", *neighbours)
    loaded = load_estimator(run.path)
    loaded.pipeline[-1].set_params(radius=0.001)
    loaded.save(run.path)
    (run.path / "predictions" / "test.npz").unlink()
    picture = tmp_path / "shirt.png"
    Image.fromarray(images_of(data, "test").images[0]).resize((90, 90)).save(picture)
    for command, args in {
        predict: [picture, "--output", tmp_path / "answers.json"],
        evaluate: [],
        explain: ["--method", "occlusion"],
    }.items():
        *_, line = refused(command.main, run.path, *args, "--data.root", synthetic_root).splitlines()
        assert f"{run.path}/checkpoints/estimator.skops RadiusNeighborsClassifier: cannot predict (No" in line
    assert not (tmp_path / "answers.json").exists()
    assert not run.has_predictions("test")


GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(10, size=300)
LOGITS = log_softmax(GENERATOR.normal(size=(300, 10)) + 1.5 * np.eye(10)[LABELS], axis=1)
PREDICTIONS = Predictions(LOGITS.astype(np.float32), LABELS, np.arange(300))


def test_metrics_are_scikit_learns_as_far_as_the_scores_have_a_meaning() -> None:
    measured = report.measure(PREDICTIONS, "log-probabilities")
    expected = {
        "accuracy": metrics.accuracy_score(LABELS, LOGITS.argmax(1)),
        "top2_accuracy": metrics.top_k_accuracy_score(LABELS, LOGITS, k=2),
        "f1": metrics.f1_score(LABELS, LOGITS.argmax(1), average="macro"),
        "loss": metrics.log_loss(LABELS, np.exp(LOGITS)),
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    missing = {"loss", "calibration_error"}
    assert measured.keys() - report.measure(PREDICTIONS, "decision scores").keys() == missing
    assert measured.keys() - report.measure(PREDICTIONS, "decisions").keys() == {*missing, "top2_accuracy"}


@pytest.mark.parametrize("losses", [[2.0, 1.0, 0.5], []], ids=["epochs", "no epochs"])
def test_figures_and_tensorboard(tmp_path: Path, losses: list[float]) -> None:
    score_type: ScoreType = "log-probabilities" if losses else "decision scores"
    measured = report.measure(PREDICTIONS, score_type)
    record = {"metrics": {"val": measured, "test": measured}, "fit_seconds": 1.5, "scores": score_type}
    run = Run.create(tmp_path, "mlp", **record)
    report.write_table(run, losses)
    drawn = report.draw_figures(run, PREDICTIONS, np.zeros((300, 28, 28), np.uint8))
    assert drawn.keys() - {"curves"} == {"confusion_matrix", "class_f1", "worst_errors"}
    assert ("curves" in drawn) == bool(losses)
    assert {path.stem for path in (run.path / "figures").iterdir()} == drawn.keys()
    config = configure(["--estimator", "sklearn.svm.SVC", "--estimator.C", "3"])
    report.write_tensorboard(run, drawn, config)
    events = EventAccumulator(str(run.path))
    events.Reload()
    if losses:
        assert [event.value for event in events.Scalars("train/loss")] == losses
    assert [event.step for event in events.Scalars("val/accuracy")] == [max(0, len(losses) - 1)]
    assert set(events.Tags()["images"]) == {f"figures/{name}" for name in drawn}
