"""Positive evidence is drawn at its place and on its scale; a panel without any says so."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fmnist.figures import as_image
from fmnist.figures.canvas import GREEN, VERMILLION
from fmnist.figures.overlays import HEAT, NOTHING, Panel, class_averages, comparison, panel_grid, strength

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (28, 28), dtype=np.uint8)
EVIDENCE = RANDOM.normal(size=(28, 28))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def drawn(ax: Axes) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def tiles(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.images]


def test_the_three_panels() -> None:
    panel = Panel(IMAGE, EVIDENCE, "true Shirt\npredicted Coat 0.87", "for Coat", right=False)
    figure = panel_grid([panel], "Grad-CAM of cnn")
    image, heat, overlay = tiles(figure)
    np.testing.assert_allclose(drawn(image), IMAGE / 255)
    assert image.images[0].get_cmap().name == "gray_r"
    np.testing.assert_allclose(drawn(heat), EVIDENCE.clip(0) / EVIDENCE.max())
    assert heat.images[0].get_cmap() == HEAT
    assert (heat.images[0].norm.vmin, heat.images[0].norm.vmax) == (0, 1)
    colours = drawn(overlay)
    np.testing.assert_allclose(
        colours[EVIDENCE < 0], (1 - 0.7 * IMAGE / 255)[EVIDENCE < 0][:, None] * np.ones(3)
    )
    peak = np.unravel_index(EVIDENCE.argmax(), EVIDENCE.shape)
    assert np.abs(colours[peak] - HEAT(1.0)[:3]).max() < 0.15
    assert texts(figure) == ["true Shirt\npredicted Coat 0.87", "for Coat", ""]
    assert figure.texts[0].get_text() == "Grad-CAM of cnn"
    as_image(figure)


@pytest.mark.parametrize(("right", "colour"), [(True, GREEN), (False, VERMILLION), (None, "#CCCCCC")])
def test_the_frame_tells_right_from_wrong(right: bool | None, colour: str) -> None:
    image = tiles(panel_grid([Panel(IMAGE, EVIDENCE, right=right)], ""))[0]
    assert image.patches[-1].get_edgecolor()[:3] == to_rgb(colour)


def test_the_colour_scale_is_own_or_shared() -> None:
    panels = [Panel(IMAGE, EVIDENCE), Panel(IMAGE, EVIDENCE / 4)]
    own = [drawn(ax).max() for ax in tiles(panel_grid(panels, ""))[1::3]]
    shared = [drawn(ax).max() for ax in tiles(panel_grid(panels, "", limit=strength(EVIDENCE)))[1::3]]
    assert own == pytest.approx([1, 1])
    assert shared == pytest.approx([1, 0.25])
    bar = tiles(panel_grid(panels[:1], ""))[2].child_axes[0]
    assert bar.get_ylim() == pytest.approx((0, EVIDENCE.max()))


@pytest.mark.parametrize("evidence", [np.zeros((28, 28)), -np.abs(EVIDENCE), np.full((28, 28), NOTHING / 2)])
def test_a_panel_without_evidence_is_grey_and_says_so(evidence: np.ndarray) -> None:
    figure = panel_grid([Panel(IMAGE, evidence, "caption", "for Bag")], "")
    nothing = "no evidence\nfor this class"
    assert texts(figure) == ["caption", nothing, "for Bag", nothing, ""]
    heat, overlay = tiles(figure)[1:]
    for ax in (heat, overlay):
        assert np.ptp(drawn(ax), axis=2).max() < 1e-9  # no colour
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
    panels = [
        Panel(IMAGE / 255, EVIDENCE.clip(0) / 4, "Bag\n3 images"),
        Panel(IMAGE / 255, EVIDENCE.clip(0), "Coat"),
    ]
    figure = class_averages(panels, "mean")
    assert len(tiles(figure)) == 6
    heats = [drawn(ax).max() for ax in tiles(figure)[2:4]]
    assert heats == pytest.approx([0.25, 1])
    assert {"Bag\n3 images", "Coat"} <= set(texts(figure))


def test_nothing_overlaps_and_nothing_leaves_the_figure() -> None:
    caption = "true T-shirt/top (#9999)\npredicted T-shirt/top 0.99"
    longest = Panel(IMAGE, EVIDENCE, caption, "for T-shirt/top,\nnot Ankle boot")
    wide = "A heading that is longer than the figure is wide and is broken, "
    for figure in (
        panel_grid([longest] * 4, "Heading"),
        panel_grid([longest], wide + "word " * 30),
        panel_grid([longest], f"{wide}\nWord"),
        comparison([[longest] * 3] * 2, ["cnn"] * 3, "Heading"),
    ):
        as_image(figure)
        boxes = [text.get_window_extent() for ax in figure.axes for text in ax.texts if text.get_text()]
        boxes += [figure.texts[0].get_window_extent()]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(box.y0 >= 0 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_wrong_shapes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"evidence must have the shape \(28, 28\), got \(7, 7\)"):
        panel_grid([Panel(IMAGE, np.ones((7, 7)))], "")
    with pytest.raises(ValueError, match=r"image must have the shape \(28, 28\), got \(1, 28, 28\)"):
        panel_grid([Panel(IMAGE[None], EVIDENCE)], "")
    for draw in (panel_grid, class_averages):
        with pytest.raises(ValueError, match="panels must hold at least one panel"):
            draw([], "")
    with pytest.raises(ValueError, match=r"every row must hold 2 panels, got \[1\]"):
        comparison([[Panel(IMAGE, EVIDENCE)]], ["cnn", "mlp"], "")
