"""Each photometric augmentation against a closed form or scipy, image by image, and their textures."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from fmnist.data import augmentation, textures
from fmnist.data.augmentation import Augmentation, photometric
from fmnist.data.streams import Draws, Streams
from fmnist.data.textures import TEXTURE_SIZE, draw_textures

NUMBER = 48


def images(number: int = NUMBER) -> Tensor:
    return torch.rand(number, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def draws(number: int = NUMBER, **fixed: float) -> Draws:
    """Return the random numbers of ``number`` images, some of them fixed."""
    streams = Streams(number, 1, torch.device("cpu"))
    for name, value in fixed.items():
        streams.uniform(name).fill_(value)
    return Draws(streams, torch.arange(number))


def test_a_negative_is_one_minus_the_image() -> None:
    after = photometric(images(), draws(), Augmentation(invert=1.0))
    torch.testing.assert_close(after, 1 - images())


def test_contrast_scales_around_the_pivot_and_adds_brightness() -> None:
    before, u = images(), draws()
    after = augmentation.change_contrast(before, before, u)
    for index in range(NUMBER):
        gain = 16 ** (2 * float(u("gain")[index]) - 1)
        pivot = float(u("pivot")[index]) * (0.25 if gain > 1 else 1)
        expected = gain * (before[index] - pivot) + pivot + 0.4 * float(u("lift")[index])
        torch.testing.assert_close(after[index], expected.clamp(0, 1), rtol=0, atol=1e-5)


def test_the_foreground_closes_small_gaps_and_leaves_large_ones() -> None:
    garment = torch.zeros(1, 1, 28, 28)
    garment[..., 4:24, 4:24] = 0.06
    garment[..., 6:10, 6:10] = 0  # 4 pixels: dark cloth
    garment[..., 14:22, 14:22] = 0  # 8 pixels: what a handle encloses
    expected = torch.zeros(1, 1, 28, 28)
    expected[..., 4:24, 4:24] = 1
    expected[..., 14:22, 14:22] = 0
    torch.testing.assert_close(augmentation.foreground(garment), expected)
    garments = (images() - 0.7).clamp(min=0)
    assert torch.all(augmentation.foreground(garments) >= (20 * garments).clamp(max=1))


def test_a_background_lies_behind_the_garment_between_its_two_levels() -> None:
    garments = torch.zeros(NUMBER, 1, 28, 28)
    garments[..., 8:20, 8:20] = images()[..., 8:20, 8:20]
    covered = augmentation.foreground(garments)
    u = draws(patches=0)
    # the garment is where the original says, whatever happened to it before
    after = photometric(garments, u, Augmentation(invert=1.0, background=1.0))
    assert torch.equal(after[covered == 1], (1 - garments)[covered == 1])
    for index in range(NUMBER):
        low, high = float(u("texture_low")[index]), float(u("texture_high")[index])
        outside = after[index][covered[index] == 0]
        assert outside.min() >= min(low, high) - 1e-6
        assert outside.max() <= max(low, high) + 1e-6
        assert outside.std() > 0


def garments() -> Tensor:
    """Return boxes of random levels, dark cloth in them, on black."""
    levels = torch.zeros(NUMBER, 1, 28, 28)
    levels[..., 6:22, 8:20] = 0.3 + 0.7 * images()[..., 6:22, 8:20]
    return levels


def test_other_cloth_covers_the_garment_and_nothing_else() -> None:
    before = garments()
    after = augmentation.change_cloth(before, before, draws())
    assert after.min() >= 0
    assert after.max() <= 1
    assert torch.all(after[before == 0] == 0)
    assert torch.all(after[..., 7:21, 9:19] > 0)  # negated and dark cloth, too, differs from black


def test_cloth_that_is_kept_is_only_made_as_bright_as_can_be() -> None:
    before = garments()
    before[..., 6, :] = before[..., 21, :] = before[..., 8] = before[..., 19] = (
        0  # a soft outline would differ
    )
    u = draws(cloth_keep=1 - 1e-7)
    after = augmentation.change_cloth(before, before, u)
    brightest = after.amax((2, 3), keepdim=True)
    torch.testing.assert_close(brightest, torch.ones_like(brightest))
    inside = (slice(None), slice(None), slice(8, 20), slice(10, 18))
    ratio = after[inside] / before[inside]
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio), rtol=1e-3, atol=1e-3)


def test_a_negated_garment_is_dark_where_it_was_bright() -> None:
    before = garments()
    after = augmentation.change_cloth(before, before, draws(cloth_keep=0.0))
    inside = (slice(None), 0, slice(8, 20), slice(10, 18))
    bright = torch.nn.functional.max_pool2d(before, 3, 1, 1)
    pairs = torch.stack([bright[inside].flatten(1), after[inside].flatten(1)], 1)
    assert all(torch.corrcoef(pair)[0, 1] < -0.99 for pair in pairs)


def test_an_outline_moves_more_with_its_size_and_stays_without_it() -> None:
    before = garments()
    changed = []
    for size in (0.0, 0.5, 1.0):
        after = augmentation.change_outline(before, before, draws(outline_size=size))
        changed.append(((after > 0.1) != (before > 0.1)).float().mean().item())
    assert changed[0] < 0.01
    assert 2 * changed[0] < changed[1] < changed[2] < 0.3


def test_patches_are_the_background_on_black() -> None:
    black = torch.zeros(NUMBER, 1, 28, 28)
    fixed = {"texture_low": 1, "texture_high": 1, "patches": 0.9}
    after = augmentation.add_background(black, black, draws(**fixed))
    assert 0.3 < (after == 0).float().mean() < 0.7
    assert 0.1 < (after == 1).float().mean() < 0.7
    assert not augmentation.add_background(black, black, draws(**fixed, patch_share=1)).any()


@pytest.mark.parametrize(("angle", "std"), [(0.0, (0.75, 1.5)), (0.5, (1.5, 0.75))])
def test_a_blur_along_rows_or_columns_equals_scipy(angle: float, std: tuple[float, float]) -> None:
    before = images(6)
    u = draws(6, blur_long=0.5, blur_short=0.5, blur_angle=angle)  # 6 / 4 and 1.5 / 2 pixels
    after = augmentation.gaussian_blur(before, before, u)
    for image, blurred in zip(before[:, 0].numpy(), after[:, 0].numpy(), strict=True):
        spectrum = ndimage.fourier_gaussian(np.fft.fft2(np.pad(image, 14, mode="edge")), std)
        expected = np.fft.ifft2(spectrum).real[14:-14, 14:-14].clip(0, 1)
        np.testing.assert_allclose(blurred, expected, atol=1e-5)


def test_the_blur_of_a_point_has_the_drawn_covariance() -> None:
    point = torch.zeros(1, 1, 28, 28)
    point[..., 14, 14] = 1
    angle = 0.3
    u = draws(1, blur_long=math.sqrt(0.5), blur_short=1, blur_angle=angle / math.pi)  # 3 and 1.5 pixels
    blurred = augmentation.gaussian_blur(point, point, u)[0, 0].double().numpy()
    y, x = np.indices((28, 28)) - 14
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    assert (blurred * along**2).sum() == pytest.approx(9, rel=0.01)
    assert (blurred * across**2).sum() == pytest.approx(2.25, rel=0.01)
    assert (blurred * along * across).sum() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "grey", "std"), [(0.1, 0.5, 0.35 * 0.4), (0.4, 0.25, 0.35 * 0.4 * 0.5), (0.4, 0, 0)]
)
def test_gaussian_noise_has_the_drawn_strength(kind: float, grey: float, std: float) -> None:
    even = torch.full((NUMBER, 1, 28, 28), float(grey))
    after = augmentation.add_noise(even, even, draws(noise_kind=kind, noise_level=0.4))
    assert float((after - even).square().mean().sqrt()) == pytest.approx(std, rel=0.03)


def test_impulses_are_a_third_each_black_white_and_grey() -> None:
    even = torch.full((NUMBER, 1, 28, 28), 0.123)
    after = augmentation.add_noise(even, even, draws(noise_kind=0.8, noise_level=0.5))
    changed = after != even
    assert float(changed.float().mean()) == pytest.approx(0.15, rel=0.05)
    values = after[changed]
    for share in (values == 0, values == 1, (values > 0) & (values < 1)):
        assert float(share.float().mean()) == pytest.approx(1 / 3, rel=0.05)


def test_images_get_different_noise_and_backgrounds() -> None:
    black = torch.zeros(NUMBER, 1, 28, 28)
    for function in (augmentation.add_noise, augmentation.add_background):
        after = function(black, black, draws(noise_kind=0.1, patches=0)).flatten(1)
        assert len(after.unique(dim=0)) == NUMBER


def test_each_texture_goes_from_black_to_white() -> None:
    drawn = draw_textures(40, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    assert drawn.shape == (40, TEXTURE_SIZE, TEXTURE_SIZE)
    assert (drawn.min((1, 2)) == 0).all()
    assert (drawn.max((1, 2)) == 1).all()


def test_a_seed_fixes_the_textures_and_another_changes_all() -> None:
    first, again, other = (draw_textures(16, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any((1, 2)).all()


def test_a_ramp_is_a_plane() -> None:
    ramp = textures.ramp(np.random.default_rng(0))
    down, right = ramp[1, 0] - ramp[0, 0], ramp[0, 1] - ramp[0, 0]
    assert np.hypot(down, right) == pytest.approx(1)
    rows, columns = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE]
    np.testing.assert_allclose(ramp, rows * down + columns * right, atol=1e-9)


def test_stripes_have_one_frequency_of_4_to_20_pixels() -> None:
    stripes = textures.stripes(np.random.default_rng(0))
    spectrum = np.abs(np.fft.fft2(stripes - stripes.mean(), (512, 512)))
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    frequency = np.hypot(np.fft.fftfreq(512)[row], np.fft.fftfreq(512)[column])
    assert 1 / 21 < frequency < 1 / 3.9
