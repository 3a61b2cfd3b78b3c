"""Labelled photographs that are added to the training images: prepared as for prediction, and cached."""

import contextlib
import hashlib
import importlib.metadata
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fmnist import pictures
from fmnist.core.constants import CLASSES, IMAGE_SIZE
from fmnist.core.errors import InputError, quoted
from fmnist.core.files import locked_folder, write_arrays
from fmnist.pictures.labelled import FOREIGN, LabelledFolder, read_labelled_folder
from fmnist.pictures.parallel import OK
from fmnist.pictures.reading import printable

FLAG, CLASSES_FLAG = "--data.photographs", "--data.photograph_classes"
DECODERS = ("numpy", "pillow", "pillow-heif", "scipy")
"""Packages, some of them optional, whose versions decide what can be read and how it comes out."""


@dataclass(frozen=True)
class PhotographSet:
    """The photographs of a labelled folder that could be prepared.

    Attributes:
        folder: Where they are, and which classes are right.
        images: uint8 (P, 28, 28).
        picture: int64 (P,), the position of each among ``folder.files``.
        failures: For each of the other files, its position and why it could not be prepared.
        sha256: A digest of the files' names and bytes.
    """

    folder: LabelledFolder
    images: np.ndarray
    picture: np.ndarray
    failures: dict[int, str]
    sha256: str

    @cached_property
    def targets(self) -> np.ndarray:
        """Float32 (P, 10): 1 for each class that is right; 0.1 everywhere for a foreign garment.

        The even distribution is that of outlier exposure (Hendrycks et al. 2019, arXiv 1812.04606).
        """
        answers = [self.folder.answers[name] for name in self.subfolders]
        targets = np.zeros((len(answers), len(CLASSES)), np.float32)
        for target, right in zip(targets, answers, strict=True):
            target[list(right)] = 1
        targets[~self.known] = 1 / len(CLASSES)
        return targets

    @cached_property
    def known(self) -> np.ndarray:
        """Whether the garment is of a class of the data set, bool (P,)."""
        return np.array([bool(self.folder.answers[name]) for name in self.subfolders])

    @cached_property
    def subfolders(self) -> list[str]:
        """The subfolder of each photograph, P names."""
        return [self.folder.folders[position] for position in self.picture]

    @property
    def left_out(self) -> dict[str, str]:
        """The files that could not be prepared, by their path below the folder, and why."""
        files = self.folder.files
        return {
            printable(files[position].relative_to(self.folder.path)): reason
            for position, reason in self.failures.items()
        }

    def record(self, train: np.ndarray, val: np.ndarray) -> dict[str, Any]:
        """Return what ``run.json`` says, by the positions int64 (n,) of training and of validation."""
        failed = Counter(self.folder.folders[position] for position in self.failures)
        trained, validated = (Counter(self.subfolders[i] for i in part) for part in (train, val))
        return {
            "folder": printable(Path(self.folder.path.resolve().name)),
            "sha256": self.sha256,
            "prepared_sha256": hashlib.sha256(self.images.tobytes()).hexdigest(),
            "answers": {
                name: [CLASSES[number] for number in numbers] or FOREIGN
                for name, numbers in self.folder.answers.items()
            },
            "counts": {
                name: {"train": trained[name], "val": validated[name], "left_out": failed[name]}
                for name in self.folder.answers
            },
            "left_out": self.left_out,
            "left_out_folders": list(self.folder.left_out),
        }


def load_photographs(folder: str, classes: str | None, root: Path) -> PhotographSet:
    """Prepare the photographs of a labelled folder, or read them as they were prepared before.

    They are kept in ``photographs-<digest>.npz`` below ``root``. The digest is of the pictures, of the code
    and weights in ``fmnist.pictures``, and of the versions of ``DECODERS``. Of several processes, one
    prepares and the others wait. Where ``root`` cannot be written, they are prepared each time.
    ``read_labelled_folder`` says what ``folder`` and the YAML file ``classes`` hold.

    Raises:
        InputError: The folder or the mapping is wrong, or no picture can be prepared.
    """
    labelled = read_labelled_folder(Path(folder), Path(classes) if classes else None, FLAG, CLASSES_FLAG)
    sha256 = labelled.sha256()
    cache = root / f"photographs-{_preparation_digest(sha256)}.npz"
    with locked_folder(root) as refusal:
        unwritable = None if refusal is None else f"{quoted(root)}: {refusal.strerror}"
        found = _read_cache(cache, len(labelled.files))
        if found is None:
            images, statuses = found = _prepare(labelled.files)
            if unwritable is None:
                unwritable = _write_cache(cache, images, statuses)
            if unwritable is not None:
                print(f"note: the photographs cannot be kept ({unwritable})", file=sys.stderr)
    images, statuses = found
    done = statuses == OK
    failures = {int(position): str(statuses[position]) for position in np.flatnonzero(~done)}
    if not done.any():
        raise InputError(
            f"{FLAG} {quoted(folder)}: no picture can be prepared; the first, "
            f"{quoted(labelled.files[0].relative_to(labelled.path))}: {statuses[0]}"
        )
    return PhotographSet(labelled, images[done], np.flatnonzero(done), failures, sha256)


def _preparation_digest(sha256: str) -> str:
    """Return a digest of pictures, by their own, and of the code, weights and packages that prepare them."""
    digest = hashlib.sha256(sha256.encode())
    package = Path(pictures.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    for name in DECODERS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            digest.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    return digest.hexdigest()[:16]


def _prepare(files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Return images, uint8 (n, 28, 28), black where a file cannot be prepared, and statuses, str (n,)."""
    start = time.perf_counter()
    prepared = tqdm(
        pictures.prepare_files(files), "prepare photographs", len(files), unit="picture", disable=None
    )
    images, statuses = np.zeros((len(files), IMAGE_SIZE, IMAGE_SIZE), np.uint8), []
    for image, file in zip(images, prepared, strict=True):
        statuses.append(file.status)
        if file.image is not None:
            image[:] = file.image
    seconds = time.perf_counter() - start
    print(f"{len(files):,} photographs prepared in {seconds:.0f} s", file=sys.stderr)
    return images, np.array(statuses)


def _read_cache(path: Path, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what ``_write_cache`` has written, or None where it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            images, statuses = arrays["images"], arrays["statuses"]
    except Exception:  # a damaged archive raises nearly anything
        return None
    return (images, statuses) if len(images) == len(statuses) == count else None


def _write_cache(path: Path, images: np.ndarray, statuses: np.ndarray) -> str | None:
    """Write the cache; return why it cannot be written, if it cannot."""
    try:
        write_arrays(path, {"images": images, "statuses": statuses}, compress=False)
    except OSError as error:
        return f"{quoted(path)}: {error.strerror}"
    return None
