"""Batches of a set in memory: the same images whatever the number of processes, each at most once."""

import math
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import pytest
import torch
from torch import Tensor

from fmnist.data.augmentation import Augmentation
from fmnist.data.augmenter import Augmenter
from fmnist.data.loaders import EvalLoader, TrainLoader

SIZE = 103
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (SIZE, 28, 28), np.uint8))
LABELS = torch.arange(SIZE) % 10
TRAIN = torch.arange(2, SIZE)  # the file holds images that are not in the training set


def train_loader(
    rank: int = 0,
    world_size: int = 1,
    batch_size: int = 20,
    indices: Tensor = TRAIN,
    seed: int = 0,
    epoch: int = 0,
    photographs: int = 0,
) -> TrainLoader:
    images, labels = IMAGES, LABELS
    if photographs:
        images, labels = torch.cat([images, IMAGES[:7] // 2]), torch.eye(10)[[*LABELS, *LABELS[:7]]]
    added = len(images) - SIZE
    augmenter = Augmenter(images, labels, Augmentation(shift=1), indices, seed, added, copies=20)
    loader = TrainLoader(augmenter, indices, batch_size, seed, rank, world_size, photographs)
    loader.sampler.set_epoch(epoch)
    return loader


def order(loader: TrainLoader) -> list[int]:
    return [index for _, _, indices, *_ in loader for index in indices.tolist()]


@pytest.mark.parametrize(("photographs", "steps"), [(0, 5), (7, 7)])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_processes_together_see_the_batches_of_one(world_size: int, photographs: int, steps: int) -> None:
    whole = list(train_loader(photographs=photographs))
    ranks = [list(train_loader(rank, world_size, photographs=photographs)) for rank in range(world_size)]
    assert {len(batches) for batches in ranks} == {len(whole)} == {steps}
    for step, (images, labels, indices, *classes) in enumerate(whole):
        parts = [batches[step] for batches in ranks]
        assert {len(part[2]) for part in parts} == {20 // world_size}
        if photographs:
            shares = [part[3].tolist() for part in parts]
            assert classes[0].tolist() == [c for turn in zip_longest(*shares) for c in turn if c is not None]
        parts = [part[:3] for part in parts]
        for joined, expected in zip(zip(*parts, strict=True), (images, labels, indices), strict=True):
            rows = torch.stack(joined, 1).flatten(0, 1)  # the processes take turns
            assert torch.equal(rows, expected)


@pytest.mark.parametrize("photographs", [0, 7])
@pytest.mark.parametrize("done", [0, 2, 5])
def test_an_epoch_continues_where_it_stopped(done: int, photographs: int) -> None:
    whole = train_loader(epoch=3, photographs=photographs)
    batches = iter(whole)
    for _ in range(done):
        next(batches)
    again = train_loader(epoch=3, photographs=photographs)
    again.load_state_dict(whole.state_dict())
    expected = order(train_loader(epoch=3, photographs=photographs))
    assert order(again) == expected[20 * done :]
    assert order(again) == expected  # once only
    other = train_loader(epoch=4, photographs=photographs)
    other.load_state_dict(whole.state_dict())
    assert order(other) == order(train_loader(epoch=4, photographs=photographs)) != expected


def test_order_is_a_function_of_seed_and_epoch() -> None:
    loader = train_loader()
    first = order(loader)
    assert len(first) == len(set(first)) == len(loader) * 20 == 100
    assert set(first) < set(TRAIN.tolist())
    assert order(loader) == first != sorted(first)
    loader.sampler.set_epoch(2)
    assert order(loader) == order(train_loader(epoch=2)) != first
    assert order(train_loader(seed=1)) != first


@pytest.mark.parametrize(
    ("world_size", "photographs", "expected"), [(1, 0, 7), (2, 0, 6), (4, 0, 4), (2, 5, 12), (4, 7, 12)]
)
def test_a_set_smaller_than_a_batch_is_one_batch(world_size: int, photographs: int, expected: int) -> None:
    loaders = [
        train_loader(rank, world_size, indices=torch.arange(7), photographs=photographs)
        for rank in range(world_size)
    ]
    assert [len(loader) for loader in loaders] == [1] * world_size
    seen = [index for loader in loaders for index in order(loader)]
    assert len(seen) == len(set(seen)) == expected


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("wanted", [range(103), range(1, 103, 2), [5, 3, 9, 4], []])
def test_evaluation_sees_every_image_once(wanted: Sequence[int], world_size: int) -> None:
    indices = torch.tensor(wanted, dtype=torch.int64)
    loaders = [EvalLoader(IMAGES, LABELS, indices, 20, rank, world_size) for rank in range(world_size)]
    seen = []
    for rank, loader in enumerate(loaders):
        batches = list(loader)
        assert len(batches) == len(loader) == math.ceil(len(wanted) / 20)
        for images, labels, chosen in batches:
            assert len(chosen) <= math.ceil(20 / world_size)
            assert images.dtype == torch.float32
            assert torch.equal(images[:, 0], IMAGES[chosen] / 255)
            assert torch.equal(labels, LABELS[chosen])
        in_order = [index for _, _, chosen in batches for index in chosen.tolist()]
        assert in_order == list(wanted[rank::world_size])
        seen += in_order
    assert sorted(seen) == sorted(wanted)
