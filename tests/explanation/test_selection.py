"""The right images and classes are chosen; pictures of one's own are those that prediction would see."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.runs import Predictions, Run
from fmnist.data import source
from fmnist.explanation.selection import (
    Selection,
    Target,
    as_file_name,
    by_index,
    describe_target,
    distinct,
    first_of_each_class,
    load_test_set,
    most_confident_mistakes,
    parse_target,
    read_pictures,
)
from fmnist.pictures import prepare, read_picture

SHIRT, TOP = CLASSES.index("Shirt"), CLASSES.index("T-shirt/top")
PREDICTED, LABELS = np.array([3, 0, 9]), np.array([3, 6, 8])


@pytest.fixture
def test_set() -> Selection:
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    return Selection(tuple(f"test-{i:05d}" for i in range(40)), images, np.arange(40) % 10)


def predictions(mistakes: dict[int, tuple[int, float]]) -> Predictions:
    """Return predictions that are right but for ``mistakes``: index to class and logit."""
    labels = np.arange(40) % 10
    logits = 9 * np.eye(10, dtype=np.float32)[labels]
    for index, (wrong, logit) in mistakes.items():
        logits[index] = logit * np.eye(10)[wrong]
    return Predictions(logits, labels, np.arange(40))


def test_images_are_chosen_by_number(test_set: Selection) -> None:
    chosen = by_index(test_set, [7, 0, 39])
    assert chosen.names == ("test-00007", "test-00000", "test-00039")
    np.testing.assert_array_equal(chosen.images, test_set.images[[7, 0, 39]])
    assert chosen.labels is not None
    assert chosen.labels.tolist() == [7, 0, 9]
    assert first_of_each_class(test_set).names == tuple(f"test-{i:05d}" for i in range(10))


def test_the_most_confident_mistakes_come_first(test_set: Selection) -> None:
    known = predictions({3: (0, 2.0), 20: (6, 5.0), 30: (5, 4.0), 36: (0, 3.0)})
    worst = most_confident_mistakes(test_set, known, 16)
    assert worst.names == ("test-00020", "test-00030", "test-00036", "test-00003")
    assert most_confident_mistakes(test_set, known, 2).names == worst.names[:2]
    assert most_confident_mistakes(test_set, known, pair=[6, 0]).names == ("test-00020", "test-00036")
    with pytest.raises(InputError, match="--pair: this run makes no mistake between Bag and Coat"):
        most_confident_mistakes(test_set, known, pair=[8, 4])
    with pytest.raises(InputError, match="--worst: this run makes no mistake on the test set"):
        most_confident_mistakes(test_set, predictions({}), 3)


def test_the_test_set_is_that_of_the_run(run: Run, synthetic_root: Path) -> None:
    chosen = load_test_set(run, str(synthetic_root))
    np.testing.assert_array_equal(chosen.images, source.load(synthetic_root).test_images.numpy())
    assert chosen.names[199] == "test-00199"
    run.record["data_sha256"] = {}
    with pytest.raises(InputError, match=f"--data.root {synthetic_root}: holds other data than"):
        load_test_set(run, str(synthetic_root))


# pictures


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
    chosen, _ = read_pictures(tmp_path)
    assert chosen.names == ("a.png", "inside/a.png", "シャツ.jpg")
    assert chosen.labels is None
    np.testing.assert_array_equal(chosen.images[0], native)
    for name, image in zip(chosen.names, chosen.images, strict=True):
        np.testing.assert_array_equal(image, prepare(read_picture(tmp_path / name)).image)
    assert (chosen.images[1:, 14, 14] > 100).all()  # dark on white has become bright on black
    assert not chosen.images[1:, [0, -1], [0, -1]].any()


def test_an_unreadable_picture_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    garment(60).save(tmp_path / "good.png")
    garment(300).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").touch()
    Image.new("L", (100, 100), 128).save(tmp_path / "flat.png")
    chosen, lines = read_pictures(tmp_path)
    assert chosen.names == ("flat.png", "good.png")
    assert lines[0].startswith(f"{tmp_path / 'flat.png'}: low contrast")
    assert [line.partition(": ")[0] for line in lines if line.startswith("skipped")] == [
        f"skipped {tmp_path / name}" for name in ("cut.png", "empty.png")
    ]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    nothing = "holds no picture that can be read\n"
    with pytest.raises(InputError, match=rf"--images \S+nowhere: {nothing}.*No such"):
        read_pictures(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match=f"{nothing}.*is a folder without pictures"):
        read_pictures(tmp_path)
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    with pytest.raises(InputError, match=r"a.png: is empty \(0 bytes\), and 1 more$"):
        read_pictures(tmp_path)


# file names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("T-shirt/top", "T-shirt-top"),
        ("../../etc", "etc"),
        ("a b.png", "a-b.png"),
        ("Ärmel.jpg", "Ärmel.jpg"),
        ("シャツ/1.png", "シャツ-1.png"),
        ("..", "unnamed"),
        ("シャツ" * 100, "シャツ" * 22),  # 3 bytes a letter; file systems allow 255
    ],
)
def test_file_names(text: str, name: str) -> None:
    assert as_file_name(text) == name


def test_no_two_names_share_a_file() -> None:
    long = ["x" * 300 + "1", "x" * 300 + "2"]
    names = ["a b.png", "シャツ.png", "ズボン.png", "a-b.png", "A b.png", "2-a-b.png", *long]
    unique = distinct(names)
    assert unique[:4] == ["a b.png", "シャツ.png", "ズボン.png", "2-a-b.png"]
    assert len({as_file_name(name).casefold() for name in unique}) == len(names)


# targets


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("predicted", Target("predicted")),
        ("true", Target("true")),
        ("Shirt", Target(SHIRT)),
        ("t-shirt/TOP", Target(TOP)),
        ("9", Target(9)),
        ("Shirt-vs-T-shirt/top", Target(SHIRT, TOP)),
        ("predicted-vs-true", Target("predicted", "true")),
    ],
)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(str(target)) == target


@pytest.mark.parametrize("text", ["Hat", "", "10", "-1", "Shirt-vs-Hat", "Shirt-vs-", "²"])
def test_an_unknown_class_is_refused_with_all_that_there_are(text: str) -> None:
    with pytest.raises(InputError, match=f"--target {text}: must be predicted, true, a class.*Ankle boot"):
        parse_target(text)


def test_a_class_against_itself_is_refused() -> None:
    with pytest.raises(InputError, match="--target Shirt-vs-6: names one class twice"):
        parse_target("Shirt-vs-6")


def test_the_coefficients_pick_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 10))
    rows = np.arange(3)
    expected = {
        Target("predicted"): logits[rows, PREDICTED],
        Target("true"): logits[rows, LABELS],
        Target(5): logits[:, 5],
        Target(SHIRT, TOP): logits[:, SHIRT] - logits[:, TOP],
        Target("predicted", "true"): logits[rows, PREDICTED] - logits[rows, LABELS],
    }
    for target, outputs in expected.items():
        sums = (logits * target.coefficients(PREDICTED, LABELS)).sum(1)
        np.testing.assert_allclose(sums, outputs, atol=1e-12)
    with pytest.raises(InputError, match="--target true: pictures of your own have no true class"):
        Target("true").coefficients(PREDICTED, None)


def test_a_target_in_words() -> None:
    coefficients = Target(SHIRT, "predicted").coefficients(np.array([TOP, SHIRT]), None)
    assert describe_target(coefficients[0]) == "for Shirt, not T-shirt/top"
    assert describe_target(coefficients[1]) == "for nothing: the classes are one"
    assert describe_target(Target(9).coefficients(PREDICTED, None)[0]) == "for Ankle boot"
