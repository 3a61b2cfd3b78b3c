"""Grids, contact sheets and overlays draw the right images at the right places with the right texts."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fmnist.figures import as_image, augmented_grid, grids, image_grid, worst_errors
from fmnist.figures.canvas import GREEN, VERMILLION
from fmnist.figures.contact_sheet import MOST_FAILED, TILE, ZOOM, Card, contact_sheet
from fmnist.figures.overlays import HEAT, NOTHING, Panel, class_averages, comparison, panel_grid, strength
from tests.figures.reading import texts

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, 28, 28), dtype=np.uint8)
IMAGE, EVIDENCE = IMAGES[0], RANDOM.normal(size=(28, 28))
NAMES = ("Coat", "Shirt", "Bag")
CHOICES = (("Bag", 0.9998), ("Dress", 0.0001), ("Coat", 0.0001))


def drawn(ax: Axes) -> np.ndarray:
    """Return the drawn images of an axes, in the order of drawing."""
    return np.array([np.asarray(image.get_array()) for image in ax.images])


def tiles(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.images]


def check_layout(figure: Figure) -> None:
    """Check that no two texts overlap, and that all lie within the figure."""
    as_image(figure)
    written = [text for ax in figure.axes for text in ax.texts] + figure.texts
    boxes = [text.get_window_extent() for text in written if text.get_text()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_images_are_drawn_in_rows() -> None:
    (ax,) = image_grid(IMAGES, ["x"] * 12, "x").axes
    np.testing.assert_allclose(drawn(ax), IMAGES / 255, atol=1e-6)
    corners = np.array([image.get_extent()[::3] for image in ax.images])
    assert len(np.unique(corners[:, 0])) == 8
    assert len(np.unique(corners[:, 1])) == 2
    assert (np.lexsort(corners.T) == np.arange(12)).all()


def test_every_image_pixel_becomes_a_square_of_output_pixels_dark_on_white() -> None:
    output = as_image(image_grid(IMAGES[:3], ["x"] * 3, "x"))[..., 0]
    np.testing.assert_array_equal(as_image(image_grid(IMAGES[:3] / 255, ["x"] * 3, "x"))[..., 0], output)
    top, gap = 24 + grids.HEADING + grids.LINE, 140 + 14
    for place, image in enumerate(IMAGES[:3]):
        tile = output[top : top + 140, 24 + place * gap : 24 + place * gap + 140]
        centres = tile.reshape(28, 5, 28, 5)[1:-1, 2, 1:-1, 2].astype(int)  # the frame covers the rim
        np.testing.assert_allclose(centres, 255 - image[1:-1, 1:-1].astype(int), atol=2)


def test_long_titles_do_not_overlap_and_nothing_leaves_the_grid() -> None:
    check_layout(image_grid(IMAGES, ["a very long title\nof a small image"] * 12, "H" * 60))
    check_layout(image_grid(IMAGES[:1], ["x"], "H" * 60))


def test_worst_errors_come_first_and_right_answers_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "WORST", 2)
    true = np.array([0, 0, 1, 2, 1])
    predicted = np.array([0, 1, 1, 0, 2])
    probability = np.array([1.0, 0.6, 0.99, 0.9999, 0.75])
    figure = worst_errors(IMAGES[:5], true, predicted, probability, NAMES)
    np.testing.assert_allclose(drawn(figure.axes[0]), IMAGES[[3, 4]] / 255, atol=1e-6)
    heading, *lines = texts(figure)
    assert heading == "The 2 most confident of 3 errors in 5 images (true → predicted)"
    assert lines == ["Coat 0.999", "Bag →", "Bag 0.750", "Shirt →"]
    without = worst_errors(IMAGES[:5], true, true, probability, NAMES)
    assert texts(without) == ["No errors in 5 images"]
    assert as_image(without).shape[1] < 600


def test_augmented_images_are_beside_their_original() -> None:
    augmented = RANDOM.random((3, 4, 28, 28), dtype=np.float32)
    (ax,) = augmented_grid(IMAGES[:3], augmented).axes
    rows = drawn(ax).reshape(3, 5, 28, 28)
    np.testing.assert_allclose(rows[:, 0], IMAGES[:3] / 255, atol=1e-6)
    np.testing.assert_array_equal(rows[:, 1:], augmented)
    corners = np.array([image.get_extent() for image in ax.images]).reshape(3, 5, 4)
    assert (corners[:, :, 3] == corners[:, :1, 3]).all()
    assert (np.diff(corners[:, :, 0], axis=1) >= 140).all()


def card(name: str = "bag.png", **more: object) -> Card:
    picture = RANDOM.integers(0, 256, (100, TILE, 3), np.uint8)
    return Card(name, picture, IMAGE, CHOICES, **more)  # type: ignore[arg-type]


def holds(sheet: np.ndarray, part: np.ndarray) -> bool:
    places = np.argwhere((sheet == part[0, 0]).all(-1))
    height, width = part.shape[:2]
    return any(np.array_equal(sheet[y : y + height, x : x + width], part) for y, x in places)


def test_a_sheet_draws_pixels_unchanged_and_writes_every_text() -> None:
    cards = [card(), card("dress.png", doubts=["low contrast"], notes=["object under 5 % of the area"])]
    figure = contact_sheet(cards, "cnn: 2 of 3", [("broken.png", "is empty (0 bytes)")])
    sheet = as_image(figure)
    assert holds(sheet, cards[1].picture)
    assert holds(sheet, np.kron(IMAGE[..., None], np.ones((ZOOM, ZOOM, 3), np.uint8)))
    written = texts(figure)
    assert written[0] == "cnn: 2 of 3"
    assert "99.9 %" in written  # rounded down
    assert {"bag.png", "dress.png", "unsure: low contrast", "object under 5 % of the area"} <= set(written)
    assert written[-3:] == ["No picture:", "broken.png", "is empty (0 bytes)"]


@pytest.mark.filterwarnings("error")
def test_long_and_unusual_names_and_many_failures_fit_a_sheet() -> None:
    wordy = card(doubts=["close calls, WORD BY WORD " * 9, "M" * 300], notes=["many Words " * 40])
    long_class = Card("bag.png", wordy.picture, IMAGE, [("Waterproof Winter Boot", 0.9)])
    names = ["a" * 100 + "z" * 100, "$靴 $x_1$ 👢 ботинок.png", *["WM" * 50 + ".png"] * 4]
    cards = [*map(card, names), wordy, long_class]
    failed = [("b" * 500, "is no picture, " * 50)] + [("靴W" * 100, "is empty (0 bytes)")] * (MOST_FAILED + 6)
    figure = contact_sheet(cards, "靴" + "M" * 200, failed)
    check_layout(figure)
    written = texts(figure)
    assert "$? $x_1$ ? ботинок.png" in written
    assert next(text for text in written if text.startswith("aaa")).endswith("zzz")
    assert all(text.endswith((".png", "zzz")) for text in written if text.startswith(("WM", "aaa")))
    assert {"Waterproof …", "is empty (0 bytes)"} <= set(written)
    reason = next(text for text in written if text.startswith("is no picture"))
    assert reason.endswith(("is …", "no …", "picture, …"))
    assert any(text.startswith("many Words") and text.endswith((" many …", " Words …")) for text in written)
    assert written[-2:] == ["and 7 more", ""]
    assert as_image(contact_sheet([], "cnn", [("a", "b")])).size


def test_a_panel_is_image_heat_map_and_overlay() -> None:
    panel = Panel(IMAGE, EVIDENCE, "true Shirt\npredicted Coat 0.87", "for Coat")
    figure = panel_grid([panel], "Grad-CAM of cnn")
    image, heat, overlay = tiles(figure)
    np.testing.assert_allclose(drawn(image)[0], IMAGE / 255)
    assert image.images[0].get_cmap().name == "gray_r"
    np.testing.assert_allclose(drawn(heat)[0], EVIDENCE.clip(0) / EVIDENCE.max())
    assert heat.images[0].get_cmap() == HEAT
    assert (heat.images[0].norm.vmin, heat.images[0].norm.vmax) == (0, 1)
    colours = drawn(overlay)[0]
    plain = (1 - 0.7 * IMAGE / 255)[..., None] * np.ones(3)
    np.testing.assert_allclose(colours[EVIDENCE < 0], plain[EVIDENCE < 0])
    peak = np.unravel_index(EVIDENCE.argmax(), EVIDENCE.shape)
    assert np.abs(colours[peak] - HEAT(1.0)[:3]).max() < 0.15
    assert texts(figure) == ["true Shirt\npredicted Coat 0.87", "for Coat", ""]
    assert overlay.child_axes[0].get_ylim() == pytest.approx((0, EVIDENCE.max()))


def test_frames_tell_right_from_wrong_and_colour_scales_can_be_shared() -> None:
    panels = [
        Panel(IMAGE, EVIDENCE, right=True),
        Panel(IMAGE, EVIDENCE / 4, right=False),
        Panel(IMAGE, EVIDENCE),
    ]
    separate = tiles(panel_grid(panels, ""))
    shared = tiles(panel_grid(panels, "", limit=strength(EVIDENCE)))
    frames = [image.patches[-1].get_edgecolor()[:3] for image in separate[::3]]
    assert frames == [to_rgb(colour) for colour in (GREEN, VERMILLION, "#CCCCCC")]
    assert [drawn(heat).max() for heat in separate[1::3]] == pytest.approx([1, 1, 1])
    assert [drawn(heat).max() for heat in shared[1::3]] == pytest.approx([1, 0.25, 1])


@pytest.mark.parametrize("evidence", [-np.abs(EVIDENCE), np.full((28, 28), NOTHING / 2)])
def test_a_panel_without_evidence_is_grey_and_says_so(evidence: np.ndarray) -> None:
    figure = panel_grid([Panel(IMAGE, evidence, "caption", "for Bag")], "")
    nothing = "no evidence\nfor this class"
    assert texts(figure) == ["caption", nothing, "for Bag", nothing, ""]
    heat, overlay = tiles(figure)[1:]
    for ax in (heat, overlay):
        assert np.ptp(drawn(ax), axis=3).max() < 1e-9  # no colour
    assert np.ptp(drawn(heat)) == 0
    assert not overlay.child_axes


def test_models_are_drawn_side_by_side() -> None:
    row = [Panel(IMAGE, EVIDENCE, "true Bag", f"for {name}", right=True) for name in ("Bag", "Coat")]
    nothing = [Panel(IMAGE, EVIDENCE, "true Bag"), Panel(IMAGE, None, "true Bag", "predicted Bag")]
    figure = comparison([row, nothing], ["cnn", "mlp"], "Grad-CAM")
    assert len(tiles(figure)) == 6
    written = texts(figure)
    assert {"cnn", "mlp", "for Bag", "for Coat", "predicted Bag"} <= set(written)
    assert written.count("not possible\nfor this model") == 1
    assert written.count("true Bag") == 2


def test_classes_are_drawn_side_by_side_on_one_scale() -> None:
    positive = EVIDENCE.clip(0)
    panels = [Panel(IMAGE / 255, positive / 4, "Bag\n3 images"), Panel(IMAGE / 255, positive, "Coat")]
    figure = class_averages(panels, "mean")
    assert len(tiles(figure)) == 6
    assert [drawn(ax).max() for ax in tiles(figure)[2:4]] == pytest.approx([0.25, 1])
    assert {"Bag\n3 images", "Coat"} <= set(texts(figure))


def test_no_text_overlaps_another_or_leaves_the_figure() -> None:
    caption = "true T-shirt/top (#9999)\npredicted T-shirt/top 0.99"
    longest = Panel(IMAGE, EVIDENCE, caption, "for T-shirt/top,\nnot Ankle boot")
    wide = "A heading that is longer than the figure is wide and is broken, "
    check_layout(panel_grid([longest] * 4, "Heading"))
    check_layout(panel_grid([longest], wide + "word " * 30))
    check_layout(panel_grid([longest], f"{wide}\nWord"))
    check_layout(comparison([[longest] * 3] * 2, ["cnn"] * 3, "Heading"))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: image_grid(IMAGES[:, None], [], ""),
            r"images must have .* \(N, 28, 28\), got \(12, 1, 28, 28\)",
        ),
        (lambda: image_grid(IMAGES.astype(np.int64), [], ""), r"uint8, or floats.*int64"),
        (lambda: augmented_grid(IMAGES, IMAGES), r"augmented must have the shape \(rows, k, 28, 28\), got"),
        (lambda: panel_grid([Panel(IMAGE, np.ones((7, 7)))], ""), r"evidence must have .* got \(7, 7\)"),
        (lambda: panel_grid([Panel(IMAGE[None], EVIDENCE)], ""), r"image must have .* got \(1, 28, 28\)"),
    ],
)
def test_wrong_images_are_refused_by_name(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
