"""The four Fashion-MNIST files: find or download, verify and read them.

Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms", arXiv 1708.07747.
"""

import argparse
import gzip
import hashlib
import logging
import math
import os
import shutil
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fmnist.core.constants import CLASSES, IMAGE_SIZE
from fmnist.core.errors import InputError, exits_cleanly, quoted
from fmnist.core.files import locked_folder
from fmnist.data.download import DEBIAN_FOLDER, DEBIAN_PACKAGE, MIRRORS, download

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PUBLISHED = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""SHA-256 of each published file, of its decompressed bytes: gzip bytes differ between distributors."""

MNIST = {
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""SHA-256 of MNIST's files, which have the same names and shapes and are easily confused."""

SUMS = "SHA256SUMS"  # a folder with this file is verified against it, not against PUBLISHED
DOWNLOADING = ".download"  # folder of downloaded files that are not verified yet

WAYS = (
    f"Get the files by `make data` or `apt install {DEBIAN_PACKAGE}`, or name their folder: --data.root DIR."
)

logger = logging.getLogger(__name__)


def find(root: str | Path = "data") -> Path | None:
    """Look for the four files without downloading or verifying them.

    Args:
        root: Folder that is searched first; then ``$FMNIST_DATA``, then that of Debian's package.

    Returns:
        The folder that holds them, or None.

    Raises:
        InputError: The set in ``root`` or ``$FMNIST_DATA`` is incomplete.
    """
    root = Path(root)
    names = _names(root)
    is_partial = DOWNLOADING in names and _missing(names)  # a download goes on, or was killed
    if _begun(names) and not is_partial:
        return _complete(root, names)
    if chosen := os.environ.get("FMNIST_DATA"):
        return _complete(Path(chosen), _names(Path(chosen)), named="$FMNIST_DATA ")
    return DEBIAN_FOLDER if _missing(_names(DEBIAN_FOLDER)) is None else None


def fetch(root: str | Path = "data") -> Path:
    """Make sure that the four files are on this machine; download them into ``root`` if they are not.

    Of several processes that start at once one downloads, and the others wait.

    Returns:
        The folder that holds them, see `find`.

    Raises:
        InputError: A set is incomplete, ``root`` cannot be written, or nothing can be downloaded.
    """
    root = Path(root)
    if folder := find(root):
        return folder
    with locked_folder(root) as refusal:
        if refusal is not None:
            raise InputError(f"{quoted(root)}: cannot be written ({refusal.strerror}). {WAYS}")
        # a process that was killed has left it, and perhaps not moved all files out of it
        names = _names(root)
        shutil.rmtree(root / DOWNLOADING, ignore_errors=True)
        if DOWNLOADING in names and _begun(names) and _missing(names):
            return _download(root)
        return find(root) or _download(root)


def verified(folder: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Read the four files of a folder and check every byte: 0.4 s to decompress, 0.04 s to hash.

    Returns:
        The decompressed bytes and their SHA-256, both by file name without ``.gz``.

    Raises:
        InputError: A file is unreadable, not gzip, truncated, altered, or MNIST's.
    """
    expected = _sums(folder)
    names = _names(folder)
    files = {}
    for name in PUBLISHED:
        path = folder / (name if name in names else f"{name}.gz")
        files[name] = _read(path)
        _verify(path, files[name], expected[name])
    return files, expected


def load(root: str | Path = "data") -> "FashionMNIST":
    """Find or download the data set, see ``fetch``, verify it and read it.

    Raises:
        InputError: The files cannot be downloaded, or are not what they should be.
    """
    folder = fetch(root)
    files, digests = verified(folder)
    train = _part(folder, "train", files)
    test = _part(folder, "t10k", files)
    return FashionMNIST(*train, *test, sha256=digests)


def training_size(root: str | Path = "data") -> int:
    """Return the number of training images, without PyTorch.

    Raises:
        InputError: The files cannot be downloaded, or are not what they should be.
    """
    folder = fetch(root)
    files, _ = verified(folder)
    return len(_parse(folder, "train-labels-idx1-ubyte", files))


def _part(folder: Path, part: str, files: dict[str, bytes]) -> "tuple[Tensor, Tensor]":
    """Return uint8 images (N, 28, 28) and int64 labels (N,) of one part."""
    import torch

    images = _parse(folder, f"{part}-images-idx3-ubyte", files)
    labels = _parse(folder, f"{part}-labels-idx1-ubyte", files)
    if labels.ndim != 1 or labels.size == 0 or images.shape != (labels.size, IMAGE_SIZE, IMAGE_SIZE):
        shapes = f"images {images.shape} and labels {labels.shape}"
        raise InputError(
            f"{quoted(folder)}: {part} {shapes}, must be (N, {IMAGE_SIZE}, {IMAGE_SIZE}) and (N,)"
        )
    if labels.max() >= len(CLASSES):
        raise InputError(f"{quoted(folder)}: {part} label {labels.max()}, must lie in 0..{len(CLASSES) - 1}")
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype("int64"))


def _parse(folder: Path, name: str, files: dict[str, bytes]) -> "np.ndarray":
    """Return the uint8 array of an idx file; read-only, because it shares the memory of ``files``."""
    import numpy as np

    data = files[name]
    shape = _shape(data)
    if shape is None:
        start = f"{len(data)} bytes that begin with {data[:4].hex()}"
        raise InputError(f"{quoted(folder)}: {name} is no idx file of unsigned bytes: {start}")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def _shape(data: bytes) -> tuple[int, ...] | None:
    """Return the shape of a complete idx file of unsigned bytes, or None for anything else."""
    if data[:3] != b"\0\0\x08" or not (dimensions := data[3:4]) or len(data) < 4 + 4 * dimensions[0]:
        return None
    shape = struct.unpack(f">{dimensions[0]}I", data[4 : 4 + 4 * dimensions[0]])
    return shape if shape and len(data) == 4 + 4 * len(shape) + math.prod(shape) else None


def _names(folder: Path) -> set[str]:
    """Return the names in a folder: none where there is no such folder."""
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise InputError(f"{quoted(folder)}: cannot be read ({error.strerror}). {WAYS}") from None


def _begun(names: set[str]) -> bool:
    """Return whether a folder holds any file of a data set."""
    return bool(names & {SUMS, *PUBLISHED, *(f"{name}.gz" for name in PUBLISHED)})


def _missing(names: set[str]) -> str | None:
    return next((name for name in PUBLISHED if not names & {name, f"{name}.gz"}), None)


def _complete(folder: Path, names: set[str], named: str = "") -> Path:
    if name := _missing(names):
        raise InputError(f"{named}{quoted(folder)}: {name}, raw or .gz, is missing. {WAYS}")
    return folder


def _sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 that each file of a folder must have: its own, or the published ones."""
    path = folder / SUMS
    if SUMS not in _names(folder):
        return PUBLISHED
    pairs = [line.split() for line in _read(path).decode(errors="replace").splitlines()]
    sums = {pair[1].lstrip("*"): pair[0].lower() for pair in pairs if len(pair) == 2}
    if absent := sorted(PUBLISHED.keys() - sums.keys()):
        raise InputError(
            f"{quoted(path)}: no line for {absent[0]}; it must list the four names without .gz, by "
            "`sha256sum`"
        )
    logger.warning("%s: verified against its own %s: not the published Fashion-MNIST", folder, SUMS)
    return {name: sums[name] for name in PUBLISHED}


def _read(path: Path) -> bytes:
    """Return the bytes of a file, decompressed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{quoted(path)}: cannot be read ({error.strerror}). {WAYS}") from None
    if path.suffix != ".gz":
        return data
    if data[:2] != b"\x1f\x8b":
        raise InputError(
            f"{quoted(path)}: not a gzip file, it begins with {data[:4].hex() or 'nothing'}. {WAYS}"
        )
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"{quoted(path)}: truncated or altered, it cannot be decompressed ({error}). {WAYS}"
        ) from None


def _verify(path: Path, data: bytes, expected: str) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest == expected:
        return
    if digest in MNIST:
        raise InputError(f"{quoted(path)}: this is MNIST, not Fashion-MNIST. {WAYS}")
    difference = f"SHA-256 {digest[:12]} of {len(data):,} bytes, expected {expected[:12]}"
    if expected in PUBLISHED.values() and _shape(data):
        raise InputError(
            f"{quoted(path)}: holds other data than Fashion-MNIST ({difference}), and only Fashion-MNIST is "
            f"read. {WAYS}"
        )
    raise InputError(f"{quoted(path)}: truncated or altered, {difference}. {WAYS}")


def _download(root: Path) -> Path:
    """Download into ``root`` from the first source that has the right files."""
    mirror = os.environ.get("FMNIST_MIRROR")
    partial = root / DOWNLOADING
    failures = []
    for source in (mirror,) if mirror else (*MIRRORS, DEBIAN_PACKAGE):
        try:
            partial.mkdir()
            paths = download(source, list(PUBLISHED), partial)
            for path in paths:
                _verify(path, _read(path), PUBLISHED[path.stem])
            for path in paths:
                path.replace(root / path.name)
            return root
        except (OSError, ValueError, InputError) as error:
            failures.append(f"{source}: {str(error).removesuffix(WAYS).strip()}")
            logger.warning("no data from %s", failures[-1])
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    raise InputError(
        f"{quoted(root)}: no data here, and none can be downloaded ({'; '.join(failures)}). {WAYS}"
    )


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Fetch and verify the data set from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m fmnist.data.source",
        description="Find or download Fashion-MNIST, verify every byte, and print the folder of the files.",
    )
    what = "folder that is searched first, and downloaded to"
    parser.add_argument("--root", default="data", metavar="DIR", help=what)
    folder = fetch(parser.parse_args(args).root)
    verified(folder)
    print(f"{quoted(folder)}: all four files are verified")


class FashionMNIST(NamedTuple):
    """The data set in memory.

    Attributes:
        train_images: uint8 (60000, 28, 28).
        train_labels: int64 (60000,), 0..9.
        test_images: uint8 (10000, 28, 28).
        test_labels: int64 (10000,), 0..9.
        sha256: File name without ``.gz`` to the SHA-256 of its decompressed bytes.
    """

    train_images: "Tensor"
    train_labels: "Tensor"
    test_images: "Tensor"
    test_labels: "Tensor"
    sha256: dict[str, str]


if __name__ == "__main__":
    main()
