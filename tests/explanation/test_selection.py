"""The right images and classes are chosen; pictures of one's own are those that prediction would see."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.predictions import Predictions
from fmnist.explanation.selection import (
    Selection,
    Target,
    as_file_name,
    describe_target,
    distinct,
    most_confident_mistakes,
    parse_target,
    read_pictures,
)
from fmnist.pictures import prepare, read_picture

SHIRT, TOP = CLASSES.index("Shirt"), CLASSES.index("T-shirt/top")
PREDICTED, LABELS = np.array([3, 0, 9]), np.array([3, 6, 8])


def test_without_mistakes_there_is_none_to_choose(test_set: Selection) -> None:
    assert test_set.labels is not None
    perfect = Predictions(np.eye(10)[test_set.labels], test_set.labels, np.arange(200))
    with pytest.raises(InputError, match="--pair: this run makes no mistake between Bag and Coat"):
        most_confident_mistakes(test_set, perfect, pair=[8, 4])
    with pytest.raises(InputError, match="--worst: this run makes no mistake on the test set"):
        most_confident_mistakes(test_set, perfect, 3)


def test_pictures_are_prepared_as_for_prediction_and_unreadable_ones_named(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    garment = np.full((200, 200), 255, np.uint8)
    garment[40:160, 60:140] = 60
    (tmp_path / "inside").mkdir()
    Image.fromarray(pixels[0]).save(tmp_path / "a.png")
    Image.fromarray(garment).save(tmp_path / "シャツ.jpg")
    Image.fromarray(garment[::2, ::2]).save(tmp_path / "inside" / "a.png")
    Image.new("L", (100, 100), 128).save(tmp_path / "flat.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "empty.png").touch()
    chosen, lines = read_pictures(tmp_path)
    assert chosen.names == ("a.png", "inside/a.png", "シャツ.jpg")
    for name, image in zip(chosen.names, chosen.images, strict=True):
        np.testing.assert_array_equal(image, prepare(read_picture(tmp_path / name)).image)
    assert lines[-2:] == [
        f"skipped {tmp_path / 'empty.png'}: is empty (0 bytes)",
        f"skipped {tmp_path / 'flat.png'}: nothing found",
    ]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no picture.*\n.*is a folder without pictures"):
        read_pictures(tmp_path)
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"a.png: is empty \(0 bytes\), and 1 more$"):
        read_pictures(tmp_path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("T-shirt/top", "T-shirt-top"),
        ("../../etc", "etc"),
        ("a b.png", "a-b.png"),
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


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("predicted", Target("predicted")),
        ("true", Target("true")),
        ("t-shirt/TOP", Target(TOP)),
        ("9", Target(9)),
        ("Shirt-vs-T-shirt/top", Target(SHIRT, TOP)),
        ("predicted-vs-true", Target("predicted", "true")),
    ],
)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, "must be predicted, true, a class.*Ankle boot") for text in ("Hat", "10", "Shirt-vs-", "²")),
        ("Shirt-vs-6", "names one class twice"),
    ],
)
def test_another_target_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"--target {text}: {reason}"):
        parse_target(text)


def test_coefficients_pick_logits_and_are_described() -> None:
    one_hot = np.eye(10)
    for target, expected in {
        Target("true"): one_hot[LABELS],
        Target(SHIRT, TOP): np.tile(one_hot[SHIRT] - one_hot[TOP], (3, 1)),
        Target("predicted", "true"): one_hot[PREDICTED] - one_hot[LABELS],
    }.items():
        np.testing.assert_array_equal(target.coefficients(PREDICTED, LABELS), expected)
    with pytest.raises(InputError, match="--target true: pictures of your own have no true class"):
        Target("true").coefficients(PREDICTED, None)
    coefficients = Target(SHIRT, "predicted").coefficients(np.array([TOP, SHIRT]), None)
    assert describe_target(coefficients[0]) == "for Shirt, not T-shirt/top"
    assert describe_target(coefficients[1]) == "for nothing: the classes are one"
    assert describe_target(Target(9).coefficients(PREDICTED, None)[0]) == "for Ankle boot"
