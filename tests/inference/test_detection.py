"""Scores are as by hand, thresholds accept the promised share, and a damaged file is made again."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import EmpiricalCovariance

from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.data.datamodule import stratified_split
from fmnist.inference import detection
from fmnist.inference.answers import picture_classifier
from fmnist.inference.detection import PIXEL_WEIGHT, Detector, ModelOutputs, References, run_model
from fmnist.inference.predictor import Predictor
from fmnist.robustness.ood_images import noise_images
from tests.inference.asked import SPLIT, make_asked


def find_detector(predictor: Predictor, root: str) -> Detector:
    detector = detection.find_detector(predictor, root)
    assert detector is not None
    return detector


@pytest.fixture
def run(tmp_path: Path, synthetic_root: Path) -> Run:
    return make_asked(tmp_path, synthetic_root)


@pytest.fixture
def example() -> tuple[References, ModelOutputs]:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (50, 28, 28), np.uint8)
    points = generator.normal(size=(50, 6)).astype(np.float32)
    known = References(images[:40], np.arange(40) % 4, points[:40] + np.arange(40)[:, None] % 4, 1.0)
    logits = generator.normal(size=(10, 10)).astype(np.float32)
    return known, ModelOutputs(images[40:], logits, points[40:])


def test_logits_alone_give_the_published_scores(example) -> None:
    outputs = example[1]
    logits = outputs.logits.astype(float)
    exponentials = np.exp(logits)
    expected = exponentials.max(1) / exponentials.sum(1)
    np.testing.assert_allclose(detection.maximum_probability(outputs), -expected)
    np.testing.assert_allclose(detection.energy(outputs), -np.log(exponentials.sum(1)))


def test_class_means_are_the_mahalanobis_distance_to_the_nearest(example) -> None:
    known, outputs = example
    means = np.stack([known.embeddings[known.labels == label].mean(0) for label in range(4)])
    fitted = EmpiricalCovariance(assume_centered=True).fit(known.embeddings - means[known.labels])
    precision = np.linalg.inv(fitted.covariance_ * 40 / 39)
    expected = cdist(outputs.embeddings, means, "mahalanobis", VI=precision).min(1) ** 2
    np.testing.assert_allclose(detection.class_means(known)(outputs), expected, rtol=1e-3)


def test_the_nearest_neighbour_is_near_in_embedding_and_pixels(example) -> None:
    known, outputs = example

    def point(of: References | ModelOutputs) -> np.ndarray:
        unit = of.embeddings / np.linalg.norm(of.embeddings, axis=1)[:, None]
        return np.hstack([unit, PIXEL_WEIGHT * of.images.reshape(-1, 784) / 255])

    expected = cdist(point(outputs), point(known)).min(1) ** 2
    score = detection.nearest_neighbour(known)
    np.testing.assert_allclose(score(outputs), expected, rtol=1e-3)


def test_the_threshold_accepts_95_percent_of_validation(run: Run, synthetic_root: Path) -> None:
    predictor, data = Predictor(run), source.load(synthetic_root)
    detector = find_detector(predictor, str(synthetic_root))
    assert detector.note == ""
    train, val = stratified_split(data.train_labels.numpy(), 100, 400, 0)

    def distances(images: np.ndarray) -> np.ndarray:
        return detector.score(run_model(predictor, images))

    images = data.train_images.numpy()
    assert np.mean(distances(images[val]) <= detector.threshold) == 0.95
    np.testing.assert_allclose(distances(images[train]), 0, atol=1e-5)
    assert (distances(noise_images(30, 0)) > detector.threshold).mean() > 0.9


def test_the_threshold_accepts_95_percent_of_the_validation_photographs(
    run: Run, synthetic_root: Path
) -> None:
    photographs = noise_images(40, 0)
    predictor = Predictor(run)
    without = find_detector(predictor, str(synthetic_root))
    run.save_photographs(
        photographs, np.zeros((40, 10), np.float32), np.eye(10, dtype=np.float32)[:4].repeat(10, 0)
    )
    (run.path / detection.FILE).unlink()
    detector = find_detector(predictor, str(synthetic_root))
    accepted = detector.score(run_model(predictor, photographs)) <= detector.threshold
    assert (detector.threshold > without.threshold, accepted.mean()) == (True, 0.95)
    _, notes = picture_classifier(predictor, str(synthetic_root))
    assert "this run's 40 validation photographs" in notes[-1]


def test_a_run_keeps_what_it_needs_and_makes_it_again(run: Run, synthetic_root: Path, tmp_path: Path) -> None:
    predictor, path = Predictor(run), run.path / detection.FILE
    first = find_detector(predictor, str(synthetic_root))
    content = path.read_bytes()
    again = find_detector(predictor, str(tmp_path / "no data"))
    path.write_bytes(content[: len(content) // 2])
    remade = find_detector(predictor, str(synthetic_root))
    assert first.threshold == again.threshold == remade.threshold
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("score_type", "name"), [("logits", "energy"), ("log-probabilities", "maximum probability")]
)
def test_without_data_the_logits_decide_and_a_note_says_so(
    run: Run, synthetic_root: Path, score_type: str, name: str
) -> None:
    run.update(scores=score_type, data_sha256={"other": "data"})
    detector = find_detector(Predictor(run), str(synthetic_root))
    assert "holds other data than" in detector.note
    assert f"; so the {name} alone" in detector.note
    logits = run.predictions("val").logits
    scores = detector.score(ModelOutputs(np.zeros(0), logits, np.zeros(0)))
    assert np.mean(scores <= detector.threshold) == 0.95
    assert not (run.path / detection.FILE).exists()

    (run.path / "predictions" / "val.npz").unlink()
    assert detection.find_detector(Predictor(run), str(synthetic_root)) is None


def test_without_validation_images_training_images_choose_the_threshold(
    run: Run, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "REFERENCES", 300)
    run.update(split=SPLIT | {"val": 0, "train": 600})
    assert 0 < find_detector(Predictor(run), str(synthetic_root)).threshold < np.inf
