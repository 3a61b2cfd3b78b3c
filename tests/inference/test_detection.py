"""Distances are as by hand, thresholds accept what they say, and what a run keeps is mended."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import EmpiricalCovariance

from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.data.datamodule import stratified_split
from fmnist.inference import detection
from fmnist.inference.detection import PIXEL_WEIGHT, References, Seen, find_detector, look
from fmnist.inference.predictor import Predictor
from fmnist.robustness.ood_images import noise_images
from tests.inference.asked import SPLIT, make_asked


@pytest.fixture
def run(tmp_path: Path, synthetic_root: Path) -> Run:
    return make_asked(tmp_path, synthetic_root)


@pytest.fixture
def seen() -> tuple[References, Seen]:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (50, 28, 28), np.uint8)
    points = generator.normal(size=(50, 6)).astype(np.float32)
    known = References(images[:40], np.arange(40) % 4, points[:40] + np.arange(40)[:, None] % 4, 1.0)
    return known, Seen(images[40:], generator.normal(size=(10, 10)).astype(np.float32), points[40:])


def test_logits_alone_give_the_published_scores(seen) -> None:
    logits = seen[1].logits.astype(float)
    exponentials = np.exp(logits)
    expected = exponentials.max(1) / exponentials.sum(1)
    np.testing.assert_allclose(detection.maximum_probability(seen[1]), -expected)
    np.testing.assert_allclose(detection.energy(seen[1]), -np.log(exponentials.sum(1)))


def test_class_means_are_the_mahalanobis_distance_to_the_nearest(seen) -> None:
    known, asked = seen
    means = np.stack([known.embeddings[known.labels == label].mean(0) for label in range(4)])
    fitted = EmpiricalCovariance(assume_centered=True).fit(known.embeddings - means[known.labels])
    precision = np.linalg.inv(fitted.covariance_ * 40 / 39)
    expected = cdist(asked.embeddings, means, "mahalanobis", VI=precision).min(1) ** 2
    np.testing.assert_allclose(detection.class_means(known)(asked), expected, rtol=1e-3)


def test_the_nearest_neighbour_is_near_in_embedding_and_pixels(seen) -> None:
    known, asked = seen

    def place(of: References | Seen) -> np.ndarray:
        unit = of.embeddings / np.linalg.norm(of.embeddings, axis=1)[:, None]
        return np.hstack([unit, PIXEL_WEIGHT * of.images.reshape(-1, 784) / 255])

    expected = cdist(place(asked), place(known)).min(1) ** 2
    score = detection.nearest_neighbour(known)
    np.testing.assert_allclose(score(asked), expected, rtol=1e-3)
    np.testing.assert_allclose(score(Seen(known.images, known.labels, known.embeddings)), 0, atol=1e-5)


def test_the_threshold_accepts_95_percent_of_validation(run: Run, synthetic_root: Path) -> None:
    predictor, data = Predictor(run), source.load(synthetic_root)
    detector = find_detector(predictor, str(synthetic_root))
    assert detector is not None
    assert (detector.name, detector.note) == ("nearest neighbour", "")
    train, val = stratified_split(data.train_labels.numpy(), 100, 400, 0)
    scores = detector.score(look(predictor, data.train_images.numpy()[val]))
    assert np.mean(scores <= detector.threshold) == 0.95
    np.testing.assert_allclose(
        detector.score(look(predictor, data.train_images.numpy()[train])), 0, atol=1e-5
    )
    assert (detector.score(look(predictor, noise_images(30, 0))) > detector.threshold).mean() > 0.9


def test_a_run_keeps_what_it_needs_and_mends_it(run: Run, synthetic_root: Path, tmp_path: Path) -> None:
    predictor, path = Predictor(run), run.path / detection.FILE
    first = find_detector(predictor, str(synthetic_root))
    content = path.read_bytes()
    again = find_detector(predictor, str(tmp_path / "no data"))
    path.write_bytes(content[: len(content) // 2])
    mended = find_detector(predictor, str(synthetic_root))
    assert first is not None
    assert again is not None
    assert mended is not None
    assert first.threshold == again.threshold == mended.threshold
    assert not list(run.path.glob(".*tmp"))


def test_without_data_the_energy_takes_over_and_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "find", lambda root: None)
    detector = find_detector(Predictor(run), str(tmp_path / "none"))
    assert detector is not None
    assert detector.name == "energy"
    assert "holds no data set; so" in detector.note
    val = run.predictions("val")
    scores = detector.score(Seen(np.zeros(0), val.logits, np.zeros(0)))
    assert np.mean(scores <= detector.threshold) == 0.95
    assert not (run.path / detection.FILE).exists()

    (run.path / "predictions" / "val.npz").unlink()
    assert find_detector(Predictor(run), str(tmp_path / "none")) is None


def test_other_data_are_not_used(run: Run, synthetic_root: Path) -> None:
    run.update(data_sha256={"other": "data"})
    detector = find_detector(Predictor(run), str(synthetic_root))
    assert detector is not None
    assert "holds other data than" in detector.note


def test_without_validation_images_training_images_choose_the_threshold(
    run: Run, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "REFERENCES", 300)
    run.update(split=SPLIT | {"val": 0, "train": 600})
    detector = find_detector(Predictor(run), str(synthetic_root))
    assert detector is not None
    assert 0 < detector.threshold < np.inf


def test_pixels_are_the_embedding_of_an_estimator(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Predictor, "logits", lambda self, images: np.zeros((len(images), 10), np.float32))
    run.update(kind="scikit-learn")
    images = noise_images(3, 0)
    np.testing.assert_allclose(look(Predictor(run), images).embeddings, images.reshape(3, 784) / 255)


def test_without_data_normalised_scores_fall_back_on_the_largest_probability(
    run: Run, tmp_path: Path
) -> None:
    run.record["scores"] = "log-probabilities"
    found = find_detector(Predictor(run), str(tmp_path / "nowhere"))
    assert found is not None
    assert found.name == "maximum probability"
