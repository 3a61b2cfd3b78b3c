"""Files and folders: every picture once, in order, and nothing that was asked for is lost."""

import os
from pathlib import Path

import pytest

from fmnist.pictures.finding import find_pictures


def touched(*paths: Path) -> list[Path]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return list(paths)


def test_folders_are_walked_in_name_order(tmp_path: Path) -> None:
    pictures = touched(
        tmp_path / "a.PNG", tmp_path / "b" / "2.jpeg", tmp_path / "b" / "3.webp", tmp_path / "c.gif"
    )
    touched(tmp_path / "notes.txt", tmp_path / ".hidden.png", tmp_path / ".cache" / "d.png")
    assert find_pictures([tmp_path]) == pictures


def test_files_are_taken_in_the_order_given_whatever_their_names(tmp_path: Path) -> None:
    second, first = touched(tmp_path / "b", tmp_path / "a.png")
    missing = tmp_path / "missing.png"
    assert find_pictures([second, missing, first]) == [second, missing, first]


def test_each_picture_once(tmp_path: Path) -> None:
    picture, *_ = touched(tmp_path / "a.png")
    assert find_pictures([picture, tmp_path, picture]) == [picture]


def test_a_folder_without_pictures_stands_for_itself(tmp_path: Path) -> None:
    touched(tmp_path / "notes.txt")
    assert find_pictures([tmp_path]) == [tmp_path]


def test_links_that_loop_end(tmp_path: Path) -> None:
    (picture,) = touched(tmp_path / "a.png")
    (tmp_path / "again").symlink_to(tmp_path)
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    assert find_pictures([tmp_path]) == [picture, loop]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into everything")
def test_a_closed_folder_stands_for_itself(tmp_path: Path) -> None:
    (picture,) = touched(tmp_path / "a.png")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    assert find_pictures([tmp_path]) == [picture, closed]


def test_a_name_that_no_file_can_have_stands_for_itself() -> None:
    impossible = Path("x" * 5000)
    assert find_pictures([impossible]) == [impossible]
