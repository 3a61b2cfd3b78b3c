"""Every step of a preparation as a file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.pictures.stages import save_stages


def test_steps_are_numbered_in_their_order(tmp_path: Path) -> None:
    colours, mask = np.full((9, 8, 3), 7, np.uint8), np.zeros((9, 8), np.uint8)
    save_stages(tmp_path / "new", "a coat", {"upright picture": colours, "mask": mask})
    folder = tmp_path / "new" / "a coat"
    assert sorted(path.name for path in folder.iterdir()) == ["1-upright-picture.png", "2-mask.png"]
    assert np.array_equal(np.asarray(Image.open(folder / "1-upright-picture.png")), colours)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        save_stages(tmp_path / "file", "a", {"mask": np.zeros((9, 8), np.uint8)})
