"""Each disturbance against a closed form or scipy, image by image."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from fmnist.data import disturbances
from fmnist.data.disturbances import NAMES, UNIFORMS, Banks

NUMBER = 48
BANKS = Banks.draw(0, torch.device("cpu"))
NEVER = dict.fromkeys(NAMES, 0.0)


def images(number: int = NUMBER) -> Tensor:
    return torch.rand(number, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def uniforms(number: int = NUMBER, **fixed: float) -> dict[str, Tensor]:
    """Draw the uniform numbers of every image, but for those that are given."""
    table = torch.rand(len(UNIFORMS), number, generator=torch.Generator().manual_seed(1))
    drawn = dict(zip(UNIFORMS, table, strict=True))
    return drawn | {name: torch.full((number,), value) for name, value in fixed.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_probability_is_the_share_of_images_disturbed(name: str) -> None:
    number = 1000
    before, u = images(number), uniforms(number, blur_long=0.5, noise_level=0.9)
    found = disturbances.disturb(before.clone(), NEVER | {name: 0.3}, BANKS, u)
    changed = (found != before).flatten(1).any(1)
    assert torch.all(~changed | (u[name] < 0.3))
    # full images show no background; a gain near 1 with no lift changes nothing
    assert changed.sum() >= 0.95 * (u[name] < 0.3).sum() or name == "background"
    assert abs(float((u[name] < 0.3).float().mean()) - 0.3) < 0.06


def test_nothing_is_disturbed_at_probability_0_and_everything_stays_in_range_at_1() -> None:
    before, u = images(), uniforms()
    assert torch.equal(disturbances.disturb(before.clone(), NEVER, BANKS, u), before)
    found = disturbances.disturb(before.clone(), dict.fromkeys(NAMES, 1.0), BANKS, u)
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.isfinite(found).all()


def test_a_negative_is_one_minus_the_image() -> None:
    before = images()
    torch.testing.assert_close(
        disturbances.disturb(before.clone(), NEVER | {"invert": 1.0}, BANKS, uniforms()), 1 - before
    )


def test_levels_are_stretched_around_their_pivot() -> None:
    before, u = images(), uniforms()
    found = disturbances.change_levels(before, u)
    for index in range(NUMBER):
        gain = 16 ** (2 * float(u["gain"][index]) - 1)
        pivot = float(u["pivot"][index]) * (0.25 if gain > 1 else 1)
        expected = gain * (before[index] - pivot) + pivot + 0.4 * float(u["lift"][index])
        torch.testing.assert_close(found[index], expected.clamp(0, 1), rtol=0, atol=1e-5)


def test_a_gain_of_one_changes_nothing() -> None:
    before = images()
    torch.testing.assert_close(disturbances.change_levels(before, uniforms(gain=0.5, lift=0.0)), before)


def test_flattened_levels_reach_every_grey() -> None:
    black = torch.zeros(NUMBER, 1, 28, 28)
    found = disturbances.change_levels(black, uniforms(gain=0.0, lift=0.0))[:, 0, 0, 0]
    assert found.min() < 0.1
    assert found.max() > 0.8


def test_a_silhouette_closes_small_gaps_and_leaves_large_ones() -> None:
    garment = torch.zeros(1, 1, 28, 28)
    garment[..., 4:24, 4:24] = 0.06
    garment[..., 6:10, 6:10] = 0  # 4 pixels: dark cloth
    garment[..., 14:22, 14:22] = 0  # 8 pixels: what a handle encloses
    expected = torch.zeros(1, 1, 28, 28)
    expected[..., 4:24, 4:24] = 1
    expected[..., 14:22, 14:22] = 0
    torch.testing.assert_close(disturbances.silhouettes(garment), expected)


def test_a_silhouette_is_never_less_than_the_garment_and_empty_for_black() -> None:
    garments = (images() - 0.7).clamp(min=0)
    assert torch.all(disturbances.silhouettes(garments) >= (20 * garments).clamp(max=1))
    assert not disturbances.silhouettes(torch.zeros(1, 1, 28, 28)).any()


def test_a_background_lies_behind_the_garment_between_its_two_levels() -> None:
    garments = torch.zeros(NUMBER, 1, 28, 28)
    garments[..., 8:20, 8:20] = images()[..., 8:20, 8:20]
    cover = disturbances.silhouettes(garments)
    u = uniforms(patches=0.0)
    found = disturbances.put_behind(garments, cover, BANKS.textures, u)
    assert torch.equal(found[cover == 1], garments[cover == 1])
    textures = disturbances.cut(BANKS.textures, u["texture"], u["texture_y"], u["texture_x"])
    for index in range(NUMBER):
        low, high = float(u["texture_low"][index]), float(u["texture_high"][index])
        outside = cover[index] == 0
        expected = low + (high - low) * textures[index]
        torch.testing.assert_close(found[index][outside], expected[outside])


def test_patches_are_the_background_on_black() -> None:
    black, u = torch.zeros(NUMBER, 1, 28, 28), uniforms(texture_low=1.0, texture_high=1.0, patches=0.9)
    found = disturbances.put_behind(black, black, BANKS.textures, u)
    assert 0.3 < (found == 0).float().mean() < 0.7
    assert 0.1 < (found == 1).float().mean() < 0.7
    none = disturbances.put_behind(black, black, BANKS.textures, u | {"patch_share": torch.ones(NUMBER)})
    assert not none.any()


@pytest.mark.parametrize(("angle", "sigma"), [(0.0, (0.75, 1.5)), (0.5, (1.5, 0.75))])
def test_a_blur_along_rows_or_columns_equals_scipy(angle: float, sigma: tuple[float, float]) -> None:
    before = images(6)
    u = uniforms(6, blur_long=0.5, blur_short=0.5, blur_angle=angle)  # 6 / 4 and 1.5 / 2 pixels
    found = disturbances.blur(before, u)
    for image, blurred in zip(before[:, 0].numpy(), found[:, 0].numpy(), strict=True):
        spectrum = ndimage.fourier_gaussian(np.fft.fft2(np.pad(image, 14, mode="edge")), sigma)
        expected = np.fft.ifft2(spectrum).real[14:-14, 14:-14].clip(0, 1)
        np.testing.assert_allclose(blurred, expected, atol=1e-5)


def test_an_oblong_blur_of_a_point_has_its_covariance() -> None:
    point = torch.zeros(1, 1, 28, 28)
    point[..., 14, 14] = 1
    angle = 0.3
    u = uniforms(1, blur_long=math.sqrt(0.5), blur_short=1.0, blur_angle=angle / math.pi)  # 3 and 1.5 pixels
    blurred = disturbances.blur(point, u)[0, 0].double().numpy()
    y, x = np.indices((28, 28)) - 14
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    assert (blurred * along**2).sum() == pytest.approx(9, rel=0.01)
    assert (blurred * across**2).sum() == pytest.approx(2.25, rel=0.01)
    assert (blurred * along * across).sum() == pytest.approx(0, abs=0.05)


def test_no_blur_changes_nothing_and_an_even_image_stays_even() -> None:
    before = images()
    torch.testing.assert_close(
        disturbances.blur(before, uniforms(blur_long=0.0, blur_short=0.0)), before, rtol=0, atol=1e-5
    )
    grey = torch.full((NUMBER, 1, 28, 28), 0.4)
    torch.testing.assert_close(disturbances.blur(grey, uniforms()), grey, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kind", "expected"), [(0.1, 0.35 * 0.4), (0.4, 0.35 * 0.4 * 0.5)])
def test_grain_has_the_drawn_strength(kind: float, expected: float) -> None:
    grey = torch.full((NUMBER, 1, 28, 28), 0.25 if kind > 0.25 else 0.5)
    found = disturbances.add_noise(grey, BANKS, uniforms(noise_kind=kind, noise_level=0.4))
    spread = float((found - grey).square().mean().sqrt())
    assert spread == pytest.approx(expected, rel=0.03)


def test_grain_that_grows_with_the_light_leaves_black_alone() -> None:
    black = torch.zeros(NUMBER, 1, 28, 28)
    assert not disturbances.add_noise(black, BANKS, uniforms(noise_kind=0.4)).any()


def test_struck_pixels_are_as_many_as_drawn_and_a_third_each_black_white_and_grey() -> None:
    grey = torch.full((NUMBER, 1, 28, 28), 0.123)
    found = disturbances.add_noise(grey, BANKS, uniforms(noise_kind=0.8, noise_level=0.5))
    struck = found != grey
    assert float(struck.float().mean()) == pytest.approx(0.15, rel=0.05)
    values = found[struck]
    for share in (values == 0, values == 1, (values > 0) & (values < 1)):
        assert float(share.float().mean()) == pytest.approx(1 / 3, rel=0.05)


def test_windows_are_cut_where_the_uniforms_say_up_to_the_last() -> None:
    bank = torch.arange(3 * 40 * 50).view(3, 40, 50).float()
    which, u_y, u_x = (torch.tensor([0.0, value, 0.9999]) for value in (0.5, 0.25, 0.75))
    found = disturbances.cut(bank, which, u_y, u_x)
    for window, (k, y, x) in zip(found, [(0, 0, 0), (1, 3, 17), (2, 12, 22)], strict=True):
        torch.testing.assert_close(window[0], bank[k, y : y + 28, x : x + 28])


def test_banks_depend_on_the_seed_alone() -> None:
    again, other = (Banks.draw(seed, torch.device("cpu")) for seed in (0, 1))
    for name in ("normal", "uniform", "textures"):
        assert torch.equal(getattr(BANKS, name), getattr(again, name))
        assert not torch.equal(getattr(BANKS, name), getattr(other, name))
