"""A figure becomes a PNG or an RGB array, and leaves nothing in matplotlib's global state."""

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

from fmnist.figures import as_image, learning_curves, save


def test_a_saved_figure_equals_the_array(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figure, path = learning_curves({"val/loss": ([1, 2], [0.3, 0.2])}), tmp_path / "new" / "folder" / "a.png"
    save(figure, path)
    image = as_image(figure)
    assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)
    assert (image[0, 0] == 255).all()
    assert image.min() < 100
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), image)
    assert list(path.parent.iterdir()) == [path]
    assert dict(mpl.rcParams) == before


def test_nothing_heavy_is_imported_and_no_figure_stays_open() -> None:
    code = (
        "import sys; from fmnist import figures\n"
        "figures.as_image(figures.learning_curves({'val/loss': ([1, 2], [0.3, 0.2])}))\n"
        "assert not {'torch', 'lightning', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "import matplotlib.pyplot; assert matplotlib.pyplot.get_fignums() == []\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
