"""Answers are the model's, in order, with their reasons; company changes no bit of them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fmnist.core.calibration import fit_temperature
from fmnist.core.constants import CLASSES
from fmnist.core.runs import Predictions, Run
from fmnist.core.statistics import softmax
from fmnist.inference import answers as module
from fmnist.inference.answers import BATCH, answer, find_temperature
from fmnist.inference.detection import Detector, find_detector
from fmnist.inference.predictor import Predictor
from fmnist.inference.preparing import Picture
from tests.inference.asked import make_asked
from tests.synthetic import draw


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, synthetic_root: Path) -> Run:
    return make_asked(tmp_path_factory.mktemp("logs"), synthetic_root)


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    images = draw(np.arange(BATCH + 30) % 10, np.random.default_rng(0))
    return [Picture(f"{number}.png", "ok", (), image) for number, image in enumerate(images)]


def test_choices_are_the_likeliest_classes(run: Run, pictures: list[Picture]) -> None:
    predictor = Predictor(run)
    found = list(answer(predictor, pictures, temperature=2.0))
    images = np.stack([picture.image for picture in pictures if picture.image is not None])
    expected = softmax(predictor.logits(images), 2.0)
    assert [one.picture.file for one in found] == [picture.file for picture in pictures]
    for one, row in zip(found, expected, strict=True):
        names, shares = zip(*one.choices, strict=True)
        assert names == tuple(CLASSES[label] for label in np.argsort(-row)[:3])
        np.testing.assert_allclose(shares, np.sort(row)[::-1][:3], rtol=1e-4)
        assert one.distance is None


def test_company_changes_no_bit(run: Run, pictures: list[Picture], synthetic_root: Path) -> None:
    predictor = Predictor(run)
    detector = find_detector(predictor, str(synthetic_root))
    bad = [Picture(f"bad-{number}", "is empty (0 bytes)") for number in range(50)]
    mixed = [picture for pair in zip(bad, pictures, strict=False) for picture in pair] + pictures[50:]
    among_bad = [one for one in answer(predictor, mixed, 1.3, detector) if one.picture.image is not None]
    alone = [*answer(predictor, pictures[:1], 1.3, detector), *answer(predictor, pictures[1:], 1.3, detector)]
    for one, other in zip(among_bad, alone, strict=True):
        assert (one.choices, one.distance, one.unsure) == (other.choices, other.distance, other.unsure)


def test_a_file_without_an_image_has_no_answer(run: Run) -> None:
    bad = [Picture("a", "is empty (0 bytes)")] * 3
    assert [(one.choices, one.unsure) for one in answer(Predictor(run), bad)] == [((), ())] * 3


def test_reasons_to_be_unsure() -> None:
    logits = np.zeros((BATCH, 10), np.float32)
    logits[:, 0], logits[1, 6] = 9, 9
    distances = np.zeros(BATCH)
    distances[2] = 1.5
    predictor: Any = SimpleNamespace(logits=lambda images: logits, run=SimpleNamespace(record={}))
    detector = Detector("told", lambda seen: distances, 1.0)
    flags = [(), (), (), ("low contrast", "object under 5 % of the area"), ("object over 60 % of the area",)]
    pictures = [Picture("a", "ok", flag, np.zeros((28, 28), np.uint8)) for flag in flags]
    found = list(answer(predictor, pictures, detector=detector))
    assert [one.unsure for one in found] == [
        (),
        ("close call between T-shirt/top and Shirt",),
        ("unlike anything it was trained on",),
        ("low contrast",),
        (),
    ]
    assert found[2].distance == 1.5


def test_flags_that_cast_doubt_are_flags() -> None:
    from fmnist.pictures.quality import FLAGS

    assert set(module.DOUBTFUL_FLAGS) < set(FLAGS)


def test_the_temperature_is_of_validation(run: Run, tmp_path: Path) -> None:
    val = run.predictions("val")
    assert find_temperature(run) == fit_temperature(val.logits, val.labels)
    without = Run.create(tmp_path, "without")
    assert find_temperature(without) is None
    without.save_predictions("val", Predictions(np.zeros((0, 10)), np.zeros(0), np.zeros(0)))
    assert find_temperature(without) is None
