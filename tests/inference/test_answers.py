"""Answers are the model's, in order, with reasons to doubt them; each depends on its own picture only."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fmnist.core.constants import CLASSES
from fmnist.core.runs import Run
from fmnist.core.statistics import softmax
from fmnist.inference.answers import BATCH, DOUBTFUL_FLAGS, classify
from fmnist.inference.detection import Detector, find_detector
from fmnist.inference.predictor import Predictor
from fmnist.pictures import PreparedFile
from fmnist.pictures.preparation import FLAGS
from tests.inference.asked import make_asked
from tests.synthetic import draw


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, synthetic_root: Path) -> Run:
    return make_asked(tmp_path_factory.mktemp("logs"), synthetic_root)


@pytest.fixture(scope="module")
def pictures() -> list[PreparedFile]:
    images = draw(np.arange(BATCH + 30) % 10, np.random.default_rng(0))
    return [PreparedFile(f"{number}.png", "ok", (), image) for number, image in enumerate(images)]


def test_choices_are_the_likeliest_classes(run: Run, pictures: list[PreparedFile]) -> None:
    predictor = Predictor(run)
    answers = list(classify(predictor, pictures, temperature=2.0))
    images = np.stack([picture.image for picture in pictures])  # type: ignore[arg-type]
    assert [answer.picture.file for answer in answers] == [picture.file for picture in pictures]
    for answer, row in zip(answers, softmax(predictor.logits(images), 2.0), strict=True):
        names, probabilities = zip(*answer.choices, strict=True)
        assert names == tuple(CLASSES[label] for label in np.argsort(-row)[:3])
        np.testing.assert_allclose(probabilities, np.sort(row)[::-1][:3], rtol=1e-4)
        assert answer.distance is None


def test_other_pictures_do_not_change_an_answer(
    run: Run, pictures: list[PreparedFile], synthetic_root: Path
) -> None:
    predictor = Predictor(run)
    detector = find_detector(predictor, str(synthetic_root))
    bad = [PreparedFile("bad.png", "is empty (0 bytes)")] * 50
    mixed = [picture for pair in zip(bad, pictures, strict=False) for picture in pair] + pictures[50:]
    answers = list(classify(predictor, bad * 2 + mixed, 1.3, detector))
    among_bad = [answer for answer in answers if answer.choices]
    alone = [
        answer for part in (pictures[:1], pictures[1:]) for answer in classify(predictor, part, 1.3, detector)
    ]
    for a, b in zip(among_bad, alone, strict=True):
        assert [name for name, _ in a.choices] == [name for name, _ in b.choices]
        assert [value for _, value in a.choices] == pytest.approx([value for _, value in b.choices], rel=1e-5)
        assert a.distance == pytest.approx(b.distance, rel=1e-4)
        assert a.unsure == b.unsure
    without_image = [answer for answer in answers if answer.picture.image is None]
    assert len(without_image) == 150
    assert not any(answer.choices or answer.unsure for answer in without_image)


def test_reasons_to_be_unsure() -> None:
    logits = np.zeros((BATCH, 10), np.float32)
    logits[:, 0], logits[1, 6] = 9, 9
    distances = np.zeros(BATCH)
    distances[2] = 1.5
    predictor: Any = SimpleNamespace(logits=lambda images: logits, embeddings=lambda images: images)
    detector = Detector(lambda outputs: distances, 1.0)
    flags = [(), (), (), ("low contrast", "object under 5 % of the area"), ("object over 60 % of the area",)]
    pictures = [PreparedFile("a", "ok", flag, np.zeros((28, 28), np.uint8)) for flag in flags]
    answers = list(classify(predictor, pictures, detector=detector))
    assert [answer.unsure for answer in answers] == [
        (),
        ("close call between T-shirt/top and Shirt",),
        ("unlike anything it was trained on",),
        ("low contrast",),
        ("object over 60 % of the area",),
    ]
    assert answers[2].distance == 1.5
    assert set(DOUBTFUL_FLAGS) < set(FLAGS)
