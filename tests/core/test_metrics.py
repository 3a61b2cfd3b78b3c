"""The table of metrics against scikit-learn and torchmetrics."""

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torchmetrics.functional.classification import multiclass_calibration_error

from fmnist.core.calibration import confidences, debiased_calibration_error
from fmnist.core.metrics import ALL, METRICS, logged_metrics, of_probabilities
from fmnist.core.statistics import softmax
from tests.evaluation.made import predictions

TEST = predictions(0, size=500, skill=1.5)
SHARES = softmax(TEST.logits)
EXPECTED = {
    "accuracy": reference.accuracy_score(TEST.labels, SHARES.argmax(1)),
    "balanced_accuracy": reference.balanced_accuracy_score(TEST.labels, SHARES.argmax(1)),
    "macro_f1": reference.f1_score(TEST.labels, SHARES.argmax(1), average="macro"),
    "top2_accuracy": reference.top_k_accuracy_score(TEST.labels, SHARES, k=2),
    "log_loss": reference.log_loss(TEST.labels, SHARES),
    "brier_score": ((SHARES - np.eye(10)[TEST.labels]) ** 2).sum(1).mean(),
    "calibration_error": multiclass_calibration_error(
        torch.from_numpy(SHARES), torch.from_numpy(TEST.labels), num_classes=10, n_bins=15
    ).item(),
    "debiased_calibration_error": debiased_calibration_error(*confidences(SHARES, TEST.labels)),
    "mean_confidence": SHARES.max(1).mean(),
}
BY_NAME = {metric.name: metric for metric in METRICS}


@pytest.mark.parametrize("name", BY_NAME)
def test_values_are_those_of_reference_libraries(name: str) -> None:
    metric = BY_NAME[name]
    assert metric.value(TEST.logits, TEST.labels) == pytest.approx(EXPECTED[name], abs=1e-6)
    if metric.takes == "probabilities":
        assert of_probabilities(SHARES, TEST.labels)[name] == pytest.approx(EXPECTED[name], abs=1e-6)
    else:
        estimate = metric.estimate(TEST.logits, TEST.labels)
        assert estimate["value"] == metric.value(TEST.logits, TEST.labels)
        assert estimate["low"] < estimate["value"] < estimate["high"]


@pytest.mark.parametrize(
    ("name", "score_types"),
    [("accuracy", ALL), ("top2_accuracy", ALL[:3]), ("log_loss", ("logits", "log-probabilities"))],
)
def test_a_metric_applies_to_the_scores_that_allow_it(name: str, score_types: tuple[str, ...]) -> None:
    assert tuple(filter(BY_NAME[name].applies_to, ALL)) == score_types


def test_logged_metrics_are_plain_numbers() -> None:
    logged = logged_metrics(TEST.logits, TEST.labels, known=["accuracy"])
    assert {name: type(value) for name, value in logged.items()} == {
        "top2_accuracy": float,
        "calibration_error": float,
    }
