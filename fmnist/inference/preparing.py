"""Picture files to images, in processes of their own that load no network."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.pictures import prepare, read_picture, save_stages
from fmnist.pictures.decoding import printable
from fmnist.pictures.workers import picture_workers

OK = "ok"
THUMBNAIL = 140  # pixels of the longest side
CHUNK = 8  # files that a process takes at once
FEW = 16  # files that are done sooner than processes start

Task = tuple[int, Path, bool]
"""The number of a file, its path, and whether a small copy of the picture is wanted."""


@dataclass(frozen=True)
class Picture:
    """What became of a picture file.

    Attributes:
        file: Its path, in printable characters.
        status: ``ok``, or why there is no image.
        flags: What is amiss with the picture.
        image: uint8 (28, 28).
        thumbnail: The picture itself, small, uint8 (H, W, 3), for the first ones.
    """

    file: str
    status: str
    flags: tuple[str, ...] = ()
    image: np.ndarray | None = None
    thumbnail: np.ndarray | None = None


def prepare_files(
    paths: Sequence[Path],
    cut_out: str = "border",
    stages: Path | None = None,
    thumbnails: int = 0,
    processes: int | None = None,
) -> Iterator[Picture]:
    """Prepare picture files, in their order; one that cannot be read stops no other.

    Args:
        paths: The files.
        cut_out: How the garment is cut out, see ``fmnist.pictures.prepare``.
        stages: Folder for the steps of every preparation.
        thumbnails: How many of the first that are done keep a small copy of the picture.
        processes: How many work at once; one a core by default. A few files are done in this one.

    Raises:
        InputError: A process was killed.
    """
    numbered = [(number, path, thumbnails > 0) for number, path in enumerate(paths)]
    work = partial(prepare_file, cut_out=cut_out, stages=stages)
    done = 0
    for picture in _each(work, numbered, processes):
        done += picture.status == OK
        yield picture if done <= thumbnails else replace(picture, thumbnail=None)


def _each(work: Callable[[Task], Picture], tasks: Sequence[Task], processes: int | None) -> Iterator[Picture]:
    """Do all tasks, in their order, in other processes where that is worth it."""
    if len(tasks) <= FEW or processes == 1:
        yield from map(work, tasks)
        return
    with picture_workers(processes) as pool:
        try:
            yield from pool.map(work, tasks, chunksize=CHUNK)
        except BrokenProcessPool:
            raise InputError(
                "a process that prepares pictures was killed (out of memory?); fewer pictures at once may do"
            ) from None


def prepare_file(task: Task, cut_out: str, stages: Path | None) -> Picture:
    """Prepare one file: its number, its path, and whether a small copy is wanted."""
    number, path, wanted = task
    file = printable(path)
    steps: dict[str, np.ndarray] | None = None if stages is None else {}
    try:
        picture = read_picture(path)
        found = prepare(picture, cut_out, steps)
        if stages is not None:
            save_stages(stages, f"{number:04d}-{path.stem:.100}", steps or {})
    except InputError as error:
        return Picture(file, str(error).removeprefix(f"{file}: "))
    return Picture(file, OK, found.flags, found.image, _small(picture) if wanted else None)


def _small(picture: np.ndarray) -> np.ndarray:
    """Return a copy to look at, uint8 (H, W, 3): a tiny picture enlarged, transparent parts light grey."""
    image = Image.fromarray(picture).convert("RGBA")
    zoom = max(THUMBNAIL // max(image.size), 1)
    image = image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "#E6E6E6"), image).convert("RGB"))
