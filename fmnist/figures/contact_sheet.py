"""The contact sheet: each picture beside the 28 x 28 image that the model saw, and the model's answer.

Like the grids, it is laid out in output pixels, so nothing is resampled.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Rectangle

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.tables import rounded_down
from fmnist.figures.canvas import BLUE, FAINT, ORANGE, STYLE, VERMILLION, paste, pixel_page

COLUMNS = 3
ZOOM = 5  # output pixels for one image pixel
TILE = IMAGE_SIZE * ZOOM
GAP = 12
ANSWERS = 212  # width of the choices
SHARE = 70  # of which the probability needs so much
CARD = 2 * (TILE + GAP) + ANSWERS
NAME = 30  # height of the line above a card
LINE = 22
SPACE = 30  # between cards
MARGIN = 28
HEADING = 58
NOTE_LETTERS, NOTE_LINES = 66, 4  # letters that fit into a card's width, and lines below it at most
MOST_FAILED = 25


@dataclass(frozen=True)
class Card:
    """A picture and the answer for it.

    Attributes:
        name: Of the picture.
        picture: uint8 (H, W, 3), no side above 140.
        image: uint8 (28, 28), what the model saw.
        choices: Classes and their probabilities, the likeliest first; three fit.
        doubts: Why the answer may be wrong.
        notes: Remarks about the picture.
    """

    name: str
    picture: np.ndarray
    image: np.ndarray
    choices: Sequence[tuple[str, float]]
    doubts: Sequence[str] = ()
    notes: Sequence[str] = ()


@rc_context(STYLE)
def contact_sheet(cards: Sequence[Card], title: str, failed: Sequence[tuple[str, str]] = ()) -> Figure:
    """Draw cards in rows of ``COLUMNS``, and below them a line for each failed file; of many, the first 25.

    Args:
        cards: Pictures and their answers.
        title: Of the sheet.
        failed: Names of files without a picture, and the reasons.
    """
    lines = list(failed[:MOST_FAILED])
    if len(failed) > MOST_FAILED:
        lines.append((f"and {len(failed) - MOST_FAILED:,} more", ""))
    rows = [cards[start : start + COLUMNS] for start in range(0, len(cards), COLUMNS)]
    heights = [NAME + TILE + LINE * max(len(_remarks(card)) for card in row) + SPACE for row in rows]
    columns = max(min(COLUMNS, len(cards)), 2 if lines else 1)  # the lines have two parts
    width = columns * (CARD + SPACE) - SPACE
    below = (len(lines) + 2) * LINE if lines else 0
    figure, ax = pixel_page(width, sum(heights) + below, MARGIN, HEADING)
    FigureCanvasAgg(figure)  # measures text
    size = 12 if columns > 1 else 9.5  # above one card, a title still has room
    _write(ax, 0, -HEADING / 2, title, width, _without_end, size=size, weight="bold")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, card in enumerate(row):
            _draw(ax, card, column * (CARD + SPACE), top)
        top += height
    if lines:
        _write(ax, 0, top + LINE / 2, "No picture:", width, _without_end, size=9, weight="bold")
        for place, (name, reason) in enumerate(lines, start=1):
            middle = top + (place + 0.5) * LINE
            _write(ax, 0, middle, name, CARD, _without_middle, size=8)
            _write(ax, CARD + SPACE, middle, reason, width - CARD - SPACE, _without_end, size=8)
    return figure


def _draw(ax: Axes, card: Card, left: float, top: float) -> None:
    _write(ax, left, top + NAME / 2 - 3, card.name, CARD, _without_middle, size=8, weight="bold")
    top += NAME
    height, width = card.picture.shape[:2]
    paste(ax, card.picture, left + (TILE - width) // 2, top + (TILE - height) // 2)
    paste(ax, np.repeat(card.image[..., None], 3, axis=2), left + TILE + GAP, top, ZOOM)
    colour = ORANGE if card.doubts else BLUE
    for place, (name, probability) in enumerate(card.choices):
        bar_left, bar_top = left + 2 * (TILE + GAP), top + place * TILE / 3
        _bar(ax, name, probability, bar_left, bar_top, FAINT if place else colour)
    for place, (line, ink) in enumerate(_remarks(card)):
        _write(ax, left, top + TILE + (place + 0.6) * LINE, line, CARD, _without_end, size=7.5, color=ink)


def _bar(ax: Axes, name: str, probability: float, left: float, top: float, colour: str) -> None:
    share = rounded_down(probability, in_percent=True)
    _write(ax, left, top + 10, name, ANSWERS - SHARE, _without_end, size=8.5)
    _write(ax, left + ANSWERS, top + 10, share, SHARE, _without_end, size=8.5, ha="right")
    ax.add_patch(Rectangle((left, top + 24), ANSWERS, 8, color="#EEEEEE", linewidth=0))
    ax.add_patch(Rectangle((left, top + 24), ANSWERS * probability, 8, color=colour, linewidth=0))


def _remarks(card: Card) -> list[tuple[str, str]]:
    """Return the lines below a card and their colours."""
    doubts = "unsure: " + "; ".join(card.doubts) if card.doubts else ""
    return [
        (line, ink)
        for text, ink in ((doubts, VERMILLION), ("; ".join(card.notes), "#666666"))
        for line in textwrap.wrap(text, NOTE_LETTERS, max_lines=NOTE_LINES, placeholder=" …")
    ]


def _write(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    width: float,
    shorten: Callable[[str, int], str],
    ha: str = "left",
    **style: Any,
) -> None:
    """Write a line of at most a width in output pixels; a longer one is shortened to fewer letters."""
    font = get_font(findfont(STYLE["font.family"]))
    letters = "".join(letter if font.get_char_index(ord(letter)) else "?" for letter in text)
    written = ax.text(x, y, letters, ha=ha, va="center", parse_math=False, **style)  # a name may hold dollars
    kept = len(letters)
    while kept > 1 and (needed := written.get_window_extent().width) > width:
        kept = max(min(kept - 1, int(kept * width / needed)), 1)
        written.set_text(shorten(letters, kept))


def _without_middle(name: str, kept: int) -> str:
    """Shorten a name: both ends of a path say something."""
    return f"{name[: (kept + 1) // 2]}…{name[len(name) - kept // 2 :]}"


def _without_end(phrase: str, kept: int) -> str:
    """Shorten a phrase, after a word unless that leaves less than half of it."""
    start = phrase[:kept]
    whole_words = start.rpartition(" ")[0]
    return f"{whole_words if 2 * len(whole_words) > kept else start} …"
