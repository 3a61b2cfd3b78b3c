"""What the page shows of a picture, without a server."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.constants import CLASSES
from fmnist.core.runs import Run
from fmnist.demo import examples
from fmnist.demo.answer import PictureAnswer, Respondent, answer_picture
from fmnist.pictures.parallel import OK
from tests.inference.asked import make_asked

SHIRT = Path(__file__).parents[2] / "examples" / "t-shirt.jpg"


@pytest.fixture(scope="module")
def lenet5() -> Respondent:
    return Respondent(Run.find("lenet5"), "no data", 0.6)


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory, synthetic_root: Path) -> Respondent:
    return Respondent(make_asked(tmp_path_factory.mktemp("logs"), synthetic_root), str(synthetic_root), 0.6)


def test_every_part_of_a_picture(lenet5: Respondent) -> None:
    answer = answer_picture([lenet5], SHIRT, "my shirt.jpg")
    (of_run,) = answer.by_run
    assert (answer.file.file, answer.file.status) == ("my shirt.jpg", OK)
    assert of_run.run == "lenet5"
    assert of_run.answer.choices[0][0] == "T-shirt/top"
    assert answer.file.image is not None
    assert answer.file.image.shape == (28, 28)
    assert answer.cut_out is not None
    assert of_run.overlay is not None
    assert of_run.overlay.shape == answer.cut_out.shape
    assert of_run.method
    assert [image.shape for image, _ in of_run.neighbours] == [(28, 28)] * 5
    assert {name for _, name in of_run.neighbours} <= set(CLASSES)
    assert of_run.neighbours[0][1] == "T-shirt/top"


def test_the_rows_are_those_of_predict(lenet5: Respondent, estimator: Respondent) -> None:
    rows = answer_picture([lenet5, estimator], SHIRT, SHIRT.name).rows
    assert [row["run"] for row in rows] == ["lenet5", "small/version_0"]
    assert list(rows[0])[:4] == ["run", "file", "status", "class"]
    assert rows[0]["status"] == "ok"
    assert rows[0]["unsure"] == ""


def test_the_evidence_lies_on_the_garment(lenet5: Respondent, tmp_path: Path) -> None:
    picture = np.full((200, 300, 3), 240, np.uint8)
    picture[60:140, 20:100] = 30  # at the left, so not where the middle of the image would be
    Image.fromarray(picture).save(tmp_path / "left.png")
    answer = answer_picture([lenet5], tmp_path / "left.png", "left.png")
    overlay = answer.by_run[0].overlay
    assert overlay is not None
    colourful = np.ptp(overlay.astype(int), axis=2) > 20
    assert colourful.any()
    columns = np.flatnonzero(colourful.any(0)) / overlay.shape[1]
    assert columns.min() >= 20 / 300 - 0.02
    assert columns.max() <= 100 / 300 + 0.02


def test_an_image_of_the_data_set_has_no_cut_out(lenet5: Respondent, tmp_path: Path) -> None:
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 6:22] = 200
    Image.fromarray(image).save(tmp_path / "native.png")
    answer = answer_picture([lenet5], tmp_path / "native.png", "native.png")
    assert answer.cut_out is None
    assert np.array_equal(answer.file.image, image)  # type: ignore[arg-type]
    overlay = answer.by_run[0].overlay
    assert overlay is None or overlay.shape == (28, 28, 3)


def test_a_file_without_an_answer_says_why(lenet5: Respondent, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    Image.new("RGB", (100, 100), "white").save(tmp_path / "blank.png")
    for name, status in (("empty.png", "is empty (0 bytes)"), ("blank.png", "nothing found")):
        answer = answer_picture([lenet5], tmp_path / name, "picture.png")
        assert answer.file.status == status
        assert (answer.cut_out, answer.by_run[0].overlay, answer.by_run[0].neighbours) == (None, None, ())
        assert answer.rows[0]["class"] is None


def test_a_run_that_keeps_no_images_shows_none(synthetic_root: Path, tmp_path: Path) -> None:
    run = make_asked(tmp_path, synthetic_root)
    respondent = Respondent(run, str(tmp_path / "no data"), 0.6)
    answer: PictureAnswer = answer_picture([respondent], SHIRT, SHIRT.name)
    assert answer.by_run[0].neighbours == ()
    assert answer.by_run[0].answer.choices
    assert any("less reliably" in note for note in respondent.notes)


@pytest.mark.parametrize("name", examples.GARMENTS)
def test_examples_are_found_in_their_pictures(name: str, lenet5: Respondent, tmp_path: Path) -> None:
    Image.fromarray(examples.draw(name)).save(tmp_path / "a.png")
    answer = answer_picture([lenet5], tmp_path / "a.png", "a.png")
    assert answer.file.status == OK
    assert answer.file.flags == ()
