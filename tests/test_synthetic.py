"""The drawn data set: the same for a seed, balanced, and on black."""

from pathlib import Path

import torch

from fmnist.data.source import load
from tests.synthetic import write_synthetic


def test_a_seed_fixes_every_byte(tmp_path: Path) -> None:
    first, again, other = (
        write_synthetic(tmp_path / name, 50, 20, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    for file in first.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes()
    assert (first / "SHA256SUMS").read_text() != (other / "SHA256SUMS").read_text()


def test_images_differ_and_classes_are_balanced_on_black(synthetic_root: Path) -> None:
    data = load(synthetic_root)
    train, test = (
        {image.numpy().tobytes() for image in part} for part in (data.train_images, data.test_images)
    )
    assert len(train) == 600
    assert not train & test
    assert torch.bincount(data.train_labels).tolist() == [60] * 10
    assert 0.2 < (data.train_images == 0).float().mean() < 0.9
    assert (data.train_images[:, 0] == 0).float().mean() > 0.9
