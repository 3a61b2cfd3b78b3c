"""The right images are chosen; pictures are read safely, and what is none is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.data import source
from fmnist.errors import InputError
from fmnist.explanation import selection
from fmnist.explanation.selection import (
    Selection,
    by_index,
    first_of_each_class,
    load_test_set,
    pictures,
    worst,
)
from fmnist.runs import Predictions
from tests.explanation.conftest import Make


@pytest.fixture
def test_set() -> Selection:
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    labels = np.arange(40) % 10
    return Selection(tuple(f"test-{i:05d}" for i in range(40)), images, labels)


def predictions(labels: np.ndarray, mistakes: dict[int, tuple[int, float]]) -> Predictions:
    """Return predictions that are right but for ``mistakes``: index to class and confidence."""
    logits = np.zeros((len(labels), 10), np.float32)
    logits[np.arange(len(labels)), labels] = 9
    for index, (wrong, logit) in mistakes.items():
        logits[index] = 0
        logits[index, wrong] = logit
    return Predictions(logits, labels, np.arange(len(labels)))


def test_images_are_chosen_by_number(test_set: Selection) -> None:
    chosen = by_index(test_set, [7, 0, 39])
    assert chosen.names == ("test-00007", "test-00000", "test-00039")
    np.testing.assert_array_equal(chosen.images, test_set.images[[7, 0, 39]])
    assert chosen.labels is not None
    assert chosen.labels.tolist() == [7, 0, 9]


@pytest.mark.parametrize("index", [-1, 40])
def test_a_number_that_does_not_exist_is_refused(index: int, test_set: Selection) -> None:
    with pytest.raises(InputError, match=f"--indices {index}: must lie between 0 and 39"):
        by_index(test_set, [0, index])


def test_the_first_of_each_class(test_set: Selection) -> None:
    assert first_of_each_class(test_set).names == tuple(f"test-{i:05d}" for i in range(10))


def test_the_worst_are_the_most_confident_mistakes(test_set: Selection) -> None:
    assert test_set.labels is not None
    said = predictions(test_set.labels, {3: (0, 2.0), 20: (6, 5.0), 30: (5, 4.0), 36: (0, 3.0)})
    assert worst(test_set, said, 2, None).names == ("test-00020", "test-00030")
    assert worst(test_set, said, 16, None).names == ("test-00020", "test-00030", "test-00036", "test-00003")
    assert worst(test_set, said, None, [6, 0]).names == ("test-00020", "test-00036")
    with pytest.raises(InputError, match="--pair: this run makes no mistake between Bag and Coat"):
        worst(test_set, said, None, [8, 4])
    with pytest.raises(InputError, match="--worst: this run makes no mistake on the test set"):
        worst(test_set, predictions(test_set.labels, {}), 3, None)
    with pytest.raises(InputError, match="--worst 0: must be at least 1"):
        worst(test_set, said, 0, None)


def test_the_test_set_is_that_of_the_run(make_run: Make, synthetic_root: Path) -> None:
    run = make_run()
    chosen = load_test_set(run, str(synthetic_root))
    np.testing.assert_array_equal(chosen.images, source.load(synthetic_root).test_images.numpy())
    run.record["data_sha256"] = {}
    with pytest.raises(InputError, match=f"--data.root {synthetic_root}: holds other data than"):
        load_test_set(run, str(synthetic_root))


def test_pictures_of_many_kinds_are_read(tmp_path: Path) -> None:
    grey = np.zeros((28, 28), np.uint8)
    grey[5:20, 8:16] = 200
    picture = Image.fromarray(grey)
    picture.save(tmp_path / "a.png")
    picture.convert("RGB").resize((280, 140)).save(tmp_path / "b.jpg", quality=95)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "c.png")
    clear = Image.fromarray(np.stack([np.full_like(grey, 200)] * 3 + [(grey > 0).astype(np.uint8) * 255], 2))
    clear.save(tmp_path / "d.webp", lossless=True)
    (tmp_path / "folder").mkdir()
    chosen, skipped = pictures(tmp_path)
    assert chosen.names == ("a.png", "b.jpg", "c.png", "d.webp")
    assert chosen.labels is None
    assert chosen.images.dtype == np.uint8
    assert not skipped
    np.testing.assert_array_equal(chosen.images[0], grey)
    assert np.abs(chosen.images[1].astype(int) - grey).mean() < 10
    np.testing.assert_array_equal(chosen.images[2], grey)  # 16 bits, not clipped to white
    np.testing.assert_array_equal(chosen.images[3], grey)  # transparent is black


def test_what_is_no_picture_is_named_and_the_rest_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "good.png")
    Image.new("L", (300, 300)).save(tmp_path / "huge.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "empty.png").touch()
    whole = (tmp_path / "huge.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(selection, "LARGEST", 300 * 299)
    chosen, skipped = pictures(tmp_path)
    assert chosen.names == ("good.png",)
    assert [line.partition(":")[0] for line in skipped] == [
        str(tmp_path / name) for name in ("cut.png", "empty.png", "huge.png", "notes.txt")
    ]
    assert "300 x 300 pixels, more than 89,700" in skipped[2]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--images .*nowhere: cannot be read \(No such file"):
        pictures(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match=r"holds no picture that can be read\n.*notes.txt: skipped"):
        pictures(tmp_path)
