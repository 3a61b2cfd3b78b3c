"""Rendered scenes, and a training on a few of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fmnist.pictures.segmentation import load_weights
from fmnist.segmentation.scenes import Scenes, silhouettes
from fmnist.segmentation.training import intersection_over_union, loss_of, render_scenes, train
from scripts.train_segmentation import main
from tests.synthetic import draw


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(60) % 10
    return draw(labels, np.random.default_rng(0)), labels


def test_silhouettes_have_no_small_holes() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 4:24, 4:24] = 200
    image[0, 6:9, 6:9] = 0  # dark cloth
    image[0, 12:20, 12:20] = 0  # what is seen through a handle
    cover = silhouettes(image)[0]
    assert (cover[6:9, 6:9] == 255).all()
    assert (cover[13:19, 13:19] == 0).all()
    assert not cover[:4].any()


def test_scenes_are_a_function_of_the_seed(images: tuple[np.ndarray, np.ndarray]) -> None:
    first, again, other = (Scenes(*images, seed).batch(4) for seed in (0, 0, 1))
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
    pictures, covers = first
    assert pictures.shape == (4, 3, 96, 96)
    assert covers.shape == (4, 1, 96, 96)
    for values in first:
        assert values.min() >= 0
        assert values.max() <= 1
    assert 0.02 < covers.mean() < 0.8


def test_the_loss_of_a_perfect_mask_is_nearly_nothing() -> None:
    covers = (torch.rand(3, 1, 96, 96, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    assert loss_of(40 * covers - 20, covers) < 1e-3
    assert loss_of(20 - 40 * covers, covers) > 10


def test_a_short_training_finds_more_of_the_garments(images: tuple[np.ndarray, np.ndarray]) -> None:
    scenes = render_scenes(Scenes(*images, 0), 32)
    assert scenes.shape == (32, 4, 96, 96)
    untrained, trained = (train(scenes, steps, 0) for steps in (1, 25))
    assert intersection_over_union(trained, scenes) > intersection_over_union(untrained, scenes) + 0.1


def test_the_script_writes_weights_that_can_be_loaded(
    synthetic_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.npz"
    data = ["--data.root", str(synthetic_root), "--data.val_size", "60"]
    main(["--scenes", "50", "--steps", "2", "--output", str(path), *data])
    assert "intersection over union" in capsys.readouterr().out
    assert load_weights(path)["head.bias"].shape == (4,)


def test_sizes_that_make_no_sense_are_refused(refused: Callable[..., str]) -> None:
    assert "--scenes 0: must be at least 1" in refused(main, "--scenes", 0)
    assert f"--seed {2**32}: must be at most 4,294,967,294" in refused(main, "--seed", 2**32)
