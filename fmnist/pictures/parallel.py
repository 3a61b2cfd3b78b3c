"""Prepare many picture files, in worker processes that load no network."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from fmnist.core.errors import InputError
from fmnist.pictures.preparation import NOTHING_FOUND, prepare, save_stages
from fmnist.pictures.reading import printable, read_first_page

OK = "ok"
THUMBNAIL = 140  # pixels of the longest side
CHUNK = 8  # files that a worker takes at once
FEW = 16  # this many files are done before workers have started


@dataclass(frozen=True)
class PreparedFile:
    """The result of preparing a picture file.

    Attributes:
        file: Its path, in printable characters.
        status: ``"ok"``, or the reason why there is no image, e.g. ``"nothing found"`` in a blank picture.
        flags: Problems of the picture, see ``Prepared``, and a remark if the file has other pages.
        image: uint8 (28, 28), or ``None``.
        thumbnail: The picture itself, small, uint8 (H, W, 3), or ``None``.
    """

    file: str
    status: str
    flags: tuple[str, ...] = ()
    image: np.ndarray | None = None
    thumbnail: np.ndarray | None = None


def prepare_files(
    paths: Sequence[Path],
    stages: Path | None = None,
    thumbnails: int = 0,
    processes: int | None = None,
) -> Iterator[PreparedFile]:
    """Prepare picture files, in their order; one that cannot be read does not stop the others.

    Args:
        paths: The files.
        stages: Folder for the pictures after each step, in a folder for each file.
        thumbnails: Number of pictures that keep a thumbnail: the first ones that were prepared.
        processes: Number of workers, by default one for each core. A few files are prepared in this process.

    Raises:
        InputError: A worker was killed.
    """
    work = partial(_prepare_file, stages=stages, thumbnail=thumbnails > 0)
    tasks = enumerate(paths)
    if len(paths) <= FEW or processes == 1:
        yield from _limit_thumbnails(map(work, tasks), thumbnails)
        return
    with worker_pool(processes, "; try fewer pictures at once") as pool:
        yield from _limit_thumbnails(pool.map(work, tasks, chunksize=CHUNK), thumbnails)


@contextlib.contextmanager
def worker_pool(processes: int | None = None, advice: str = "") -> Iterator[ProcessPoolExecutor]:
    """Hold a pool of single-threaded processes, by default one for each core that this program may use.

    They are spawned, because forking a process that runs torch can hang, and ignore Ctrl-C, which is handled
    by the process that started them.

    Raises:
        InputError: A worker was killed; the message ends with ``advice``.
    """
    if processes is None:
        has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
        processes = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_initialise_worker) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            reason = "a process that prepares pictures was killed (out of memory?)"
            raise InputError(f"{reason}{advice}") from None


def _initialise_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)  # all cores are busy with one worker each


def _limit_thumbnails(files: Iterator[PreparedFile], number: int) -> Iterator[PreparedFile]:
    """Drop the thumbnails of all but the first files that were prepared."""
    prepared = 0
    for file in files:
        prepared += file.status == OK
        yield file if prepared <= number else replace(file, thumbnail=None)


def _prepare_file(task: tuple[int, Path], stages: Path | None, thumbnail: bool) -> PreparedFile:
    """Prepare the file of a number and a path."""
    number, path = task
    steps: dict[str, np.ndarray] = {}
    prepared = prepare_file(path, steps, THUMBNAIL if thumbnail else 0)
    if stages is not None and steps:
        try:
            save_stages(stages / f"{number:04d}-{path.stem:.100}", steps)
        except InputError as error:
            return PreparedFile(prepared.file, str(error))
    return prepared


def prepare_file(path: Path, stages: dict[str, np.ndarray], thumbnail: int) -> PreparedFile:
    """Prepare a picture file; one that cannot be read gets a status that says why.

    See ``prepare`` for ``stages``. ``thumbnail`` is the longest side of the thumbnail in pixels, 0 for none.
    """
    file = printable(path)
    try:
        picture, pages = read_first_page(path)
        prepared = prepare(picture, stages)
    except InputError as error:
        return PreparedFile(file, str(error).removeprefix(f"{file}: "))
    flags = (*prepared.flags, pages) if pages else prepared.flags
    if NOTHING_FOUND in flags:
        return PreparedFile(file, NOTHING_FOUND, flags)
    small = make_thumbnail(picture, thumbnail) if thumbnail else None
    return PreparedFile(file, OK, flags, prepared.image, small)


def make_thumbnail(picture: np.ndarray, side: int = THUMBNAIL) -> np.ndarray:
    """Return a copy, uint8 (H, W, 3), whose longest side is ``side`` pixels at most.

    Tiny pictures are enlarged by a whole factor, transparent parts are light grey.
    """
    image = Image.fromarray(picture).convert("RGBA")
    zoom = max(side // max(image.size), 1)
    image = image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)
    image.thumbnail((side, side))
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "#E6E6E6"), image).convert("RGB"))
