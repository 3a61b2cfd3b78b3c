"""Pages: images embedded, defects refused."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from fmnist.data import source
from fmnist.evaluation import page
from tests.evaluation.made import make_run


def test_a_missing_value_or_a_number_that_json_has_not_is_a_defect() -> None:
    with pytest.raises(UndefinedError):
        page.render("compare.html", {"charts": {}})
    with pytest.raises(ValueError, match="JSON"):
        page.render("base.html", {"bad": float("nan")}, title="", kicker="", warnings=[])


def decoded(address: str) -> np.ndarray:
    start, _, content = address.partition(",")
    assert start == "data:image/png;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(content))))


def test_an_image_is_embedded_dark_on_white() -> None:
    image = np.arange(784, dtype=np.uint8).reshape(28, 28)
    np.testing.assert_array_equal(decoded(page.embed_image(image, "Shirt").address), 255 - image)


def test_pictures_are_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FMNIST_DATA", raising=False)
    monkeypatch.setattr(source, "DEBIAN_FOLDER", tmp_path / "nowhere")
    images, note = page.load_test_images(make_run(tmp_path / "logs"), str(tmp_path / "none"))
    assert images is None
    assert note.startswith("No pictures: ")
    assert "holds no data set" in note
    assert not (tmp_path / "none").exists()


def test_explanations_are_embedded_as_far_as_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert page.embed_explanations(tmp_path) == ([], "")
    for number in range(3):
        Image.fromarray(np.full((9, 9), number, np.uint8)).save(tmp_path / f"{number}_gradcam.png")
    pictures, note = page.embed_explanations(tmp_path)
    assert [picture.title for picture in pictures] == ["0 gradcam", "1 gradcam", "2 gradcam"]
    assert (decoded(pictures[2].address)[0, 0], note) == (2, "")
    monkeypatch.setattr(page, "EXPLANATIONS", 2)
    pictures, note = page.embed_explanations(tmp_path)
    assert (len(pictures), note) == (2, f"1 more in {tmp_path}")
    monkeypatch.setattr(page, "EXPLANATION_BYTES", 10)
    assert page.embed_explanations(tmp_path)[0] == []
