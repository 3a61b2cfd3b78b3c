"""The data set and split that a run was made with."""

from fmnist.core.errors import InputError, quoted
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.data.datamodule import FashionMNISTDataModule


def data_of(run: Run, root: str, download: bool = False) -> FashionMNISTDataModule:
    """Return the data that a run was made with, in its split, without augmentation.

    ``root`` is searched first, see ``source.find``. With ``download``, missing files are downloaded into it.

    Raises:
        InputError: The files are not on this machine, are altered, or are not those of the run.
    """
    if not download and source.find(root) is None:
        raise InputError(f"--data.root {quoted(root)}: holds no data set")
    split = run.split
    if not {"split_seed", "train", "val"} <= split.keys():
        raise InputError(f"{quoted(run.path / 'run.json')}: names no split of the data")
    data = FashionMNISTDataModule(
        root,
        val_size=split["val"],
        train_size=split["train"],
        split_seed=split["split_seed"],
        fold=split["fold"],
    )
    if data.data.sha256 != run.record.get("data_sha256"):
        raise InputError(
            f"--data.root {quoted(root)}: holds other data than {quoted(run.path)} was made with"
        )
    return data
