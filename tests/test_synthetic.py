"""The drawn data set: the same for a seed, balanced, on black, and learnable."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from fmnist.data.source import load
from tests.synthetic import write_synthetic


def test_a_seed_fixes_every_byte(tmp_path: Path) -> None:
    first, again, other = (
        write_synthetic(tmp_path / name, 50, 20, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    for file in first.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes()
    assert (first / "SHA256SUMS").read_text() != (other / "SHA256SUMS").read_text()


@pytest.mark.parametrize("size", [100, 600])
def test_images_differ_and_classes_are_balanced_on_black(tmp_path: Path, size: int) -> None:
    data = load(write_synthetic(tmp_path, size, 100))
    train, test = (
        {image.numpy().tobytes() for image in part} for part in (data.train_images, data.test_images)
    )
    assert len(train) == size
    assert not train & test
    assert torch.bincount(data.train_labels).tolist() == [size // 10] * 10
    assert 0.2 < (data.train_images == 0).float().mean() < 0.9
    assert (data.train_images[:, 0] == 0).float().mean() > 0.9


def test_a_small_network_learns_it(tmp_path: Path) -> None:
    data = load(write_synthetic(tmp_path))
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
    )
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(10):
        for batch in torch.randperm(2000).split(100):
            optimizer.zero_grad()
            F.cross_entropy(network(data.train_images[batch] / 255), data.train_labels[batch]).backward()
            optimizer.step()
    accuracy = (network(data.test_images / 255).argmax(1) == data.test_labels).float().mean()
    assert accuracy > 0.9
