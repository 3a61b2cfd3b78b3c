"""One entry in the table of metrics makes a new metric appear everywhere."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from fmnist.core.metrics import METRICS, Metric, logged_metrics
from fmnist.evaluation.comparison import write_comparison
from tests.evaluation.made import make_run
from tests.evaluation.reading import Page, report


def matthews(counts: np.ndarray) -> np.ndarray:
    """Return Matthews' correlation coefficient of confusion matrices (..., C, C)."""
    total, hits = counts.sum((-2, -1)), np.trace(counts, axis1=-2, axis2=-1)
    true, predicted = counts.sum(-1), counts.sum(-2)
    covariance = hits * total - (true * predicted).sum(-1)
    variances = [total**2 - (marginal**2).sum(-1) for marginal in (true, predicted)]
    return covariance / np.sqrt(variances[0] * variances[1])


def spherical(shares: np.ndarray, labels: np.ndarray) -> float:
    """Return the spherical score of probabilities (N, C)."""
    return (shares[np.arange(len(labels)), labels] / np.linalg.norm(shares, axis=1)).mean()


NEW = [
    Metric("matthews", "Matthews correlation", "counts", matthews, logged=True),
    Metric("spherical_score", "spherical score", "probabilities", spherical, format="{:.3f}"),
]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    METRICS.extend(NEW)
    yield
    del METRICS[-len(NEW) :]


def test_a_new_metric_is_in_json_card_page_csv_markdown_and_log(tmp_path: Path) -> None:
    run, svm = make_run(tmp_path), make_run(tmp_path, "svm", skill=1.0, scores="decision scores")
    test = run.predictions("test")
    expected = matthews_corrcoef(test.labels, test.logits.argmax(1))

    page = report(run, tmp_path)
    metrics = json.loads((run.path / "metrics.json").read_text())["test"]
    assert metrics["matthews"]["value"] == pytest.approx(expected)
    assert metrics["matthews"]["low"] < expected < metrics["matthews"]["high"]
    score = metrics["raw"]["spherical_score"]
    texts = " ".join(page.texts)
    assert f"Matthews correlation {expected:.4f}" in texts
    assert f"spherical score {score:.3f} {metrics['scaled']['spherical_score']:.3f} temp" in texts
    assert "spherical score" in page.tables["calibration"][0]

    tables, _ = write_comparison([run.path, svm.path], tmp_path / "out", str(tmp_path))
    header, row, svm_row = Page((tmp_path / "out" / "compare.html").read_text()).tables["results"]
    assert row[header.index("Matthews correlation")] == f"{expected:.4f}"
    assert svm_row[header.index("Matthews correlation")] != "–"
    column = header.index("spherical score")
    assert (row[column], svm_row[column]) == (f"{score:.3f}", "–")
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        values = next(csv.DictReader(file))
    assert float(values["matthews"]) == pytest.approx(expected)
    assert float(values["spherical_score"]) == pytest.approx(score)
    assert "| Matthews correlation | spherical score |" in tables["results"].markdown()
    assert logged_metrics(test.logits, test.labels)["matthews"] == pytest.approx(expected)
