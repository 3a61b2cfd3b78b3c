"""What lies behind a garment."""

import numpy as np
import pytest

from fmnist.robustness import backgrounds
from fmnist.robustness.scenes import BACKGROUNDS

SHAPE = (210, 300)


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_a_background_is_a_picture_that_its_seed_decides(name: str) -> None:
    for seed in range(5):
        scene = backgrounds.draw(name, SHAPE, np.random.default_rng(seed))
        assert (scene.dtype, scene.shape) == (np.float32, (*SHAPE, 3))
        assert scene.min() >= 0
        assert scene.max() <= 1
        np.testing.assert_array_equal(scene, backgrounds.draw(name, SHAPE, np.random.default_rng(seed)))
        assert not np.array_equal(scene, backgrounds.draw(name, SHAPE, np.random.default_rng(seed + 1)))


def detail(name: str) -> float:
    """Return the mean step between neighbouring pixels, over 20 pictures."""
    scenes = [backgrounds.draw(name, SHAPE, np.random.default_rng(seed)) for seed in range(20)]
    return float(np.mean([np.abs(np.diff(scene, axis=1)).mean() for scene in scenes]))


def spread(name: str) -> float:
    """Return the mean standard deviation of colours, over 20 pictures."""
    scenes = [backgrounds.draw(name, SHAPE, np.random.default_rng(seed)) for seed in range(20)]
    return float(np.mean([scene.std((0, 1)).mean() for scene in scenes]))


def test_each_kind_is_what_it_is_called() -> None:
    assert spread("plain") < 0.03 < spread("gradient")
    assert max(detail("plain"), detail("gradient")) < 0.004 < min(detail("striped"), detail("cluttered"))
    assert detail("noisy") > 0.02
    assert spread("cluttered") > 0.15
