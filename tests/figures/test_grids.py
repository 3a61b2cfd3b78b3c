"""Grids: the right images at the right places with the right texts, drawn pixel for pixel."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fmnist.figures import as_image, augmented_grid, image_grid, worst_errors

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, 28, 28), dtype=np.uint8)
NAMES = ("Coat", "Shirt", "Bag")


def titles(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def drawn(figure: Figure) -> np.ndarray:
    """Return the drawn images in [0, 1], in the order of drawing."""
    return np.array([np.asarray(image.get_array()) for image in figure.axes[0].images])


def test_images_are_drawn_in_rows() -> None:
    figure = image_grid(IMAGES, columns=5)
    np.testing.assert_allclose(drawn(figure), IMAGES / 255, atol=1e-6)
    corners = np.array([image.get_extent()[::3] for image in figure.axes[0].images])
    assert len(np.unique(corners[:, 0])) == 5
    assert len(np.unique(corners[:, 1])) == 3
    assert (np.lexsort(corners.T) == np.arange(12)).all()


def test_every_image_pixel_becomes_a_square_of_output_pixels_dark_on_white() -> None:
    output = as_image(image_grid(IMAGES[:3]))[..., 0]
    np.testing.assert_array_equal(as_image(image_grid(IMAGES[:3] / 255))[..., 0], output)
    gap = 140 + 14
    for place, image in enumerate(IMAGES[:3]):
        tile = output[24 : 24 + 140, 24 + place * gap : 24 + place * gap + 140]
        centres = tile.reshape(28, 5, 28, 5)[1:-1, 2, 1:-1, 2].astype(int)  # the frame covers the rim
        np.testing.assert_allclose(centres, 255 - image[1:-1, 1:-1].astype(int), atol=2)


def test_long_titles_do_not_overlap_and_nothing_leaves_the_figure() -> None:
    figure = image_grid(IMAGES[:4], ["a very long title of a small image"] * 4, columns=2, title="H" * 60)
    as_image(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_worst_errors_come_first_and_right_answers_never() -> None:
    true = np.array([0, 0, 1, 2, 1])
    predicted = np.array([0, 1, 1, 0, 2])
    probability = np.array([1.0, 0.6, 0.99, 0.9999, 0.75])
    figure = worst_errors(IMAGES[:5], true, predicted, probability, NAMES, number=2)
    np.testing.assert_allclose(drawn(figure), IMAGES[[3, 4]] / 255, atol=1e-6)
    heading, *lines = titles(figure)
    assert heading == "The 2 most confident of 3 errors in 5 images (true → predicted)"
    assert lines == ["Coat 0.99", "Bag →", "Bag 0.75", "Shirt →"]
    without = worst_errors(IMAGES[:5], true, true, probability, NAMES)
    assert titles(without) == ["No errors in 5 images"]
    assert as_image(without).shape[1] < 600


def test_augmented_images_are_beside_their_original() -> None:
    augmented = RANDOM.random((3, 4, 28, 28), dtype=np.float32)
    figure = augmented_grid(IMAGES[:3], augmented)
    rows = drawn(figure).reshape(3, 5, 28, 28)
    np.testing.assert_allclose(rows[:, 0], IMAGES[:3] / 255, atol=1e-6)
    np.testing.assert_array_equal(rows[:, 1:], augmented)
    corners = np.array([image.get_extent() for image in figure.axes[0].images]).reshape(3, 5, 4)
    assert (corners[:, :, 3] == corners[:, :1, 3]).all()
    assert (np.diff(corners[:, :, 0], axis=1) >= 140).all()
    assert titles(figure) == ["original", "augmented"]


def test_wrong_shapes_are_refused_by_name() -> None:
    labels = np.zeros(12, int)
    with pytest.raises(ValueError, match=r"images must have the shape \(N, 28, 28\), got \(12, 1, 28, 28\)"):
        image_grid(IMAGES[:, None])
    with pytest.raises(ValueError, match=r"uint8 or floats.*int64"):
        image_grid(IMAGES.astype(np.int64))
    with pytest.raises(ValueError, match=r"titles must have 12 entries.*got 1"):
        image_grid(IMAGES, ["one"])
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        image_grid(IMAGES, columns=0)
    with pytest.raises(ValueError, match=r"probability must have the shape \(12,\).*got \(12, 3\)"):
        worst_errors(IMAGES, labels, labels, np.ones((12, 3)), NAMES)
    with pytest.raises(ValueError, match=r"augmented must have the shape \(rows, k, 28, 28\), got"):
        augmented_grid(IMAGES, IMAGES)
    with pytest.raises(ValueError, match=r"12 rows like originals, got the shape \(3, 2, 28, 28\)"):
        augmented_grid(IMAGES, np.zeros((3, 2, 28, 28)))
