"""The report of one run: every number recomputed from the predictions; sentences and tables."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as reference

from fmnist.baselines import report as baseline_report
from fmnist.core.calibration import fit_temperature
from fmnist.core.constants import CLASSES
from fmnist.core.metrics import of_probabilities
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.core.statistics import softmax
from fmnist.data.arrays import images_of
from fmnist.data.of_run import data_of
from fmnist.evaluation import report_content as content
from fmnist.evaluation.comparison import write_comparison
from fmnist.evaluation.report import write_report
from fmnist.evaluation.summary import summarise
from fmnist.training import outputs
from tests.evaluation.made import make_run, on_data, predictions
from tests.evaluation.reading import Page, report


@pytest.fixture(scope="module")
def evaluated(synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("logs"), **on_data(synthetic_root))
    folder = run.path / "figures" / "explanations"
    folder.mkdir(parents=True)
    Image.new("L", (9, 9)).save(folder / "gradcam_7.png")
    write_report(run, str(synthetic_root))
    return run


@pytest.fixture(scope="module")
def page(evaluated: Run) -> Page:
    return Page((evaluated.path / "report.html").read_text())


def test_every_table_is_recomputed_from_the_predictions(evaluated: Run, page: Page) -> None:
    test, val, tables = evaluated.predictions("test"), evaluated.predictions("val"), page.data["tables"]
    predicted = test.logits.argmax(1)
    by_class = reference.precision_recall_fscore_support(test.labels, predicted)
    expected = [
        *zip(*by_class, strict=True),
        *(
            (*reference.precision_recall_fscore_support(test.labels, predicted, average=average)[:3], 200)
            for average in ("macro", "weighted")
        ),
    ]
    for row, values in zip(tables["classification_report"], expected, strict=True):
        assert [row[key] for key in ("precision", "recall", "f1", "support")] == pytest.approx(values)
    counts = reference.confusion_matrix(test.labels, predicted)
    np.testing.assert_array_equal(page.data["matrices"]["confusion"]["values"], counts)
    scaled = softmax(test.logits, fit_temperature(val.logits, val.labels))
    for row, shares in zip(tables["calibration"], (test.probabilities, scaled), strict=True):
        expected = of_probabilities(shares, test.labels)
        assert {key: value for key, value in row.items() if key != "probabilities"} == expected
    wrong = np.flatnonzero(predicted != test.labels)
    most_confident = sorted(wrong.tolist(), key=lambda place: -scaled[place].max())[:32]
    assert [row["index"] for row in tables["worst_errors"]] == most_confident
    np.testing.assert_allclose(
        [row["probability"] for row in tables["worst_errors"]], scaled.max(1)[most_confident]
    )


def test_page_and_json_hold_the_metrics_of_the_predictions(evaluated: Run, page: Page) -> None:
    expected = summarise(evaluated.predictions("test"), evaluated.predictions("val"))
    assert page.data["metrics"] == expected
    metrics = json.loads((evaluated.path / "metrics.json").read_text())
    assert metrics == {"name": "cnn", "test": expected, "speed": None}  # the checkpoint is not one
    for name, part in {
        "classification_report.txt": f"{expected['classes']['Shirt']['f1']:.4f}".encode(),
        "classification_report.csv": b"Shirt",
        "figures/reliability.png": b"PNG",
        "figures/risk_coverage.png": b"PNG",
        "figures/confused_pairs.png": b"PNG",
    }.items():
        assert part in (evaluated.path / name).read_bytes()


def test_what_is_printed_is_what_the_data_say(page: Page) -> None:
    printed = page.tables["classification_report"][1]
    row = page.data["tables"]["classification_report"][0]
    assert printed == [row["class"], *(f"{row[key]:.4f}" for key in ("precision", "recall", "f1")), "20"]
    text, metrics = " ".join(page.texts), page.data["metrics"]
    for value in metrics["accuracy"].values():
        assert f"{value:.4f}" in text
    pair = metrics["confused_pairs"][0]
    assert f"T-shirt/top and Shirt: {pair['confused']} of {pair['of']} images" in text
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert all(str(image["src"]).startswith("data:image/png;base64,") and image["alt"] for image in images)
    assert "gradcam 7" in text
    assert len(images) > 20


def test_without_data_there_is_a_report_without_pictures(tmp_path: Path) -> None:
    run = make_run(tmp_path, "<script>alert(1)</script>")
    _, lines = write_report(run, str(tmp_path))
    assert any("No pictures" in line for line in lines)
    html = (run.path / "report.html").read_text()
    assert "<script>alert" not in html
    assert not [tag for tag, _ in Page(html).elements if tag == "img"]
    assert "No pictures" in html
    assert not (run.path / "figures" / "confused_pairs.png").exists()


@pytest.mark.parametrize(
    ("score_type", "sentence", "calibrated"),
    [
        ("logits", "No temperature was fitted: no validation set.", True),
        ("decision scores", "are decision scores, not probabilities", False),
    ],
)
def test_a_run_without_validation_has_no_temperature(
    tmp_path: Path, score_type: str, sentence: str, calibrated: bool
) -> None:
    run = make_run(tmp_path, val=0, scores=score_type)
    metrics, _ = write_report(run, str(tmp_path))
    assert metrics["test"]["temperature"] is None
    html = (run.path / "report.html").read_text()
    assert sentence in html
    assert ('data-chart="reliability"' in html) == calibrated
    assert (">its probability<" in html) == calibrated
    assert ("its probability, and" in html) == calibrated  # of the pictures of errors
    assert (run.path / "figures" / "reliability.png").exists() == calibrated


@pytest.mark.parametrize(("table", "shown"), [("0,2.0\n1,1.0", True), ("0,\n1,", False)])
def test_learning_is_shown_where_anything_was_recorded(tmp_path: Path, table: str, shown: bool) -> None:
    for seed in range(2):
        run = make_run(tmp_path, "mlp-classifier", seed, val=0)
        (run.path / "metrics.csv").write_text(f"epoch,train/loss\n{table}\n")
    text = " ".join(report(run, tmp_path).texts)
    assert ("This run recorded no learning curves." in text) != shown
    write_comparison([tmp_path], tmp_path / "out", str(tmp_path))
    page = (tmp_path / "out" / "compare.html").read_text()
    assert ("None of these runs recorded learning curves." in page) != shown
    assert ('data-chart="loss_curves"' in page) == shown
    assert 'data-chart="accuracy_curves"' not in page


def test_a_perfect_run_has_no_errors_to_show(tmp_path: Path) -> None:
    run = make_run(tmp_path, test=predictions(0, size=100, skill=100), val=0)
    assert report(run, tmp_path).data["tables"]["worst_errors"] == []


@pytest.fixture(scope="module")
def test() -> Predictions:
    """Predictions of a test set."""
    return predictions(0, size=400)


@pytest.fixture(scope="module")
def summary(test: Predictions) -> dict[str, Any]:
    return summarise(test, predictions(1, size=100))


def test_the_opening_says_how_good_it_is_and_where_it_errs(
    test: Predictions, summary: dict[str, Any]
) -> None:
    sentences = content.opening("cnn", summary)
    assert sentences[0].startswith(f"cnn gets {100 * test.accuracy:.2f} % of 400 test images right")
    scores = reference.f1_score(test.labels, test.logits.argmax(1), average=None)
    assert f"weakest on {CLASSES[scores.argmin()]} (F1 {scores.min():.3f})" in sentences[1]
    assert f"Of its {round(400 * (1 - test.accuracy))} errors" in sentences[1]


def test_key_figures_hold_what_is_known(tmp_path: Path, test: Predictions, summary: dict[str, Any]) -> None:
    speed = {"ms_per_image": 0.1234, "threads": 1, "images": 1000, "device": "cpu"}
    record = make_run(tmp_path).record
    figures = {
        figure.heading: figure for figure in content.key_figures(record, {"test": summary, "speed": speed})
    }
    assert figures["accuracy"].value == f"{test.accuracy:.4f}"
    assert figures["training"] == ("training", "2.1 min", "3 epochs")
    assert figures["time per image"].value == "0.123 ms"
    assert "1 thread," in figures["time per image"].detail
    assert "temperature-scaled" in figures["log loss"].detail
    unscaled = content.key_figures({}, {"test": summarise(test), "speed": None})
    assert [(figure.heading, figure.detail) for figure in unscaled][4:] == [
        ("log loss", "as stated"), ("Brier score", "as stated"), ("calibration error", "as stated"),
    ]  # fmt: skip


def test_sentences_hold_the_numbers(summary: dict[str, Any]) -> None:
    pair = {"one": "Coat", "other": "Shirt", "confused": 82, "of": 2000}
    assert content.confusion_sentence({**pair, "one_as_other": 36, "other_as_one": 46}) == (
        "Coat and Shirt: 82 of 2,000 images are confused, 36 Coat as Shirt and 46 Shirt as Coat."
    )
    stated, scaled, chance = content.calibration_sentences(summary, "logits")
    assert "confident by" in stated
    assert f"temperature of {summary['temperature']:.3f}" in scaled
    assert f"{summary['calibration_error_by_chance']:.4f} by chance" in chance
    assert f" {len(summary['likely_label_errors'])} of 400" in content.label_error_sentence(summary)
    assert "states no probabilities" in content.label_error_sentence({"likely_label_errors": None})


@pytest.mark.parametrize("module", [baseline_report, outputs])
def test_the_figures_of_a_training_hold_the_probabilities_of_the_report(
    module: ModuleType, tmp_path: Path, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, scores="log-probabilities", **on_data(synthetic_root))
    drawn: list[np.ndarray] = []

    def outcome_figures(images: Any, labels: Any, confidences: np.ndarray, *_: Any, **__: Any) -> Any:
        drawn.append(confidences)
        return {}

    monkeypatch.setattr(module.figures, "outcome_figures", outcome_figures)
    test, val, data = run.predictions("test"), run.predictions("val"), data_of(run, str(synthetic_root))
    data.setup()
    images = images_of(data, "test").images
    module.draw_figures(run, test, images if module is baseline_report else data)
    np.testing.assert_allclose(drawn[0], softmax(test.logits, fit_temperature(val.logits, val.labels)))
