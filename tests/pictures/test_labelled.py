"""Folders of labelled photographs: which classes subfolders mean, and what is refused."""

from pathlib import Path

import pytest

from fmnist.core.errors import InputError
from fmnist.pictures.labelled import LabelledFolder, read_labelled_folder


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def read(folder: Path, mapping: str | None = None) -> LabelledFolder:
    """Read a folder with the text of a mapping."""
    file = folder.with_name("mapping.yaml")
    if mapping is not None:
        file.write_text(mapping)
    return read_labelled_folder(folder, None if mapping is None else file, "--photographs", "--classes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return touch(tmp_path / "photographs", "dress/1.jpg", "longsleeve/1.jpg", "hat/1.jpg", "shoes/1.jpg")


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("T-shirt", (0,)),
        ("tshirt-top", (0,)),
        ("T-SHIRT_TOP", (0,)),
        ("trouser", (1,)),
        ("ankle_boot", (9,)),
        ("Ankle boot", (9,)),
        ("Foreign", ()),
    ],
)
def test_subfolders_are_matched_with_the_class_names(
    tmp_path: Path, name: str, answers: tuple[int, ...]
) -> None:
    assert read(touch(tmp_path / "photographs", f"{name}/1.png")).answers == {name: answers}


def test_files_are_sorted_and_what_is_not_looked_at_is_named(tmp_path: Path) -> None:
    pictures = ["Dress/1.jpg", "Dress/blue/2.png", "coat/1.heic", "coat/2.jpg"]
    others = ["top.jpg", "Dress/notes.txt"]
    folder = touch(
        tmp_path / "photographs", *pictures, *others, "Dress/.hidden.jpg", ".cache/1.jpg", ".DS_Store"
    )
    labelled = read(folder)
    assert labelled.files == tuple(folder / name for name in pictures)
    assert labelled.folders == ("Dress", "Dress", "coat", "coat")
    assert labelled.others == tuple(folder / name for name in others)


def test_a_mapping_goes_before_the_names(folder: Path) -> None:
    labelled = read(
        folder, "dress: coat\nlongsleeve: [Shirt, Pullover, T-shirt/top]\nhat: foreign\nshoes: null\n"
    )
    assert labelled.answers == {"dress": (4,), "hat": (), "longsleeve": (0, 2, 6)}
    assert labelled.left_out == ("shoes",)
    assert labelled.folders == ("dress", "hat", "longsleeve")


def test_names_are_enough_beside_a_mapping_and_numbers_are_names(tmp_path: Path) -> None:
    folder = touch(tmp_path / "photographs", "dress/1.jpg", "7/1.jpg")
    assert read(folder, "7: Sneaker").answers == {"7": (7,), "dress": (3,)}


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (None, ["--photographs", "no class is known for hat, longsleeve, shoes", "Ankle boot", "'hat: "]),
        ("hat: foreign", ["no class is known for longsleeve, shoes", "--classes"]),
        ("hat: Cap", ["--classes", "hat: unknown class Cap", "T-shirt/top", "foreign"]),
        ("hat: [Dress, 3]", ["unknown class 3"]),
        ("hat: [Dress, foreign]", ["either classes or one foreign"]),
        ("hat: []", ["names no class"]),
        ("hats: foreign", ["maps hats", "there are dress, hat, longsleeve, shoes"]),
        ("{dress: null, hat: null, longsleeve: null, shoes: null}", ["leaves out all subfolders"]),
        ("hat: [", ["--classes", "is no YAML"]),
        ("hat", ["must hold keys like 'dress:'"]),
    ],
)
def test_what_is_unknown_is_refused_by_name(folder: Path, mapping: str | None, said: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(folder, mapping)
    for words in said:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "cannot be read (No such file or directory)"),
        (["1.jpg"], "has no subfolders"),
        (["dress/1.jpg", "coat/notes.txt"], "subfolder coat holds no pictures"),
    ],
)
def test_a_folder_without_labelled_pictures_is_refused(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(touch(tmp_path / "photographs", *names))
    assert said in str(caught.value)


def test_the_digest_follows_names_and_bytes_but_not_the_place(folder: Path, tmp_path: Path) -> None:
    mapping = "{longsleeve: null, hat: foreign, shoes: Sneaker}"
    before = read(folder, mapping).sha256()
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    assert read(moved, mapping).sha256() == before
    (moved / "hat" / "1.jpg").write_text("another hat")
    assert read(moved, mapping).sha256() != before
