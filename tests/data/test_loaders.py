"""Batches of a set in memory: the same images whatever the number of processes, each at most once."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fmnist.data.augmentation import Augmentation, Augmenter
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
) -> TrainLoader:
    augmenter = Augmenter(IMAGES, LABELS, Augmentation(shift=1), indices, seed)
    loader = TrainLoader(augmenter, indices, batch_size, seed, rank, world_size)
    loader.sampler.set_epoch(epoch)
    return loader


def order(loader: TrainLoader) -> list[int]:
    return [index for _, _, indices in loader for index in indices.tolist()]


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_processes_together_see_the_batches_of_one(world_size: int) -> None:
    whole = list(train_loader())
    ranks = [list(train_loader(rank, world_size)) for rank in range(world_size)]
    assert {len(batches) for batches in ranks} == {len(whole)} == {5}
    for step, (images, labels, indices) in enumerate(whole):
        parts = [batches[step] for batches in ranks]
        assert {len(part[2]) for part in parts} == {20 // world_size}
        for joined, expected in zip(zip(*parts, strict=True), (images, labels, indices), strict=True):
            rows = torch.stack(joined, 1).flatten(0, 1)  # the processes take turns
            assert torch.equal(rows, expected)


@pytest.mark.parametrize("done", [0, 2, 5])
def test_an_epoch_continues_where_it_stopped(done: int) -> None:
    whole = train_loader(epoch=3)
    batches = iter(whole)
    for _ in range(done):
        next(batches)
    again = train_loader(epoch=3)
    again.load_state_dict(whole.state_dict())
    assert order(again) == order(train_loader(epoch=3))[20 * done :]
    assert order(again) == order(train_loader(epoch=3))  # once only
    other = train_loader(epoch=4)
    other.load_state_dict(whole.state_dict())
    assert order(other) == order(train_loader(epoch=4))


def test_an_epoch_holds_every_training_image_at_most_once() -> None:
    loader = train_loader()
    seen = order(loader)
    assert len(seen) == len(set(seen)) == len(loader) * 20 == 100
    assert set(seen) <= set(TRAIN.tolist())


def test_the_dropped_image_changes_with_the_epoch() -> None:
    dropped = [(set(TRAIN.tolist()) - set(order(train_loader(epoch=epoch)))).pop() for epoch in range(4)]
    assert len(set(dropped)) > 1


def test_order_is_a_function_of_seed_and_epoch() -> None:
    loader = train_loader()
    first = order(loader)
    assert order(loader) == first
    loader.sampler.set_epoch(2)
    assert order(loader) == order(train_loader(epoch=2)) != first
    assert order(train_loader(seed=1)) != first
    assert first != sorted(first)


def test_set_epoch_changes_the_augmentation_too() -> None:
    first, second = (train_loader(epoch=epoch).augmenter.batch(TRAIN)[0] for epoch in (0, 1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("world_size", "expected"), [(1, 7), (2, 6), (4, 4)])
def test_a_set_smaller_than_a_batch_is_one_batch(world_size: int, expected: int) -> None:
    loaders = [train_loader(rank, world_size, indices=torch.arange(7)) for rank in range(world_size)]
    assert [len(loader) for loader in loaders] == [1] * world_size
    seen = [index for loader in loaders for index in order(loader)]
    assert len(seen) == len(set(seen)) == expected


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("number", [7, 101, 1000])
def test_evaluation_sees_every_image_once(number: int, world_size: int) -> None:
    images = torch.arange(number).remainder(256).to(torch.uint8)[:, None, None].expand(-1, 28, 28)
    labels = torch.arange(number) % 10
    wanted = torch.arange(0, number) if number != 101 else torch.arange(1, number, 2)
    loaders = [EvalLoader(images, labels, wanted, 50, rank, world_size) for rank in range(world_size)]
    assert {len(loader) for loader in loaders} == {math.ceil(len(wanted) / 50)}
    seen = []
    for loader in loaders:
        batches = list(loader)
        assert len(batches) == len(loader)
        for pixels, classes, indices in batches:
            assert len(indices) <= math.ceil(50 / world_size)
            assert pixels.shape == (len(indices), 1, 28, 28)
            assert pixels.dtype == torch.float32
            assert torch.equal(pixels[:, 0], images[indices] / 255)
            assert torch.equal(classes, labels[indices])
            seen += indices.tolist()
    assert sorted(seen) == wanted.tolist()


@pytest.mark.parametrize("wanted", [[5, 3, 9, 4], []])
def test_evaluation_in_one_process_keeps_the_order(wanted: list[int]) -> None:
    loader = EvalLoader(IMAGES, LABELS, torch.tensor(wanted, dtype=torch.int64), 3)
    assert len(loader) == math.ceil(len(wanted) / 3)
    assert [index for _, _, indices in loader for index in indices.tolist()] == wanted
