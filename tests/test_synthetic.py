import time

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fmnist.data.source import load
from tests.synthetic import write_synthetic


def test_same_seed_same_bytes(tmp_path):
    first, again, other = (
        write_synthetic(tmp_path / name, 50, 20, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    for file in first.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes()
    assert (first / "SHA256SUMS").read_text() != (other / "SHA256SUMS").read_text()


def test_training_and_test_images_differ(tmp_path):
    data = load(write_synthetic(tmp_path, 100, 100))
    train = {image.numpy().tobytes() for image in data.train_images}
    assert len(train) == 100
    assert not train & {image.numpy().tobytes() for image in data.test_images}


@pytest.mark.parametrize("size", [600, 1000])
def test_labels_are_balanced(tmp_path, size):
    data = load(write_synthetic(tmp_path, size, 10))
    np.testing.assert_array_equal(torch.bincount(data.train_labels), [size // 10] * 10)


def test_background_is_black(synthetic_root):
    images = load(synthetic_root).train_images
    assert 0.2 < (images == 0).float().mean() < 0.9
    assert (images[:, 0] == 0).float().mean() > 0.9


def test_fast(tmp_path):
    start = time.process_time()
    write_synthetic(tmp_path)
    assert time.process_time() - start < 2


def test_learnable(tmp_path):
    data = load(write_synthetic(tmp_path))
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
    )
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(10):
        for batch in torch.randperm(2000).split(100):
            optimizer.zero_grad()
            F.cross_entropy(net(data.train_images[batch] / 255), data.train_labels[batch]).backward()
            optimizer.step()
    accuracy = (net(data.test_images / 255).argmax(1) == data.test_labels).float().mean()
    assert accuracy > 0.9
