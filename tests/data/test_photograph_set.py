"""Labelled photographs for training: prepared once, kept in a cache, and split from validation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.data import photograph_set
from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.data.photograph_set import PhotographSet, load_photographs
from tests.synthetic import write_photographs

COUNTS = {"Trouser": 4, "knit": 6, "foreign": 4}  # with two more that fail few enough for one process
MAPPING = "knit: [Pullover, Shirt]\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen photographs, one blank picture and one damaged file."""
    folder = write_photographs(tmp_path_factory.mktemp("photographs"), COUNTS)
    Image.new("RGB", (60, 80), "white").save(folder / "knit" / "blank.png")
    (folder / "foreign" / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (folder.parent / "mapping.yaml").write_text(MAPPING)
    return folder


def load(folder: Path, root: Path) -> PhotographSet:
    return load_photographs(str(folder), str(folder.parent / "mapping.yaml"), root)


def data_module(folder: Path, root: Path, **arguments: object) -> FashionMNISTDataModule:
    classes = str(folder.parent / "mapping.yaml")
    return FashionMNISTDataModule(
        str(root), 50, val_size=100, photographs=str(folder), photograph_classes=classes, **arguments
    )  # type: ignore[arg-type]


def test_targets_say_which_classes_are_right(folder: Path, tmp_path: Path) -> None:
    found = load(folder, tmp_path)
    by_folder = {name: found.targets[[each == name for each in found.subfolders]] for name in COUNTS}
    expected = {"Trouser": [0, 1, 0, 0, 0, 0, 0, 0, 0, 0], "knit": [0, 0, 1, 0, 0, 0, 1, 0, 0, 0]}
    for name, count in COUNTS.items():
        row = np.array(expected.get(name, [0.1] * 10), np.float32)
        np.testing.assert_array_equal(by_folder[name], np.tile(row, (count, 1)))
    assert found.known.sum() == 10
    with Image.open(folder / "Trouser" / "0.png") as picture:
        np.testing.assert_array_equal(found.images[found.subfolders.index("Trouser")], picture)
    assert found.left_out.keys() == {"knit/blank.png", "foreign/damaged.jpg"}
    assert found.left_out["knit/blank.png"] == "nothing found"


def test_they_are_prepared_once_and_again_if_anything_changes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepares() -> bool:
        load(folder, tmp_path)
        return "16 photographs prepared" in capsys.readouterr().err

    assert (prepares(), prepares()) == (True, False)
    (cache,) = tmp_path.glob("photographs-*.npz")
    cache.write_bytes(cache.read_bytes()[:-50])
    assert (prepares(), prepares()) == (True, False)
    monkeypatch.setattr(photograph_set.importlib.metadata, "version", lambda name: "0")
    assert (prepares(), prepares()) == (True, False)
    picture = folder / "knit" / "3.png"
    before = picture.read_bytes()
    try:
        Image.new("L", (28, 28), 0).save(picture)
        assert prepares()
    finally:
        picture.write_bytes(before)
    assert not prepares()


def test_where_nothing_can_be_kept_they_are_prepared_each_time(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "file"
    root.touch()
    for _ in range(2):
        assert len(load(folder, root).images) == 14
        printed = capsys.readouterr().err
        assert "16 photographs prepared" in printed
        assert f"note: the photographs cannot be kept ({root}" in printed


def test_pictures_that_all_fail_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photographs" / "Bag").mkdir(parents=True)
    (tmp_path / "photographs" / "Bag" / "1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^--data\.photographs .*: no picture can be prepared; the first, "):
        load_photographs(str(tmp_path / "photographs"), None, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_validation_is_stratified_by_subfolder(folder: Path, synthetic_root: Path, share: float) -> None:
    data = data_module(folder, synthetic_root, photograph_val=share)
    train, val = data.photograph_indices
    assert sorted([*train, *val]) == list(range(14))
    assert len(val) == min(round(14 * share), 13)
    assert data.photographs is not None
    assert data.photograph_record is not None
    for name, count in COUNTS.items():
        found = data.photograph_record["counts"][name]
        assert abs(found["val"] - share * count) < 1.5
        assert (found["train"] + found["val"], found["left_out"]) == (count, int(name != "Trouser"))
    loaders = data.val_dataloader()
    assert isinstance(loaders, list) == (share > 0)
    if share == 0.3:
        batches = list(loaders[1])  # type: ignore[index]
        shown = torch.cat([indices for _, _, indices in batches])
        assert shown.tolist() == [i for i in val if data.photographs.known[i]]
        assert torch.cat([targets for _, targets, _ in batches]).shape == (len(shown), 10)
    assert not set(val) & set(data_module(folder, synthetic_root, photograph_val=share).photograph_indices[0])


def test_batches_hold_both_and_never_a_validation_image(folder: Path, synthetic_root: Path) -> None:
    settings = Augmentation(shift=2, flip=True, noise=1.0)
    plain = FashionMNISTDataModule(str(synthetic_root), 30, val_size=100, augmentation=settings, seed=3)
    data = data_module(folder, synthetic_root, augmentation=settings, seed=3)
    loaders = plain.train_dataloader(), data.train_dataloader()
    assert len(loaders[0]) == len(loaders[1]) == 500 // 30
    train, _ = data.photograph_indices
    shown: list[int] = []
    assert data.photographs is not None
    for loader in loaders:
        loader.sampler.set_epoch(2)
    for (images, labels, indices), (mixed, targets, chosen, classes) in zip(*loaders, strict=True):
        # the images of the data set: the same, in the same order, with the same random numbers
        assert torch.equal(chosen[:30], indices)
        assert torch.equal(mixed[:30], images)
        assert torch.equal(classes, labels)
        assert torch.equal(targets[:30], torch.nn.functional.one_hot(labels, 10).float())
        positions = (chosen[30:] - 600) % len(train)
        assert torch.equal(targets[30:], torch.from_numpy(data.photographs.targets[train[positions]]))
        shown += chosen[30:].tolist()
    assert len(shown) == len(set(shown)) == 16 * 20
    times = np.bincount([(index - 600) % len(train) for index in shown], minlength=len(train))
    assert np.ptp(times) <= 1  # all of them, equally often


def test_each_time_in_an_epoch_a_photograph_looks_different(folder: Path, synthetic_root: Path) -> None:
    data = data_module(folder, synthetic_root, augmentation=Augmentation(noise=1.0, blur=1.0))
    augmenter = data.train_dataloader().augmenter
    same = torch.tensor([600, 600, 600 + len(data.photograph_indices[0])])
    first, again, other = augmenter.batch(same)[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_photographs_are_neither_mixed_nor_mixed_into_others(
    folder: Path, synthetic_root: Path, kind: str
) -> None:
    data = data_module(folder, synthetic_root, augmentation=Augmentation(**{kind: 1.0}))  # type: ignore[arg-type]
    loader = data.train_dataloader()
    assert loader.augmenter.partners.max() < 600
    images, targets, indices, classes = next(iter(loader))
    assert data.photographs is not None
    train = data.photograph_indices[0]
    originals = data.photographs.images[train[(indices[30:] - 600) % len(train)]]
    assert torch.equal(images[30:, 0], torch.from_numpy(originals) / 255)
    assert set(targets[30:].flatten().tolist()) <= {0.0, 1.0, np.float32(0.1).item()}
    torch.testing.assert_close(targets[:30].sum(1), torch.ones(30))
    assert ((targets[:30] > 0).sum(1) == 2).any()
    assert torch.equal(classes, targets[:30].argmax(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"photograph_share": 0}, "--data.photograph_share 0: must be above 0 and below 1"),
        ({"photograph_share": 1.0}, "--data.photograph_share 1.0: must be above 0 and below 1"),
        ({"photograph_share": float("nan")}, "--data.photograph_share nan: must be"),
        ({"photograph_val": 1.0}, "--data.photograph_val 1.0: must be at least 0 and below 1"),
        ({"photograph_val": -0.1}, "--data.photograph_val -0.1: must be"),
        ({"batch_size": 1}, "--data.batch_size 1: must leave room for photographs and other images"),
        ({"batch_size": 4, "photograph_share": 0.9}, "--data.batch_size 4: must leave room"),
        ({"photographs": None, "photograph_share": 0.3}, "--data.photograph_share 0.3: needs --data.photog"),
        ({"photographs": None, "photograph_val": 0.0}, "--data.photograph_val 0.0: needs --data.photographs"),
        ({"photographs": None, "photograph_classes": "m.yaml"}, "--data.photograph_classes m.yaml: needs"),
    ],
)
def test_wrong_values_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        FashionMNISTDataModule(**{"photographs": "folder", **arguments})  # type: ignore[arg-type]
    assert str(refusal.value).startswith(message)


def test_every_process_needs_an_image_of_the_data_set(folder: Path, synthetic_root: Path) -> None:
    data = data_module(folder, synthetic_root, photograph_share=0.9)
    data.check_processes(5)
    with pytest.raises(InputError, match=r"^--data\.photograph_share 0\.9: leaves 5 other images of"):
        data.check_processes(10)
