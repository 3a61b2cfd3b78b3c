"""Picture files become images in order, in this process or in workers; a bad one does not stop the others."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_info

from fmnist.core.errors import InputError
from fmnist.pictures import parallel, prepare_files
from fmnist.pictures.parallel import THUMBNAIL, worker_pool


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twenty images like the data set's, except for the fourth file, which is no picture."""
    paths = [tmp_path / f"{number:02d}.png" for number in range(20)]
    for number, path in enumerate(paths):
        pixels = np.zeros((28, 28), np.uint8)
        pixels[5:20, 5 : 8 + number] = 10 * number + 50
        Image.fromarray(pixels).save(path)
    paths[3].write_text("no picture")
    return paths


def test_workers_give_the_same_as_this_process(files: list[Path]) -> None:
    here = list(prepare_files(files, processes=1, stages=files[0].parent / "stages"))
    in_workers = list(prepare_files(files, processes=2))
    assert [prepared.file for prepared in in_workers] == [str(path) for path in files]
    for a, b in zip(here, in_workers, strict=True):
        assert (a.file, a.status, a.flags) == (b.file, b.status, b.flags)
        np.testing.assert_array_equal(a.image, b.image)
    assert [prepared.status == "ok" for prepared in here] == [number != 3 for number in range(20)]
    assert here[3].status.startswith("is no PNG, JPEG")
    assert here[3].image is None
    np.testing.assert_array_equal(here[5].image, np.asarray(Image.open(files[5])))
    stages = sorted(path.name for path in (files[0].parent / "stages").iterdir())
    assert stages[:4] == ["0000-00", "0001-01", "0002-02", "0004-04"]


def test_the_first_pictures_that_can_be_read_keep_a_thumbnail(files: list[Path], tmp_path: Path) -> None:
    picture = Image.new("RGBA", (900, 300), (255, 0, 0, 0))
    picture.paste((0, 0, 90, 255), (350, 50, 550, 250))
    picture.save(tmp_path / "transparent.png")
    paths = [files[3], files[0], tmp_path / "transparent.png", files[1]]
    bad, tiny, transparent, last = (file.thumbnail for file in prepare_files(paths, thumbnails=2))
    assert (bad, last) == (None, None)
    assert np.shape(tiny) == (THUMBNAIL, THUMBNAIL, 3)  # 28 x 5
    assert np.shape(transparent)[1:] == (THUMBNAIL, 3)
    assert np.all(np.equal(transparent[:, :50], 0xE6))


def test_a_name_that_cannot_be_printed_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "new\nline.png"
    path.touch()
    (prepared,) = prepare_files([path])
    assert prepared.file.endswith("new\\nline.png'")
    assert prepared.status == "is empty (0 bytes)"


def _killed(task: object, **options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_is_reported(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_prepare_file", _killed)
    with pytest.raises(InputError, match="a process that prepares pictures was killed"):
        list(prepare_files(files, processes=2))


def _settings_of_worker(_: int) -> tuple[bool, set[int]]:
    """Return whether a process ignores Ctrl-C, and how many threads its libraries use."""
    np.ones((2, 2)) @ np.ones((2, 2))
    threads = {library["num_threads"] for library in threadpool_info()}
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN, threads


def test_a_killed_worker_is_said_in_a_line() -> None:
    with pytest.raises(InputError, match="was killed"), worker_pool(1) as pool:
        list(pool.map(os._exit, [1]))


def test_a_worker_has_one_thread_and_ignores_ctrl_c() -> None:
    with worker_pool(1) as pool:
        assert next(iter(pool.map(_settings_of_worker, [0]))) == (True, {1})
