"""OOD images: digits like MNIST's, noise of three kinds, the same for the same seed."""

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, label

from fmnist.robustness.ood_images import BOX, OOD_IMAGES, drawn_digits, noise_images


@pytest.mark.parametrize("kind", OOD_IMAGES)
def test_an_image_depends_on_seed_and_index_alone(kind: str) -> None:
    make = OOD_IMAGES[kind]
    images = make(12, 3)
    assert images.shape == (12, 28, 28)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[:5], make(5, 3))
    assert (images != make(12, 4)).any((1, 2)).all()
    assert make(0, 3).shape == (0, 28, 28)


def test_digits_fill_the_box_and_are_centred_by_mass() -> None:
    images = drawn_digits(100, 0)
    for image in images:
        rows, columns = np.nonzero(image > 127)
        assert BOX - 2.5 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= BOX + 1
        np.testing.assert_allclose(center_of_mass(image), 13.5, atol=1.5)
    assert 25 < images.mean() < 45  # MNIST: 33


def test_digits_are_drawn_in_one_piece_with_the_right_number_of_holes() -> None:
    images = drawn_digits(200, 1)
    holes = np.array([label(image < 60)[1] - 1 for image in images]).reshape(-1, 10)
    assert np.median(holes, axis=0)[[0, 1, 6, 7, 8]].tolist() == [1, 0, 1, 0, 2]
    assert np.mean([label(image > 40, np.ones((3, 3)))[1] == 1 for image in images]) > 0.95


def test_noise_is_uniform_gaussian_and_smooth_in_turn() -> None:
    uniform, gaussian, smooth = (noise_images(90, 0)[kind::3] / 255 for kind in range(3))
    assert uniform.std() == pytest.approx(1 / 12**0.5, abs=0.01)
    assert np.abs(gaussian - 0.5).mean() == pytest.approx(0.25 * (2 / np.pi) ** 0.5, abs=0.01)
    for image in smooth:
        assert np.abs(np.diff(image)).mean() < 0.5 * np.abs(np.diff(uniform[0])).mean()
        assert (image.min(), image.max()) == (0, 1)
