"""Geometric augmentations, mixing and erasing against references per image; purity, streams and ranges."""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from fmnist.core.errors import InputError
from fmnist.data.augmentation import LIFTS, LOG_WIDTHS, Augmentation, probability
from fmnist.data.augmenter import Augmenter
from fmnist.data.streams import Draws, Streams

SIZE = 64
EVERYTHING: dict[str, Any] = {
    **{"shift": 2, "flip": True, "rotate": 10.0, "scale": 0.1, "shear": 0.5, "p_affine": 0.8, "shrink": 0.5},
    **{"mixup": 0.4, "cutmix": 1.0, "p_clean": 0.2, "erase": 0.5},
    **dict.fromkeys(("warp", "cloth", "outline", "contrast", "invert", "background", "blur", "noise"), 0.3),
}
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (SIZE, 28, 28), np.uint8))
BEFORE = IMAGES.clone()
LABELS = torch.arange(SIZE) % 10
ALL = torch.arange(SIZE)


def make(
    images: Tensor = IMAGES,
    seed: int = 0,
    epoch: int = 0,
    partners: Tensor | None = None,
    kind: type[Augmentation] = Augmentation,
    **settings: Any,
) -> Augmenter:
    labels = torch.arange(len(images)) % 10
    partners = torch.arange(len(images)) if partners is None else partners
    augmenter = Augmenter(images, labels, kind(**settings), partners, seed)
    augmenter.set_epoch(epoch)
    return augmenter


def numbers(augmenter: Augmenter, name: str) -> Tensor:
    """Return the number of each image in the stream ``name``; what is written into it holds."""
    return augmenter.streams.uniform(name)


def constant_images(number: int) -> Tensor:
    """Return images (number, 28, 28) of which image i has the level i + 1, modulo 250."""
    return (torch.arange(number) % 250 + 1).to(torch.uint8)[:, None, None].expand(-1, 28, 28).contiguous()


def changed(before: Tensor, after: Tensor) -> Tensor:
    """Return which images differ."""
    return (before != after).flatten(1).any(1)


def test_without_augmentation_pixels_are_bytes_over_255() -> None:
    images, labels = make().batch(ALL)
    assert images.dtype == torch.float32
    assert torch.equal(images, IMAGES[:, None] / 255)
    assert labels.dtype == torch.int64
    assert torch.equal(labels, LABELS)


def test_shift_moves_by_the_drawn_pixels_and_uncovers_black() -> None:
    augmenter = make(shift=3)
    images = augmenter.batch(ALL)[0][:, 0].numpy()
    shifts = [3 - (numbers(augmenter, name) * 7).floor().int() for name in ("shift_y", "shift_x")]
    for image, original, shift in zip(images, IMAGES.numpy(), torch.stack(shifts, 1).tolist(), strict=True):
        np.testing.assert_array_equal(image, ndimage.shift(original, shift, order=0) / np.float32(255))


def test_flip_mirrors_half_of_the_images() -> None:
    augmenter = make(flip=True)
    images, flipped = augmenter.batch(ALL)[0], numbers(augmenter, "flip") < 0.5
    original = IMAGES[:, None] / 255
    assert torch.equal(images[flipped], original[flipped].flip(3))
    assert torch.equal(images[~flipped], original[~flipped])
    assert 0.3 < flipped.float().mean() < 0.7


@pytest.mark.parametrize("more", [{}, {"shear": 0.6}, {"shear": 0.6, "shrink": 0.5}])
def test_an_affine_map_equals_scipy(more: dict[str, float]) -> None:
    augmenter = make(rotate=30.0, scale=0.4, **more)
    images = augmenter.batch(ALL)[0][:, 0].numpy()
    names = ("rotate", "scale", "shear", "shrink", "shrink_size", "shrink_y", "shrink_x")
    for index, of_image in enumerate(torch.stack([numbers(augmenter, name) for name in names], 1).tolist()):
        u = dict(zip(names, of_image, strict=True))
        space = 0.55 * u["shrink_size"] if u["shrink"] < more.get("shrink", 0) else 0
        angle = math.radians(30 * (2 * u["rotate"] - 1))
        size = (1 + 0.4 * (2 * u["scale"] - 1)) * (1 - space)
        shear = more.get("shear", 0) * (2 * u["shear"] - 1)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) / size
        matrix = np.array([[1, 0], [shear, 1]]) @ turn  # of (row, column)
        moved = 14 * space * np.array([2 * u["shrink_y"] - 1, 2 * u["shrink_x"] - 1])
        expected = ndimage.affine_transform(
            IMAGES[index].numpy() / 255, matrix, 13.5 - matrix @ (13.5 + moved), order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(images[index], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "without", "with_it"),
    [
        ("p_clean", {"shift": 2}, {"shift": 2, "rotate": 30.0, "erase": 1.0, "invert": 1.0, "noise": 1.0}),
        ("p_affine", {}, {"rotate": 30.0, "scale": 0.4, "shear": 0.5}),
    ],
)
def test_a_probability_divides_the_images(name: str, without: Any, with_it: Any) -> None:
    augmenter = make(**with_it, **{name: 0.4})
    images, drawn = augmenter.batch(ALL)[0], numbers(augmenter, name) < 0.4
    assert 0.2 < drawn.float().mean() < 0.6
    plain = drawn if name == "p_clean" else ~drawn
    torch.testing.assert_close(images[plain], make(**without).batch(ALL)[0][plain], rtol=0, atol=1e-5)
    torch.testing.assert_close(images[~plain], make(**with_it).batch(ALL)[0][~plain])


def test_a_warp_makes_garments_wider_by_the_drawn_factor() -> None:
    images = torch.zeros(8, 28, 28, dtype=torch.uint8)
    images[:, 8:20, 10:18] = 255  # 12 high, 8 wide
    augmenter = Augmenter(images, torch.zeros(8).long(), Augmentation(warp=1.0), torch.arange(8), 0)
    uniform = augmenter.streams.uniform
    for name in ("warp_size", "warp_spread"):
        uniform(name).zero_()
    uniform("warp_lift").fill_(-LIFTS[0] / (LIFTS[1] - LIFTS[0]))  # none
    low, high = LOG_WIDTHS
    uniform("warp_width").copy_(torch.linspace(0, 0.999, 8))
    warped = augmenter.batch(torch.arange(8))[0]
    width, height = warped[:, 0, 14].sum(1), warped[:, 0, :, 14].sum(1)
    expected = torch.exp(low + (high - low) * torch.linspace(0, 0.999, 8)) * 8 / 12
    torch.testing.assert_close(width / height, expected, rtol=0.05, atol=0)


def test_an_erased_rectangle_has_the_drawn_area_and_lies_inside() -> None:
    augmenter = make(constant_images(200), erase=1.0, erase_area=0.2)
    images = augmenter.batch(torch.arange(200))[0][:, 0].numpy()
    areas = 784 * (0.02 + numbers(augmenter, "erase_area") * 0.18)
    aspects = torch.exp((2 * numbers(augmenter, "erase_aspect") - 1) * math.log(3.3))
    for image, area, aspect in zip(images, areas.tolist(), aspects.tolist(), strict=True):
        rows, columns = np.flatnonzero((image == 0).any(1)), np.flatnonzero((image == 0).any(0))
        height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        assert (image == 0).sum() == height * width
        assert abs(height - math.sqrt(area * aspect)) <= 0.5001
        assert abs(width - math.sqrt(area / aspect)) <= 0.5001


def test_mixup_is_the_convex_combination_of_augmented_images() -> None:
    partners = torch.arange(0, SIZE, 3)
    views = make(shift=3, flip=True).batch(ALL)[0]
    augmenter = make(shift=3, flip=True, partners=partners, mixup=0.4)
    images, shares = augmenter.batch(ALL)
    others = partners[(numbers(augmenter, "mix_partner") * len(partners)).long()]
    weight = augmenter.streams.beta("mixup", 0.4)
    for index, (other, own) in enumerate(zip(others.tolist(), weight.tolist(), strict=True)):
        torch.testing.assert_close(images[index], own * views[index] + (1 - own) * views[other])
        expected = torch.zeros(10)
        expected[LABELS[index]] += own
        expected[LABELS[other]] += 1 - own
        torch.testing.assert_close(shares[index], expected)


def test_cutmix_share_is_the_area_that_was_not_pasted() -> None:
    number = 200
    augmenter = make(constant_images(number), cutmix=1.0)
    images, shares = augmenter.batch(torch.arange(number))
    values = (images * 255).round().long()[:, 0]
    others = (numbers(augmenter, "mix_partner") * number).long().tolist()
    kept = augmenter.streams.beta("cutmix", 1.0).tolist()
    for index, other in enumerate(others):
        pasted = values[index] == other + 1
        assert torch.all(pasted | (values[index] == index + 1))
        assert pasted.sum() == pasted.any(1).sum() * pasted.any(0).sum()
        assert pasted.sum() == round(28 * math.sqrt(1 - kept[index])) ** 2 or other == index
        if index % 10 != other % 10:
            share = float(pasted.float().mean())
            assert float(shares[index, other % 10]) == pytest.approx(share, abs=1e-6)
            assert float(shares[index, index % 10]) == pytest.approx(1 - share, abs=1e-6)


def test_with_mixup_and_cutmix_each_image_gets_one_of_the_two() -> None:
    both = make(mixup=0.4, cutmix=1.0)
    images, shares = both.batch(ALL)
    torch.testing.assert_close(shares.sum(1), torch.ones(SIZE))
    cut = numbers(both, "mix_kind") < 0.5
    assert 0.3 < cut.float().mean() < 0.7
    for settings, chosen in (({"cutmix": 1.0}, cut), ({"mixup": 0.4}, ~cut)):
        expected_images, expected_shares = make(**settings).batch(ALL)
        torch.testing.assert_close(images[chosen], expected_images[chosen])
        torch.testing.assert_close(shares[chosen], expected_shares[chosen])


def test_an_image_is_a_function_of_seed_epoch_and_index_alone() -> None:
    expected = make(seed=5, epoch=3, **EVERYTHING).batch(ALL)
    used = make(seed=5, **EVERYTHING)
    for epoch in (1, 4, 3):  # whatever came before
        used.set_epoch(epoch)
        used.batch(ALL[:2])
    order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(0))
    for indices in (*order.split(1), *order.split(7), order):
        for values, all_values in zip(used.batch(indices), expected, strict=True):
            torch.testing.assert_close(values, all_values[indices], rtol=0, atol=1e-6)
    assert expected[0].min() >= 0
    assert expected[0].max() <= 1
    assert torch.equal(IMAGES, BEFORE)  # the data set stays as it was
    for other in ({"seed": 6, "epoch": 3}, {"seed": 5, "epoch": 4}):
        assert changed(make(**other, **EVERYTHING).batch(ALL)[0], expected[0]).float().mean() > 0.95


def posterize(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    levels = (2 + 3 * u("levels")).floor()[:, None, None, None]
    return (images * levels).round() / levels


@dataclass(frozen=True)
class WithPosterize(Augmentation):
    """One augmentation more, declared as a user would."""

    posterize: float = probability(posterize)
    """Probability of few grey levels."""


def test_a_new_augmentation_needs_its_declaration_and_changes_no_draw_of_the_others() -> None:
    images, labels = make(**EVERYTHING).batch(ALL)
    augmenter = make(kind=WithPosterize, posterize=0.5, **EVERYTHING)
    more_images, more_labels = augmenter.batch(ALL)
    assert torch.equal(more_labels, labels)
    chosen = (numbers(augmenter, "posterize") < 0.5) & (numbers(augmenter, "p_clean") >= 0.2)
    expected = posterize(images, images, Draws(augmenter.streams, ALL))
    assert torch.equal(more_images, torch.where(chosen[:, None, None, None], expected, images))
    assert 0.2 < chosen.float().mean() < 0.7
    with pytest.raises(InputError, match=r"^--data\.augmentation\.posterize 2: must lie between 0 and 1$"):
        WithPosterize(posterize=2)


def test_streams_are_uncorrelated() -> None:
    streams = Streams(1000, 3, torch.device("cpu"))
    first, other = streams.uniform("rotate"), streams.uniform("shear")
    other_seed = Streams(1000, 4, streams.device).uniform("rotate")
    streams.set_epoch(1)
    for numbers_ in (other, other_seed, streams.uniform("rotate")):
        assert abs(np.corrcoef(first, numbers_)[0, 1]) < 0.15


OPTIONAL = {"erase", "contrast", "invert", "background", "blur", "noise"}


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_an_unused_augmentation_draws_nothing_and_a_used_one_changes_its_share(name: str) -> None:
    garments = IMAGES.clone()
    garments[:, :, 20:] = 0
    plain, augmenter = make(garments, shift=2), make(garments, shift=2, **{name: 0.5})
    before, after = plain.batch(ALL)[0], augmenter.batch(ALL)[0]
    assert plain.streams._numbers.keys() == {"shift_y", "shift_x"}
    assert not augmenter.streams._numbers.keys() & OPTIONAL - {name}
    different, chosen = changed(before, after), numbers(augmenter, name) < 0.5
    assert torch.all(chosen | ~different)
    # a black rectangle, an empty patch or weak noise may change nothing
    assert different.sum() >= 0.8 * chosen.sum()
    assert 0.25 < chosen.float().mean() < 0.75


RANGES = {
    **{"shift": (0, 27), "flip": (0, 1), "rotate": (0, 180), "scale": (0, 0.9), "shear": (0, 2)},
    **{"mixup": (0, 100), "cutmix": (0, 100), "erase_area": (0.02, 1)},
}


@pytest.mark.parametrize("name", [declared.name for declared in fields(Augmentation)])
def test_a_value_out_of_range_names_the_flag_and_the_value(name: str) -> None:
    lowest, highest = RANGES.get(name, (0, 1))
    for value in (lowest, highest):
        Augmentation(**{name: value})
    for value in (lowest - 0.01, highest + 0.01, math.nan):
        allowed = rf"must lie between {lowest:g} and {highest:g}$"
        with pytest.raises(InputError, match=rf"^--data\.augmentation\.{name} {value}: {allowed}"):
            Augmentation(**{name: value})
