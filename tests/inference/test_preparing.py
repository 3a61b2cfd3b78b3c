"""Files become images in order, in this process or in others; one that is broken stops no other."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.inference import preparing
from fmnist.inference.preparing import THUMBNAIL, prepare_files


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twenty native images, the fourth of which is none."""
    paths = [tmp_path / f"{number:02d}.png" for number in range(20)]
    for number, path in enumerate(paths):
        pixels = np.zeros((28, 28), np.uint8)
        pixels[5:20, 5 : 8 + number] = 10 * number + 50
        Image.fromarray(pixels).save(path)
    paths[3].write_text("no picture")
    return paths


def test_other_processes_give_the_same_as_this_one(files: list[Path]) -> None:
    here = list(prepare_files(files, processes=1))
    there = list(prepare_files(files, processes=2))
    assert [picture.file for picture in there] == [str(path) for path in files]
    for one, other in zip(here, there, strict=True):
        assert (one.file, one.status, one.flags) == (other.file, other.status, other.flags)
        np.testing.assert_array_equal(one.image, other.image)
    assert [picture.status == "ok" for picture in here] == [number != 3 for number in range(20)]
    assert here[3].status.startswith("is no PNG, JPEG")
    assert here[3].image is None


def test_an_image_of_the_data_set_comes_through(files: list[Path]) -> None:
    (found,) = prepare_files(files[5:6])
    np.testing.assert_array_equal(found.image, np.asarray(Image.open(files[5])))
    assert found.flags == ()


def test_only_the_first_ones_are_kept_to_look_at(files: list[Path], tmp_path: Path) -> None:
    Image.new("RGBA", (900, 300), (255, 0, 0, 0)).save(tmp_path / "wide.png")
    found = list(prepare_files([files[0], tmp_path / "wide.png", files[1]], thumbnails=2))
    shapes = [None if picture.thumbnail is None else picture.thumbnail.shape for picture in found]
    assert shapes[0] == (THUMBNAIL, THUMBNAIL, 3)  # 28 x 5
    assert shapes[2] is None
    thumbnail = preparing._small(np.zeros((300, 900, 4), np.uint8))
    assert thumbnail.shape[1:] == (THUMBNAIL, 3)
    assert (thumbnail == 0xE6).all()  # all transparent


def test_stages_are_kept_by_number_and_name(files: list[Path], tmp_path: Path) -> None:
    list(prepare_files(files[:2], stages=tmp_path / "stages"))
    assert sorted(path.name for path in (tmp_path / "stages").iterdir()) == ["0000-00", "0001-01"]


def test_a_name_that_cannot_be_printed_is_told_in_ascii(tmp_path: Path) -> None:
    path = tmp_path / "new\nline.png"
    path.write_bytes(b"")
    (found,) = prepare_files([path])
    assert found.file.endswith("new\\nline.png'")
    assert found.status == "is empty (0 bytes)"


def _killed(task: object, **options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_told(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "prepare_file", _killed)
    with pytest.raises(InputError, match="a process that prepares pictures was killed"):
        list(prepare_files(files, processes=2))


def test_processes_load_nothing_heavy() -> None:
    heavy = ("torch", "lightning", "sklearn", "matplotlib")
    code = (
        f"import sys, fmnist.inference.preparing; print(*(name for name in {heavy} if name in sys.modules))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_small_copies_are_of_the_first_that_are_done(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").touch()
    Image.new("RGB", (40, 40), "white").save(tmp_path / "3.png")
    Image.new("RGB", (40, 40), "white").save(tmp_path / "4.png")
    pictures = list(prepare_files(sorted(tmp_path.iterdir()), thumbnails=1))
    assert [picture.thumbnail is not None for picture in pictures] == [False, False, False, True, False]
