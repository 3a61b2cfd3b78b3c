"""Contact sheet: each picture beside the 28 x 28 image that the model saw, and what it answered.

Like the grids, it is laid out in output pixels, so nothing is resampled.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Rectangle

from fmnist.figures.canvas import BLUE, DPI, FAINT, ORANGE, STYLE, VERMILLION

COLUMNS = 3
ZOOM = 5  # output pixels for one image pixel
TILE = 28 * ZOOM
GAP = 12
ANSWERS = 212  # width of the choices
CARD = 2 * (TILE + GAP) + ANSWERS
NAME = 30  # height of the line above a card
LINE = 22
SPACE = 30  # between cards
MARGIN = 28
HEADING = 58
NAME_LETTERS, NOTE_LETTERS = 54, 66  # that fit into a card's width
FAILED_LETTERS = 190
MOST_FAILED = 25


@dataclass(frozen=True)
class Card:
    """A picture and the answer for it.

    Attributes:
        name: Of the picture.
        picture: uint8 (H, W, 3), no side above 140.
        image: uint8 (28, 28), what the model saw.
        choices: Classes and their probabilities, the likeliest first; three fit.
        doubts: Why the answer is not to be trusted.
        notes: What else is to be said of the picture.
    """

    name: str
    picture: np.ndarray
    image: np.ndarray
    choices: Sequence[tuple[str, float]]
    doubts: Sequence[str] = ()
    notes: Sequence[str] = ()


@rc_context(STYLE)
def contact_sheet(cards: Sequence[Card], title: str, failed: Sequence[str] = ()) -> Figure:
    """Draw cards in rows of three, and the files that gave no picture below them, one line each.

    Args:
        cards: The pictures that were answered.
        title: A heading for the sheet.
        failed: Lines about files that gave no picture; of many, the first 25.

    Raises:
        ValueError: A card's picture or image has another shape than it must.
    """
    for card in cards:
        if card.image.shape != (28, 28) or card.picture.ndim != 3 or max(card.picture.shape) > TILE:
            shapes = f"{card.image.shape} and {card.picture.shape}"
            raise ValueError(f"image and picture must be (28, 28) and (H, W, 3) up to {TILE}, got {shapes}")
    lines = (
        [*failed]
        if len(failed) <= MOST_FAILED
        else [*failed[:MOST_FAILED], f"and {len(failed) - MOST_FAILED:,} more"]
    )
    rows = [cards[start : start + COLUMNS] for start in range(0, len(cards), COLUMNS)]
    heights = [NAME + TILE + LINE * max(len(_remarks(card)) for card in row) + SPACE for row in rows]
    width = COLUMNS * (CARD + SPACE) - SPACE
    below = (len(lines) + 2) * LINE if lines else 0
    figure, ax = _page(width, sum(heights) + below)
    _write(ax, 0, -HEADING / 2, title, size=12, weight="bold")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, card in enumerate(row):
            _draw(ax, card, column * (CARD + SPACE), top)
        top += height
    if lines:
        _write(ax, 0, top + LINE / 2, "No picture:", size=9, weight="bold")
        for place, line in enumerate(lines, start=1):
            _write(ax, 0, top + (place + 0.5) * LINE, _shorten(line, FAILED_LETTERS), size=8)
    return figure


def _page(width: int, height: int) -> tuple[Figure, Axes]:
    """Return a figure whose axes count output pixels, y downwards, with margins and room for a heading."""
    outer_width, outer_height = width + 2 * MARGIN, height + 2 * MARGIN + HEADING
    # A hundredth of a pixel more, because matplotlib rounds 55 / 150 * 150 down to 54.
    figure = Figure(figsize=((outer_width + 0.01) / DPI, (outer_height + 0.01) / DPI))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    ax.set(xlim=(-MARGIN, width + MARGIN), ylim=(height + MARGIN, -MARGIN - HEADING))
    return figure, ax


def _draw(ax: Axes, card: Card, left: float, top: float) -> None:
    _write(ax, left, top + NAME / 2 - 3, _shorten(card.name, NAME_LETTERS), size=8, weight="bold")
    top += NAME
    height, width = card.picture.shape[:2]
    _paste(ax, card.picture, left + (TILE - width) // 2, top + (TILE - height) // 2)
    seen = np.kron(card.image, np.ones((ZOOM, ZOOM), np.uint8))
    _paste(ax, np.repeat(seen[..., None], 3, axis=2), left + TILE + GAP, top)
    colour = ORANGE if card.doubts else BLUE
    for place, (name, probability) in enumerate(card.choices):
        _bar(
            ax, name, probability, left + 2 * (TILE + GAP), top + place * TILE / 3, FAINT if place else colour
        )
    for place, (line, ink) in enumerate(_remarks(card)):
        _write(ax, left, top + TILE + (place + 0.6) * LINE, line, size=7.5, color=ink)


def percent(probability: float) -> str:
    """Return a probability for people, never rounded up to certainty."""
    return f"{min(100 * probability, 99.9):.1f} %"


def _bar(ax: Axes, name: str, probability: float, left: float, top: float, colour: str) -> None:
    _write(ax, left, top + 10, name, size=8.5)
    _write(ax, left + ANSWERS, top + 10, percent(probability), size=8.5, ha="right")
    ax.add_patch(Rectangle((left, top + 24), ANSWERS, 8, color="#EEEEEE", linewidth=0))
    ax.add_patch(Rectangle((left, top + 24), ANSWERS * probability, 8, color=colour, linewidth=0))


def _remarks(card: Card) -> list[tuple[str, str]]:
    """Return the lines below a card and their colours."""
    doubts = "unsure: " + "; ".join(card.doubts) if card.doubts else ""
    return [(line, VERMILLION) for line in textwrap.wrap(doubts, NOTE_LETTERS)] + [
        (line, "#666666") for line in textwrap.wrap("; ".join(card.notes), NOTE_LETTERS)
    ]


def _paste(ax: Axes, pixels: np.ndarray, left: float, top: float) -> None:
    height, width = pixels.shape[:2]
    limits = ax.get_xlim(), ax.get_ylim()
    ax.imshow(pixels, extent=(left, left + width, top + height, top), interpolation="nearest", aspect="auto")
    ax.set(xlim=limits[0], ylim=limits[1])


def _write(ax: Axes, x: float, y: float, text: str, ha: str = "left", **style: Any) -> None:
    font = get_font(findfont(STYLE["font.family"]))
    drawn = "".join(letter if font.get_char_index(ord(letter)) else "?" for letter in text)
    ax.text(x, y, drawn, ha=ha, va="center", parse_math=False, **style)  # a file name may hold dollars


def _shorten(text: str, letters: int) -> str:
    """Return a text with its middle left out where it is too long: both ends of a path say something."""
    half = (letters - 1) // 2
    return text if len(text) <= letters else f"{text[:half]}…{text[-half:]}"
