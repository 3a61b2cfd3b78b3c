"""Accuracy on shifted test images, with a model whose answers are known, and detection of OOD images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist.data import source
from fmnist.data.arrays import Images
from fmnist.data.of_run import data_of
from fmnist.inference.predictor import Predictor
from fmnist.robustness import measure
from fmnist.robustness.corruptions import CORRUPTIONS, FAMILIES, FLIPS, corrupt, severities_of
from fmnist.robustness.measure import ShiftedTestSet
from fmnist.robustness.rendered import KINDS, Photographs
from tests.inference.asked import make_asked


class NearestTestImage:
    """Answers with the class of the nearest test image: right on every image that hardly changed."""

    def __init__(self, whole_set: Images) -> None:
        self.labels = whole_set.labels
        self.pixels = whole_set.images.reshape(len(whole_set.images), -1).astype(np.float32)

    def logits(self, images: np.ndarray) -> np.ndarray:
        pixels = images.reshape(len(images), -1).astype(np.float32)
        distances = (self.pixels**2).sum(1) - 2 * pixels @ self.pixels.T
        logits = np.zeros((len(images), 10), np.float32)
        logits[np.arange(len(images)), self.labels[distances.argmin(1)]] = 1
        return logits


def fake_photographs(images: np.ndarray, seeds: np.ndarray, _: bool) -> dict[str, Photographs]:
    """Return the images as they are for all kinds, black ones for clutter; five polarities are wrong."""
    assert seeds.min() >= measure.PHOTOGRAPH_SEED
    polarities = np.array(["dark-on-light"] * (len(images) - 5) + ["light-on-dark"] * 5)
    return {
        kind: Photographs(np.zeros_like(images) if kind == "cluttered" else images, polarities)
        for kind in KINDS
    }


@pytest.fixture(scope="module")
def whole_set(synthetic_root: Path) -> Images:
    data = source.load(synthetic_root)
    labels = data.test_labels.numpy()
    return Images(data.test_images.numpy(), labels, np.arange(len(labels)))


@pytest.fixture(scope="module")
def shifts(whole_set: Images) -> dict[str, Any]:
    model: Any = NearestTestImage(whole_set)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "prepared_photographs", fake_photographs)
        return measure.measure_shifts(model, ShiftedTestSet(whole_set, 80))


def test_every_cell_is_the_accuracy_on_those_images(shifts: dict[str, Any], whole_set: Images) -> None:
    model = NearestTestImage(whole_set)
    subset = measure.stratified_subset(whole_set, 80)
    assert (shifts["images"], shifts["of"], shifts["clean"]["accuracy"]) == (80, 200, 1)
    assert tuple(shifts["flips"]) == tuple(FLIPS)
    for name, severity in (("rotate", 4), ("shot_noise", 5)):
        corrupted = corrupt(whole_set.images, name, severity)[subset.indices]
        right = model.logits(corrupted).argmax(1) == subset.labels
        assert shifts["corruptions"][name][severity - 1] == right.mean()
    assert {name: len(levels) for name, levels in shifts["corruptions"].items()} == {
        name: len(severities_of(name)) for name in CORRUPTIONS
    }


def test_the_means_leave_flips_out_and_weigh_corruptions_alike(shifts: dict[str, Any]) -> None:
    means = {name: np.mean(levels) for name, levels in shifts["corruptions"].items()}
    mean = np.mean(list(means.values()))
    assert 0.1 < mean < 0.95  # otherwise the test would show nothing
    assert shifts["mean_corruption_accuracy"]["accuracy"] == pytest.approx(mean)
    assert shifts["mean_corruption_error"] == pytest.approx(1 - mean)
    for family, names in FAMILIES.items():
        expected = np.mean([means[name] for name in names])
        assert shifts["families"][family]["accuracy"] == pytest.approx(expected)
    flips = np.mean(list(shifts["flips"].values()))
    assert shifts["mean_flip_accuracy"]["accuracy"] == pytest.approx(flips)


def test_photographs_are_compared_with_the_same_images(shifts: dict[str, Any]) -> None:
    photographs, kinds = shifts["photographs"], shifts["photographs"]["kinds"]
    assert (photographs["images"], tuple(kinds)) == (20, KINDS)
    assert kinds["striped"] == {"accuracy": 1, "standard_error": 0, "of_clean": 1}
    assert kinds["cluttered"]["of_clean"] == kinds["cluttered"]["accuracy"] < 0.2
    assert (kinds["product"]["polarity_right"], kinds["negative"]["polarity_right"]) == (0.75, 0.25)


def test_the_subset_is_stratified_and_always_the_same(whole_set: Images) -> None:
    subset = measure.stratified_subset(whole_set, 50)
    assert np.bincount(subset.labels).tolist() == [5] * 10
    np.testing.assert_array_equal(subset.indices, np.unique(subset.indices))
    np.testing.assert_array_equal(subset.labels, whole_set.labels[subset.indices])
    np.testing.assert_array_equal(subset.indices, measure.stratified_subset(whole_set, 50).indices)
    for count in (None, 200):
        np.testing.assert_array_equal(ShiftedTestSet(whole_set, count).subset.indices, np.arange(200))


def test_the_standard_error_is_that_of_a_mean() -> None:
    right = np.arange(100) < 80
    assert measure.mean_accuracy(right) == pytest.approx(
        {"accuracy": 0.8, "standard_error": np.sqrt(0.16 / 99)}
    )


def test_separation_of_scores_known_by_hand() -> None:
    scores = np.arange(100)
    assert measure.separation(scores, np.array([200, 300])) == {"auroc": 1.0, "fpr95": 0.0}
    assert measure.separation(scores, scores) == {"auroc": 0.5, "fpr95": 0.95}
    assert measure.separation(scores, np.array([-1, 49.5, 100, 100])) == {"auroc": 0.625, "fpr95": 0.5}


@pytest.mark.parametrize("score_type", [None, "log-probabilities"])
def test_detection_has_a_row_for_each_kind_and_score(
    tmp_path: Path, synthetic_root: Path, score_type: str | None
) -> None:
    run = make_asked(tmp_path, synthetic_root)
    run.record["scores"] = score_type
    rows = measure.measure_detection(Predictor(run), data_of(run, str(synthetic_root)), count=60)
    scores = ["maximum probability", "energy", "class means", "nearest neighbour"]
    if score_type == "log-probabilities":
        scores.remove("energy")  # 0 for every image
    assert [(row["outsiders"], row["score"]) for row in rows] == [
        (kind, score) for kind in ("drawn digits", "noise") for score in scores
    ]
    assert all(0 <= row[key] <= 1 for row in rows for key in ("auroc", "fpr95"))
    assert rows[-1]["auroc"] > 0.95
