"""Images in pages."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.data import source
from fmnist.evaluation import pictures


def decoded(address: str) -> np.ndarray:
    start, _, content = address.partition(",")
    assert start == "data:image/png;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(content))))


def test_a_picture_is_the_image_dark_on_white() -> None:
    image = np.arange(784, dtype=np.uint8).reshape(28, 28)
    found = pictures.picture(image, "Shirt", "→ Coat", "no. 7")
    np.testing.assert_array_equal(decoded(found.address), 255 - image)
    assert (found.title, found.details) == ("Shirt", ("→ Coat", "no. 7"))


def test_test_images_are_those_of_the_run(synthetic_root: Path) -> None:
    data = source.load(synthetic_root)
    images, note = pictures.load_test_images(str(synthetic_root), data.sha256)
    assert note == ""
    np.testing.assert_array_equal(images, data.test_images.numpy())


def test_other_data_give_no_pictures(synthetic_root: Path) -> None:
    images, note = pictures.load_test_images(str(synthetic_root), {"t10k-images-idx3-ubyte": "ffff"})
    assert images is None
    assert "other data" in note


def test_missing_data_give_no_pictures_and_no_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FMNIST_DATA", raising=False)
    monkeypatch.setattr(source, "DEBIAN_FOLDER", tmp_path / "none")
    images, note = pictures.load_test_images(str(tmp_path / "data"), {})
    assert images is None
    assert "not on this machine" in note
    assert list(tmp_path.iterdir()) == []


def test_damaged_data_give_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"")
    images, note = pictures.load_test_images(str(tmp_path), {})
    assert images is None
    assert "is missing" in note


def test_explanations_are_embedded_as_far_as_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pictures.explanations(tmp_path) == ([], "")
    for number in range(3):
        Image.fromarray(np.full((9, 9), number, np.uint8)).save(tmp_path / f"{number}_gradcam.png")
    found, note = pictures.explanations(tmp_path)
    assert [picture.title for picture in found] == ["0 gradcam", "1 gradcam", "2 gradcam"]
    assert decoded(found[2].address)[0, 0] == 2
    assert note == ""
    monkeypatch.setattr(pictures, "EXPLANATIONS", 2)
    found, note = pictures.explanations(tmp_path)
    assert (len(found), note) == (2, f"1 more in {tmp_path}")
    monkeypatch.setattr(pictures, "EXPLANATION_BYTES", 10)
    assert pictures.explanations(tmp_path)[0] == []
