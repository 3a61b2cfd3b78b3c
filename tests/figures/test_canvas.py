"""The ways out: an atomic PNG, an RGB array, and no trace in matplotlib's global state."""

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from fmnist.figures import as_image, image_grid, learning_curves, save

FIGURE = image_grid(np.zeros((2, 28, 28)), ["one", "two"])


def test_saved_figure_is_readable_in_a_new_folder_and_equals_the_array(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "grid.png"
    save(FIGURE, path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), as_image(FIGURE))
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grid.png"
    path.write_bytes(b"old")

    def half(temporary: Path, **_: object) -> None:
        assert temporary.parent == path.parent
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    figure = image_grid(np.zeros((1, 28, 28)))
    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        save(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_array_is_rgb_bytes() -> None:
    image = as_image(learning_curves({"val/loss": ([1, 2], [0.3, 0.2])}))
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert (image[0, 0] == 255).all()
    assert image.min() < 100


def test_settings_are_left_as_they_were() -> None:
    before = dict(mpl.rcParams)
    as_image(learning_curves({"val/loss": ([1, 2], [0.3, 0.2])}))
    assert dict(mpl.rcParams) == before


def test_nothing_heavy_is_imported_and_no_figure_stays_open() -> None:
    code = (
        "import sys; from fmnist import figures\n"
        "figures.as_image(figures.learning_curves({'val/loss': ([1, 2], [0.3, 0.2])}))\n"
        "assert not {'torch', 'lightning', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "import matplotlib.pyplot; assert matplotlib.pyplot.get_fignums() == []\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
