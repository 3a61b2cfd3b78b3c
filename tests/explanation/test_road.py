"""Imputation against the sparse solver of the library grad-cam."""

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer

from fmnist.explanation.attribution import to_door
from fmnist.explanation.road import NOISE, impute


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_imputed_pixels_solve_the_papers_system(share: float, pixels: np.ndarray) -> None:
    images = to_door(pixels[:4])
    removed = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) < share
    removed[1, :, 5:20, 8:28] = True  # a hole, up to the border
    expected = [
        NoisyLinearImputer(noise=0)(image, 1 - hole.int())
        for image, hole in zip(images, removed[:, 0], strict=True)
    ]
    torch.testing.assert_close(impute(images, removed), torch.stack(expected), atol=1e-3, rtol=0)


def test_what_is_not_removed_stays(pixels: np.ndarray) -> None:
    images = to_door(pixels[:2])
    removed = torch.zeros_like(images, dtype=torch.bool)
    assert torch.equal(impute(images, removed), images)
    removed[:, :, 10:15, 3:9] = True
    imputed = impute(images, removed, torch.Generator().manual_seed(0))
    assert torch.equal(imputed[~removed], images[~removed])


def test_a_constant_image_is_imputed_by_its_constant() -> None:
    images = torch.full((1, 1, 28, 28), 0.7)
    removed = torch.ones_like(images, dtype=torch.bool)
    removed[..., 3, 4] = False
    torch.testing.assert_close(impute(images, removed), images, atol=1e-3, rtol=0)


def test_the_noise_is_small_and_repeatable() -> None:
    images = torch.full((50, 1, 28, 28), 0.5)
    removed = torch.zeros_like(images, dtype=torch.bool)
    removed[:, :, ::3, ::3] = True
    once, again = (impute(images, removed, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(once, again)
    assert (once - images)[removed].std().item() == pytest.approx(NOISE, rel=0.05)
