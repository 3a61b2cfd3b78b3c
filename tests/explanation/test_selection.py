"""The right images are chosen; pictures of one's own are those that prediction would see."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.core.runs import Predictions
from fmnist.data import source
from fmnist.explanation.output import as_file_name
from fmnist.explanation.selection import (
    Selection,
    by_index,
    first_of_each_class,
    load_test_set,
    pictures,
    worst,
)
from fmnist.pictures import prepare, read_picture
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


def garment(side: int) -> Image.Image:
    """Draw a dark shirt on white."""
    levels = np.full((side, side), 255, np.uint8)
    levels[side // 5 : -side // 5, side // 3 : -side // 3] = 60
    levels[side // 5 : side // 3, side // 8 : -side // 8] = 60
    return Image.fromarray(levels)


def test_pictures_are_prepared_as_for_prediction(tmp_path: Path, synthetic_root: Path) -> None:
    native = source.load(synthetic_root).test_images.numpy()[0]
    Image.fromarray(native).save(tmp_path / "a.png")
    garment(200).convert("RGB").save(tmp_path / "シャツ.jpg")
    (tmp_path / "inside").mkdir()
    garment(90).save(tmp_path / "inside" / "a.png")
    (tmp_path / "notes.txt").write_text("no picture")
    chosen, _ = pictures(tmp_path)
    assert chosen.names == ("a.png", "inside/a.png", "シャツ.jpg")
    assert chosen.labels is None
    np.testing.assert_array_equal(chosen.images[0], native)
    for name, image in zip(chosen.names, chosen.images, strict=True):
        np.testing.assert_array_equal(image, prepare(read_picture(tmp_path / name)).image)
    assert (chosen.images[1:, 14, 14] > 100).all()  # dark on white has become bright on black
    assert not chosen.images[1:, [0, -1], [0, -1]].any()


def test_pictures_whose_names_differ_in_signs_alone_keep_files_of_their_own(tmp_path: Path) -> None:
    for name in ("a b.png", "a+b.png", "a-b.png"):
        garment(60).save(tmp_path / name)
    chosen, _ = pictures(tmp_path)
    assert len({as_file_name(name) for name in chosen.names}) == 3


def test_what_cannot_be_read_is_named_and_the_rest_is_done(tmp_path: Path) -> None:
    garment(60).save(tmp_path / "good.png")
    garment(300).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").touch()
    Image.new("L", (100, 100), 128).save(tmp_path / "flat.png")
    chosen, lines = pictures(tmp_path)
    assert chosen.names == ("flat.png", "good.png")
    assert lines[0].startswith(f"{tmp_path / 'flat.png'}: low contrast")
    assert [line.partition(": ")[0] for line in lines if line.startswith("skipped")] == [
        f"skipped {tmp_path / name}" for name in ("cut.png", "empty.png")
    ]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"--images \S+nowhere: holds no picture that can be read\n.*No such"
    ):
        pictures(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(
        InputError, match=r"holds no picture that can be read\n.*is a folder without pictures"
    ):
        pictures(tmp_path)
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    with pytest.raises(InputError, match=r"a.png: is empty \(0 bytes\), and 1 more$"):
        pictures(tmp_path)
