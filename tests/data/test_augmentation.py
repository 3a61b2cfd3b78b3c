"""Each augmentation against a reference written per image, and the promise of (seed, epoch, index)."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from fmnist.core.errors import InputError
from fmnist.data.augmentation import CHANCES, MORE_UNIFORMS, UNIFORMS, Augmentation, Augmenter

SIZE = 64
EVERYTHING = {
    "shift": 2,
    "flip": True,
    "rotate": 10.0,
    "scale": 0.1,
    "erase": 0.5,
    "mixup": 0.4,
    "cutmix": 1.0,
    "shear": 0.5,
    "warp": 0.8,
    "shrink": 0.5,
    "spare": 0.2,
    "contrast": 0.3,
    "invert": 0.3,
    "background": 0.3,
    "blur": 0.3,
    "noise": 0.3,
}
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (SIZE, 28, 28), np.uint8))
LABELS = torch.arange(SIZE) % 10
ALL = torch.arange(SIZE)


def make(
    images: Tensor = IMAGES, seed: int = 0, partners: Tensor | None = None, **switches: Any
) -> Augmenter:
    labels = torch.arange(len(images)) % 10
    partners = torch.arange(len(images)) if partners is None else partners
    return Augmenter(images, labels, Augmentation(**switches), partners, seed)


def drawn(augmenter: Augmenter, name: str) -> list[float]:
    """Return the uniform numbers that each image drew for one parameter."""
    return augmenter.uniforms[:, (*UNIFORMS, *MORE_UNIFORMS).index(name)].tolist()


def fix(augmenter: Augmenter, name: str, value: float) -> None:
    augmenter.uniforms[:, (*UNIFORMS, *MORE_UNIFORMS).index(name)] = value


def constant_images(number: int) -> Tensor:
    """Return images (number, 28, 28) of which image i is filled with i + 1."""
    return (torch.arange(number, dtype=torch.uint8) + 1)[:, None, None].expand(-1, 28, 28).contiguous()


def test_without_augmentation_pixels_are_bytes_over_255() -> None:
    images, labels = make().batch(ALL)
    assert images.dtype == torch.float32
    assert images.shape == (SIZE, 1, 28, 28)
    assert torch.equal(images[:, 0], IMAGES / 255)
    assert labels.dtype == torch.int64
    assert torch.equal(labels, LABELS)


def test_shift_moves_by_the_drawn_pixels_and_uncovers_black() -> None:
    shift = 3
    augmenter = make(shift=shift)
    images, _ = augmenter.batch(ALL)
    for index, (u_y, u_x) in enumerate(
        zip(drawn(augmenter, "shift_y"), drawn(augmenter, "shift_x"), strict=True)
    ):
        down, right = shift - math.floor(u_y * 7), shift - math.floor(u_x * 7)
        expected = np.zeros((28, 28), np.uint8)
        for row in range(28):
            for column in range(28):
                if 0 <= row - down < 28 and 0 <= column - right < 28:
                    expected[row, column] = IMAGES[index, row - down, column - right]
        np.testing.assert_array_equal(images[index, 0].numpy(), expected / np.float32(255))


def test_every_shift_is_equally_likely() -> None:
    dot = torch.zeros(5000, 28, 28, dtype=torch.uint8)
    dot[:, 14, 14] = 255
    images, _ = make(dot, seed=1, shift=2).batch(torch.arange(5000))
    places = images.flatten(1).argmax(1)
    rows, columns = places // 28 - 12, places % 28 - 12
    counts = np.bincount((5 * rows + columns).numpy(), minlength=25)
    assert len(counts) == 25
    chi_square = ((counts - 200.0) ** 2 / 200).sum()
    assert chi_square < 51.2  # exceeded with probability 0.001 at 24 degrees of freedom


def test_flip_mirrors_half_of_the_images() -> None:
    augmenter = make(flip=True)
    images = augmenter.batch(ALL)[0][:, 0].numpy()
    flipped = [u < 0.5 for u in drawn(augmenter, "flip")]
    for image, original, mirrored in zip(images, IMAGES.numpy() / np.float32(255), flipped, strict=True):
        np.testing.assert_array_equal(image, original[:, ::-1] if mirrored else original)
    assert 0.3 < np.mean(flipped) < 0.7


@pytest.mark.parametrize(("u", "quarter_turns"), [(0.5, 0), (1.0, -1), (0.0, 1)])
def test_rotation_by_a_right_angle(u: float, quarter_turns: int) -> None:
    augmenter = make(rotate=90.0)
    fix(augmenter, "rotate", u)
    expected = np.rot90(IMAGES.numpy() / 255, quarter_turns, axes=(1, 2))
    np.testing.assert_allclose(augmenter.batch(ALL)[0][:, 0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("more", [{}, {"shear": 0.6}, {"shrink": 0.5}, {"shear": 0.6, "shrink": 1.0}])
def test_a_warp_equals_scipy(more: dict[str, float]) -> None:
    augmenter = make(rotate=30.0, scale=0.4, **more)
    images = augmenter.batch(ALL)[0][:, 0].numpy()
    names = ("rotate", "scale", "shear", "shrink", "shrink_size", "shrink_y", "shrink_x")
    for index, numbers in enumerate(np.array([drawn(augmenter, name) for name in names]).T):
        u = dict(zip(names, numbers, strict=True))
        room = 0.55 * u["shrink_size"] if u["shrink"] < more.get("shrink", 0) else 0
        angle = math.radians(30 * (2 * u["rotate"] - 1))
        size = (1 + 0.4 * (2 * u["scale"] - 1)) * (1 - room)
        shear = more.get("shear", 0) * (2 * u["shear"] - 1)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) / size
        matrix = np.array([[1, 0], [shear, 1]]) @ turn  # of (row, column)
        moved = 14 * room * np.array([2 * u["shrink_y"] - 1, 2 * u["shrink_x"] - 1])
        expected = ndimage.affine_transform(
            IMAGES[index].numpy() / 255, matrix, 13.5 - matrix @ (13.5 + moved), order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(images[index], expected, atol=1e-4)


def test_a_shrunk_image_stays_whole_and_lies_anywhere() -> None:
    augmenter = make(torch.full((500, 28, 28), 255, dtype=torch.uint8), shrink=0.5)
    images = augmenter.batch(torch.arange(500))[0]
    shrunk = torch.tensor(drawn(augmenter, "shrink")) < 0.5
    sizes = 1 - 0.55 * torch.tensor(drawn(augmenter, "shrink_size")) * shrunk
    torch.testing.assert_close(images.sum((1, 2, 3)), (28 * sizes) ** 2, rtol=0.06, atol=0)
    small = images[sizes < 0.6, 0]
    for lengths in (small.sum(1), small.sum(2)):  # of each column, of each row
        centres = (lengths * torch.arange(28)).sum(1) / lengths.sum(1)
        assert centres.min() < 9
        assert centres.max() > 18


def test_spared_images_are_only_shifted_and_flipped() -> None:
    plain = make(shift=2, flip=True).batch(ALL)[0]
    switches = dict.fromkeys(CHANCES, 1.0) | {"shift": 2, "flip": True, "rotate": 30.0}
    augmenter = make(spare=0.4, **switches)
    spared = torch.tensor(drawn(augmenter, "spare")) < 0.4
    images = augmenter.batch(ALL)[0]
    torch.testing.assert_close(images[spared], plain[spared], rtol=0, atol=1e-5)
    torch.testing.assert_close(images[~spared], make(**switches).batch(ALL)[0][~spared])
    assert 0.2 < spared.float().mean() < 0.6


def test_only_a_share_of_the_images_is_warped() -> None:
    switches = {"rotate": 30.0, "scale": 0.4, "shear": 0.5}
    augmenter, plain = make(warp=0.4, **switches), make().batch(ALL)[0]
    images, warped = augmenter.batch(ALL)[0], torch.tensor(drawn(augmenter, "warp")) < 0.4
    torch.testing.assert_close(images[~warped], plain[~warped], rtol=0, atol=1e-5)
    torch.testing.assert_close(images[warped], make(**switches).batch(ALL)[0][warped])
    assert 0.2 < warped.float().mean() < 0.6


def test_a_larger_scale_enlarges() -> None:
    square = torch.zeros(1, 28, 28, dtype=torch.uint8)
    square[:, 9:19, 9:19] = 255
    augmenter = make(square, scale=0.5)
    fix(augmenter, "scale", 1.0)
    assert float(augmenter.batch(torch.tensor([0]))[0].sum()) == pytest.approx(15**2, rel=0.02)


def test_erased_rectangle_has_the_drawn_area_and_lies_inside() -> None:
    augmenter = make(constant_images(200), erase=1.0, erase_area=0.2)
    images = augmenter.batch(torch.arange(200))[0][:, 0].numpy()
    areas, aspects = drawn(augmenter, "erase_area"), drawn(augmenter, "erase_aspect")
    for image, u_area, u_aspect in zip(images, areas, aspects, strict=True):
        area, aspect = 784 * (0.02 + u_area * 0.18), math.exp((2 * u_aspect - 1) * math.log(3.3))
        rows, columns = np.where((image == 0).any(1))[0], np.where((image == 0).any(0))[0]
        height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        assert (image == 0).sum() == height * width
        assert abs(height - math.sqrt(area * aspect)) <= 0.5001
        assert abs(width - math.sqrt(area / aspect)) <= 0.5001
        assert len(np.unique(image)) == 2


def test_erased_rectangles_reach_every_pixel() -> None:
    images = make(constant_images(250).repeat(8, 1, 1), erase=1.0).batch(torch.arange(2000))[0]
    share = (images == 0).float().mean(0)
    assert share.min() > 0
    assert share[0, 14, 14] > share[0, 0, 0]  # a rectangle inside the image covers its middle more often


def test_erase_probability() -> None:
    images = make(constant_images(250).repeat(8, 1, 1), erase=0.3).batch(torch.arange(2000))[0]
    share = float((images == 0).flatten(1).any(1).float().mean())
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)


def test_mixup_is_the_convex_combination() -> None:
    partners = torch.arange(0, SIZE, 3)
    augmenter = make(partners=partners, mixup=0.4)
    images, shares = augmenter.batch(ALL)
    assert shares.dtype == torch.float32
    for index, u in enumerate(drawn(augmenter, "mix_partner")):
        partner, kept = int(partners[math.floor(u * len(partners))]), float(augmenter.kept[index, 0])
        expected = kept * (IMAGES[index] / 255) + (1 - kept) * (IMAGES[partner] / 255)
        torch.testing.assert_close(images[index, 0], expected)
        target = torch.zeros(10)
        target[LABELS[index]] += kept
        target[LABELS[partner]] += 1 - kept
        torch.testing.assert_close(shares[index], target)


def test_mixed_labels_sum_to_one() -> None:
    for switches in ({"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}):
        torch.testing.assert_close(make(**switches).batch(ALL)[1].sum(1), torch.ones(SIZE))


def test_cutmix_share_is_the_area_that_was_not_pasted() -> None:
    number = 200
    augmenter = make(constant_images(number), cutmix=1.0)
    images, shares = augmenter.batch(torch.arange(number))
    values = (images * 255).round().long()[:, 0]
    partners = [math.floor(u * number) for u in drawn(augmenter, "mix_partner")]
    for index, partner in enumerate(partners):
        pasted = values[index] == partner + 1
        assert torch.all(pasted | (values[index] == index + 1))
        rows, columns = pasted.any(1).sum(), pasted.any(0).sum()
        assert pasted.sum() == rows * columns
        share = float(pasted.float().mean())
        side = min(28, round(28 * math.sqrt(1 - float(augmenter.kept[index, 1]))))
        assert pasted.sum() == side**2 or partner == index
        if index % 10 != partner % 10:
            assert float(shares[index, partner % 10]) == pytest.approx(share, abs=1e-6)
            assert float(shares[index, index % 10]) == pytest.approx(1 - share, abs=1e-6)


def test_with_both_each_image_takes_one_of_the_two() -> None:
    number = 200
    both = make(constant_images(number), mixup=1.0, cutmix=1.0)
    cuts = torch.tensor(drawn(both, "mix_kind")) < 0.5
    assert 0.35 < cuts.float().mean() < 0.65
    images, shares = both.batch(torch.arange(number))
    for kind, chosen in {"cutmix": cuts, "mixup": ~cuts}.items():
        expected_images, expected_shares = make(constant_images(number), **{kind: 1.0}).batch(
            torch.arange(number)
        )
        torch.testing.assert_close(images[chosen], expected_images[chosen])
        torch.testing.assert_close(shares[chosen], expected_shares[chosen])


def test_a_partner_is_augmented_as_it_is_on_its_own() -> None:
    views = make(shift=3, flip=True).batch(ALL)[0]
    augmenter = make(shift=3, flip=True, mixup=1.0)
    images, _ = augmenter.batch(ALL)
    partners = (torch.tensor(drawn(augmenter, "mix_partner")) * SIZE).long()
    kept = augmenter.kept[:, 0, None, None, None]
    torch.testing.assert_close(images, kept * views + (1 - kept) * views[partners])


def test_everything_at_once_stays_in_range() -> None:
    images, shares = make(**EVERYTHING).batch(ALL)
    assert images.dtype == torch.float32
    assert images.shape == (SIZE, 1, 28, 28)
    assert images.min() >= 0
    assert images.max() <= 1
    assert shares.shape == (SIZE, 10)


def test_an_image_does_not_depend_on_its_batch() -> None:
    augmenter = make(**EVERYTHING)
    images, labels = augmenter.batch(ALL)
    for indices in (torch.tensor([5]), torch.tensor([9, 5, 2]), ALL.flip(0)):
        found_images, found_labels = augmenter.batch(indices)
        torch.testing.assert_close(found_images, images[indices], rtol=0, atol=1e-6)
        torch.testing.assert_close(found_labels, labels[indices], rtol=0, atol=1e-6)


def test_a_batch_leaves_the_data_set_as_it_was() -> None:
    images = IMAGES.clone()
    make(images, erase=1.0).batch(ALL)
    assert torch.equal(images, IMAGES)


def test_an_epoch_is_the_same_whatever_came_before() -> None:
    fresh, used = make(**EVERYTHING), make(**EVERYTHING)
    fresh.set_epoch(3)
    for epoch in (1, 5, 3):
        used.set_epoch(epoch)
        used.batch(ALL)
    torch.testing.assert_close(fresh.batch(ALL), used.batch(ALL), rtol=0, atol=0)


@pytest.mark.parametrize("change", [lambda: make(seed=1, **EVERYTHING), lambda: _in_epoch(1)])
def test_seeds_and_epochs_differ(change: Callable[[], Augmenter]) -> None:
    before, after = make(**EVERYTHING).batch(ALL)[0], change().batch(ALL)[0]
    assert (before != after).flatten(1).any(1).float().mean() > 0.95


def _in_epoch(epoch: int) -> Augmenter:
    augmenter = make(**EVERYTHING)
    augmenter.set_epoch(epoch)
    return augmenter


def test_one_augmentation_does_not_change_the_draws_of_another() -> None:
    shifted, erased = make(shift=2).batch(ALL)[0], make(shift=2, erase=1.0).batch(ALL)[0]
    assert torch.all((erased == shifted) | (erased == 0))
    assert torch.equal(make(cutmix=1.0).kept[:, 1], make(mixup=0.4, cutmix=1.0).kept[:, 1])
    assert torch.equal(make(mixup=0.4).kept[:, 0], make(mixup=0.4, cutmix=1.0).kept[:, 0])


@pytest.mark.parametrize("switches", [{}, {"shear": 0.2}, {"spare": 0.1}, {"blur": 0.5}])
def test_later_augmentations_leave_the_numbers_of_the_older_ones_as_they_were(
    switches: dict[str, float],
) -> None:
    augmenter = make(seed=3, **switches)
    augmenter.set_epoch(2)
    expected = np.random.default_rng([3, 2, 1]).random((SIZE, 14), dtype=np.float32)
    np.testing.assert_array_equal(augmenter.uniforms[:, :14].numpy(), expected)
    assert augmenter.uniforms.shape[1] == (46 if switches else 14)


@pytest.mark.parametrize("name", ["contrast", "invert", "background", "blur", "noise"])
def test_a_disturbance_changes_the_images_that_drew_it_and_no_others(name: str) -> None:
    garments = IMAGES.clone()
    garments[:, :, 14:] = 0
    before = make(garments, shift=2, rotate=10.0).batch(ALL)[0]
    augmenter = make(garments, shift=2, rotate=10.0, **{name: 0.5})
    chosen = torch.tensor(drawn(augmenter, name)) < 0.5
    changed = (augmenter.batch(ALL)[0] != before).flatten(1).any(1)
    assert torch.equal(changed, chosen)
    assert 0.25 < chosen.float().mean() < 0.75


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shear", 2.5),
        ("shrink", 1.5),
        ("spare", 1.5),
        ("warp", -0.1),
        ("contrast", 1.5),
        ("invert", -1.0),
        ("background", 2.0),
        ("blur", math.nan),
        ("noise", 1.1),
        ("shift", -1),
        ("shift", 28),
        ("rotate", 181.0),
        ("rotate", -1.0),
        ("scale", 0.95),
        ("erase", 1.5),
        ("erase", -0.1),
        ("erase", math.nan),
        ("erase_area", 0.0),
        ("erase_area", 1.1),
        ("mixup", -1.0),
        ("cutmix", math.inf),
    ],
)
def test_strength_out_of_range_names_the_flag_and_the_value(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^--data\.{name} {value}: must lie between"):
        Augmentation(**{name: value})
