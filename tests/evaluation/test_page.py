"""Pages: one file each, text shown as text, images embedded."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from fmnist.core.tables import Column, Table
from fmnist.data import source
from fmnist.evaluation import page
from tests.evaluation.made import make_run
from tests.evaluation.reading import Page

EVIL = "</script><script>alert('x')</script> \"<b>&"


def filled() -> str:
    table = Table("published", EVIL, [Column(EVIL, "a", note=EVIL)], [{"a": EVIL, "b": 1}])
    context = {
        "title": EVIL, "kicker": "", "warnings": [EVIL], "skipped": [EVIL], "opening": [(EVIL, EVIL)],
        "tables": dict.fromkeys(("results", "pairs", "gaps", "class_f1", "published", "runs"), table),
        "first_seeds": EVIL, "curves": True, "classes": [EVIL], "models": [EVIL], "versus": [EVIL, EVIL],
        "pictures_note": EVIL, "images": "1", "all_wrong": "0", "all_wrong_pictures": [],
        "only_right": [(EVIL, "1", [])],
    }  # fmt: skip
    data = {"charts": {name: {"data": []} for name in ("by_time", "by_parameters", "by_speed")}, "evil": EVIL}
    return page.render("compare.html", data, **context)


def test_everything_is_escaped_and_nothing_comes_from_outside() -> None:
    html = filled()
    parsed = Page(html)
    assert "alert('x')" not in html.replace("&#39;", "")
    assert parsed.data["evil"] == EVIL
    assert parsed.tables["published"][-1] == [EVIL]
    assert [tag for tag, _ in parsed.elements].count("script") == 4  # theme, data, Plotly, ours
    for tag, attributes in parsed.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert re.match(r"(data:|#|$)", attributes.get(name) or ""), (tag, attributes)
    policy = next(a["content"] for t, a in parsed.elements if t == "meta" and a.get("http-equiv"))
    assert str(policy).startswith("default-src 'none'")
    style = (Path(page.__file__).parent / "templates" / "style.css").read_text()
    assert not re.search(r"url\(|@import", style)
    assert "Licensed under the MIT license" in html  # of Plotly


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
