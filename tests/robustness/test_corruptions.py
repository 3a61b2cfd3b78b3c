"""Fashion-MNIST-C's corruptions against closed forms, scipy and Pillow."""

import colorsys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from fmnist.core.errors import InputError
from fmnist.robustness import corruptions
from fmnist.robustness.corruptions import CORRUPTIONS, FLIPS, SEVERITIES, corrupt, severities_of

NAMES = (*CORRUPTIONS, *FLIPS)
RAMP = np.arange(256, dtype=np.uint8)[np.arange(784) % 256].reshape(1, 28, 28)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    noise = np.random.default_rng(0).random((12, 28, 28))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return (255 * smooth * (np.hypot(*np.indices((28, 28)) - 13.5) < 12)).astype(np.uint8)


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(place) for place in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_a_corruption_depends_on_image_index_severity_and_seed(images: np.ndarray, name: str) -> None:
    before = images.copy()
    whole = corrupt(images, name, 3, seed=7)
    assert (whole.dtype, whole.shape) == (np.uint8, images.shape)
    chosen = np.array([8, 2, 5])
    np.testing.assert_array_equal(corrupt(images[chosen], name, 3, 7, chosen), whole[chosen])
    np.testing.assert_array_equal(images, before)
    assert not np.array_equal(whole, images)
    different = {corrupt(images, name, severity).tobytes() for severity in SEVERITIES}
    assert len(different) == len(severities_of(name)) == (1 if name in ("inverse", *FLIPS) else 5)
    random = {"shot_noise", "impulse_noise", "glass_blur", "motion_blur", "shear", "rotate"}
    same = np.array_equal(corrupt(images, name, 2, seed=0), corrupt(images, name, 2, seed=1))
    assert same == (name not in random)


def test_shot_noise_has_the_mean_and_variance_of_poisson() -> None:
    pixels = np.full((200, 28, 28), 0.5)
    counts = corruptions.shot_noise(pixels, 60, generators(200)) * 60
    assert (counts.mean(), counts.var()) == pytest.approx((30, 30), rel=0.02)


def test_impulse_noise_makes_the_given_share_of_pixels_white_or_black() -> None:
    noisy = corrupt(np.full((100, 28, 28), 100, np.uint8), "impulse_noise", 5)
    levels, counts = np.unique(noisy, return_counts=True)
    assert levels.tolist() == [0, 100, 255]
    assert counts / noisy.size == pytest.approx([0.135, 0.73, 0.135], abs=0.006)


def test_glass_blur_swaps_nearby_pixels_and_blurs_columns() -> None:
    pixels = np.floor(np.random.default_rng(0).random((2, 28, 28)) * 255) / 255
    swapped = corruptions.glass_blur(pixels, (1e-3, 2, 1), generators(2))
    np.testing.assert_allclose(np.sort(swapped.ravel()), np.sort(pixels.ravel()), atol=1 / 254)
    assert 0.3 < (np.abs(swapped - pixels) > 1 / 254).mean() < 0.9
    corner = (slice(None), slice(0, 1), slice(0, 1))  # out of reach
    np.testing.assert_allclose(swapped[corner], pixels[corner], atol=1 / 254)
    point = np.zeros((1, 28, 28))
    point[0, 14, 14] = 1
    blurred = corruptions.glass_blur(point, (1.0, 2, 0), generators(1))
    assert (blurred.sum(1)[0] > 0).sum() == 1
    assert (blurred.sum(2)[0] > 0).sum() > 5


def test_motion_blur_keeps_an_even_image_and_smears_along_one_line() -> None:
    even = np.full((3, 28, 28), 0.4)
    np.testing.assert_allclose(corruptions.motion_blur(even, (10, 3), generators(3)), 0.4)
    point = np.zeros((40, 28, 28))
    point[:, 14, 24] = 1
    smeared = corruptions.motion_blur(point, (10, 3), generators(40))
    weights = np.exp(-(np.arange(21) ** 2) / 18)
    np.testing.assert_allclose(smeared[:, 14, 24], weights[0] / weights.sum())
    assert (smeared[:, :, 25:] == 0).all()  # one-sided
    for image, generator in zip(smeared, generators(40), strict=True):
        angle = np.radians(generator.uniform(-45, 45))
        rows, columns = np.nonzero(image)
        across = np.cos(angle) * (14 - rows) - np.sin(angle) * (24 - columns)
        assert np.abs(across).max() <= 1  # a line, to within the rounding of its pixels


@pytest.mark.parametrize("name", ["shear", "rotate", "scale"])
def test_geometry_is_scipys_affine_map_about_the_centre(images: np.ndarray, name: str) -> None:
    images = 255 - images  # bright up to the edges, beyond which all is black
    level = {"shear": 0.6, "rotate": 0.6, "scale": 0.7}[name]
    moved = getattr(corruptions, name)(images / 255, level, generators(len(images)))
    signs = [generator.choice((-1, 1)) for generator in generators(len(images))]
    assert set(signs) == {-1, 1}
    for image, actual, sign in zip(images / 255, moved, signs, strict=True):
        sine, cosine = np.sin(sign * level), np.cos(sign * level)
        matrix = {  # rows and columns, from the result to the source
            "shear": [[cosine, 0], [-sine, 1]],
            "rotate": [[cosine, sine], [-sine, cosine]],
            "scale": [[1 / level, 0], [0, 1 / level]],
        }[name]
        centre = np.full(2, 13.5)
        offset = centre - np.array(matrix) @ centre
        expected = ndimage.affine_transform(image, matrix, offset, order=1, mode="grid-constant")
        np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_light_follows_its_formulas_at_every_severity() -> None:
    x = RAMP / 255
    levels = (
        (0.1, 0.4, 0.3, 0),
        (0.2, 0.3, 0.1, 0),
        (0.3, 0.2, 2, 0),
        (0.4, 0.1, 5, 0.1),
        (0.5, 0.05, 20, 0.2),
    )
    for severity, (added, contrast, factor, constant) in zip(SEVERITIES, levels, strict=True):
        colours = [colorsys.hsv_to_rgb(constant, constant, min(v * factor + constant, 1)) for v in x.ravel()]
        for name, expected in {
            "brightness": np.minimum(x + added, 1),
            "contrast": (x - x.mean()) * contrast + x.mean(),
            "saturate": (np.array(colours) @ (0.2125, 0.7154, 0.0721)).reshape(x.shape),
            "inverse": 1 - x,
        }.items():
            np.testing.assert_allclose(corrupt(RAMP, name, severity), 255 * expected, atol=1)


def test_flips_are_pillows(images: np.ndarray) -> None:
    turns = {
        "flip_sides": Image.Transpose.FLIP_LEFT_RIGHT, "flip_up_down": Image.Transpose.FLIP_TOP_BOTTOM,
        "turn_left": Image.Transpose.ROTATE_90, "turn_right": Image.Transpose.ROTATE_270,
    }  # fmt: skip
    assert set(turns) == set(FLIPS)
    for name, turn in turns.items():
        expected = [np.asarray(Image.fromarray(image).transpose(turn)) for image in images]
        np.testing.assert_array_equal(corrupt(images, name, 1), expected)


def test_unknown_names_and_wrong_images_are_refused(images: np.ndarray) -> None:
    for name, severity, message in (
        ("fog", 1, "corruption 'fog': must be one of shot_noise, "),
        ("scale", 0, "severity 0: must be 1, 2, 3, 4 or 5"),
    ):
        with pytest.raises(InputError, match=message):
            corrupt(images, name, severity)
    for wrong in (images / 255, images[:, :20]):
        with pytest.raises(InputError, match="images: must be uint8"):
            corrupt(wrong, "scale", 1)
