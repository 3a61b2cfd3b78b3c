"""The contact sheet shows pixels unchanged, and every text that it is given."""

import numpy as np
import pytest

from fmnist.figures import as_image
from fmnist.figures.contact_sheet import FAILED_LETTERS, MOST_FAILED, TILE, ZOOM, Card, contact_sheet

CHOICES = (("Bag", 0.9998), ("Dress", 0.0001), ("Coat", 0.0001))


def card(name: str = "bag.png", **more: object) -> Card:
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (100, TILE, 3), np.uint8)
    image = generator.integers(0, 256, (28, 28), np.uint8)
    return Card(name, picture, image, CHOICES, **more)  # type: ignore[arg-type]


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def holds(drawn: np.ndarray, part: np.ndarray) -> bool:
    places = np.argwhere((drawn == part[0, 0]).all(-1))
    height, width = part.shape[:2]
    return any(np.array_equal(drawn[y : y + height, x : x + width], part) for y, x in places)


def test_pixels_are_drawn_unchanged() -> None:
    shown = card()
    drawn = as_image(contact_sheet([shown], "cnn"))
    assert holds(drawn, shown.picture)
    assert holds(drawn, np.kron(shown.image[..., None], np.ones((ZOOM, ZOOM, 3), np.uint8)))


def test_answers_doubts_notes_and_failures_are_written() -> None:
    cards = [card(), card("dress.png", doubts=["low contrast"], notes=["object under 5 % of the area"])]
    written = texts(contact_sheet(cards, "cnn: 2 of 3", ["broken.png: is empty (0 bytes)"]))
    assert written[0] == "cnn: 2 of 3"
    assert "99.9 %" in written  # rounded down
    assert {"bag.png", "dress.png", "unsure: low contrast", "object under 5 % of the area"} <= set(written)
    assert written[-2:] == ["No picture:", "broken.png: is empty (0 bytes)"]


def test_long_names_and_many_failures_are_shortened() -> None:
    assert as_image(contact_sheet([], "cnn", ["a: b"])).size
    figure = contact_sheet([card("a" * 100 + "z" * 100)], "cnn", ["b" * 500] * (MOST_FAILED + 7))
    written = texts(figure)
    assert next(text for text in written if text.startswith("aaa")).endswith("zzz")
    assert max(map(len, written)) <= FAILED_LETTERS
    assert written[-1] == "and 7 more"


@pytest.mark.filterwarnings("error")
def test_any_name_can_be_drawn() -> None:
    figure = contact_sheet([card("$靴 $x_1$ 👢 ботинок.png")], "靴")
    as_image(figure)
    assert "$? $x_1$ ? ботинок.png" in texts(figure)


@pytest.mark.parametrize(
    ("picture", "image"), [((200, 10, 3), (28, 28)), ((10, 10), (28, 28)), ((10, 10, 3), (27, 28))]
)
def test_other_shapes_are_refused(picture: tuple[int, ...], image: tuple[int, ...]) -> None:
    wrong = Card("a", np.zeros(picture, np.uint8), np.zeros(image, np.uint8), CHOICES)
    with pytest.raises(ValueError, match="image and picture must be"):
        contact_sheet([wrong], "cnn")
