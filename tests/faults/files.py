"""Files that are damaged, altered or malicious."""

import contextlib
import gzip
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.models.loading import load_classifier, read_checkpoint
from fmnist.training.checkpoints import LAST, PREVIOUS, AtomicCheckpointIO, restore_last
from tests.faults.processes import Child, last_line, run
from tests.faults.table import Outcome, Row
from tests.faults.trainings import STEPS, flags, interrupted, train
from tests.training.folder import equal

CUTS = (0.1, 0.5, 0.9, 0.99)


def damaged(folder: Path, times: int) -> Outcome:
    checkpoints = interrupted(folder, "damaged", 2 * STEPS + 2) / "checkpoints"
    path, random = checkpoints / LAST, Random(0)
    whole, state = path.read_bytes(), read_checkpoint(path)
    silent = harmless = fell_back = 0
    for case in range(times):
        path.write_bytes(_damage(whole, case, random))
        try:
            same = equal(read_checkpoint(path), state)
            harmless += same
            silent += not same
            continue
        except InputError:
            pass
        with (folder / "output").open("w") as output, contextlib.redirect_stderr(output):
            restore_last(checkpoints)
        reported = "last.ckpt: is damaged" in (folder / "output").read_text()
        fell_back += reported and path.read_bytes() == (checkpoints / PREVIOUS).read_bytes()
    figure = f"{silent} silent loads; {fell_back}/{times} reported, with {PREVIOUS} in its place; "
    figure += f"{harmless} loaded as if undamaged"
    return silent == 0 and fell_back + harmless == times and fell_back > times / 2, figure


def _damage(content: bytes, case: int, random: Random) -> bytes:
    """Cut a file short in the first cases; flip a bit or zero a block in the others, by turns."""
    if case < len(CUTS):
        return content[: int(len(content) * CUTS[case])]
    place = random.randrange(len(content))
    if case % 2:
        return content[:place] + bytes([content[place] ^ 1 << case // 2 % 8]) + content[place + 1 :]
    block = content[place : place + 512]
    return content[:place] + bytes(len(block)) + content[place + len(block) :]


class _Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def malicious(folder: Path, times: int) -> Outcome:
    path, marker = interrupted(folder, "malicious", STEPS + 2), folder / "executed"
    honest = read_checkpoint(path / "checkpoints" / LAST)
    named = {"_instantiator": "os.mkdir", "path": str(marker), "name": str(marker)}
    answers = {}
    for name, state in {
        "__reduce__": honest | {"callbacks": _Bomb(marker)},
        "instantiator": honest | {"hyper_parameters": named, "hparams_name": "kwargs"},
    }.items():
        for file in (LAST, PREVIOUS, "best.ckpt"):
            torch.save(state, path / "checkpoints" / file)
        answers[name] = run(folder / "malicious.log", train, ["--resume", str(path)])
        with contextlib.suppress(InputError):
            load_classifier(path)
    with _mirror(path) as (address, asked):
        answers["URL"] = run(folder / "url.log", train, ["--resume", address])
        with contextlib.suppress(InputError):
            AtomicCheckpointIO().load_checkpoint(f"{address}/checkpoints/{LAST}", weights_only=False)
    refused = [name for name, status in answers.items() if status == 2]
    figure = f"{'something' if marker.exists() else 'nothing'} executed, {len(asked)} files fetched; "
    figure += f"refused: {', '.join(refused)}; exit statuses {answers}"
    return not marker.exists() and not asked and {"__reduce__", "URL"} <= {*refused}, figure


@contextmanager
def _mirror(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder to this machine; yield its address and, growing, the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def data_files(folder: Path, times: int) -> Outcome:
    whole, log = folder / "data", folder / "data.log"
    files = sorted(whole.glob("*.gz"))[:times]
    cases = [(file, way) for file in files for way in SPOIL]
    named = 0
    for number, (file, way) in enumerate(cases):
        place = folder / f"data-{number}"
        shutil.copytree(whole, place / "data")
        SPOIL[way](place / "data" / file.name)
        status = run(log, train, flags(place, "spoilt"))
        named += status == 2 and file.stem in last_line(log) and not (place / "logs").exists()
    started, asked = _start_at_once(folder)
    figure = f"{named}/{len(cases)} detected and named; {started}/4 start, {asked} files downloaded in all"
    return named == len(cases) and started == 4 and asked == len(source.PUBLISHED), figure


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _alter(file: Path) -> None:
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[-1] ^= 1
    file.write_bytes(gzip.compress(bytes(content)))


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


SPOIL: dict[str, Callable[[Path], None]] = {
    "truncated": _cut,
    "altered": _alter,
    "one bit flipped": _flip,
    "missing": Path.unlink,
}


def _start_at_once(folder: Path) -> tuple[int, int]:
    """Start four trainings that find no data; return how many train, and how many files were fetched."""
    with contextlib.ExitStack() as stack:
        address, asked = stack.enter_context(_mirror(folder / "data"))
        empty = folder / "at-once"
        prepare = partial(_use_mirror, address, folder / "data" / source.SUMS)
        children = [
            stack.enter_context(Child(folder / f"once-{n}.log", train, flags(empty, "once"), prepare))
            for n in range(4)
        ]
        started = sum(child.wait() == 0 for child in children)
    folders = {r.path for r in Run.all(empty / "logs" / "once") if r.record["status"] == "finished"}
    return min(started, len(folders)), len(asked)


def _use_mirror(address: str, sums: Path) -> None:
    """Let the drawn set of a mirror be the published one, and let there be none on this machine."""
    os.environ |= {"FMNIST_MIRROR": address, "no_proxy": "127.0.0.1"}
    os.environ.pop("FMNIST_DATA", None)
    source.DEBIAN_FOLDER = Path("nowhere")
    for line in sums.read_text().splitlines():
        digest, name = line.split()
        source.PUBLISHED[name] = digest


ROWS = (
    Row(
        "damaged",
        "checkpoint cut at 10, 50, 90, 99 %, one bit flipped, a block of zeros",
        "0 silent loads",
        damaged,
        times=(100, 10),
    ),
    Row(
        "malicious",
        "three malicious checkpoints: __reduce__, an instantiator in the hyperparameters, a URL",
        "nothing executed",
        malicious,
    ),
    Row(
        "data",
        "each data file truncated, altered, missing; four starts at once",
        "all detected and named; 4/4 start",
        data_files,
        times=(4, 1),
    ),
)
