"""Take a trained network elsewhere: one file, which is run and held against the network before it counts."""

import contextlib
import importlib.util
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from fmnist.core.calibration import fit_temperature
from fmnist.core.errors import InputError
from fmnist.core.runs import Predictions, Run
from fmnist.data import source
from fmnist.inference.formats import FORMATS, Answer, Format, answer_of, capture
from fmnist.inference.predictor import Predictor

TOLERANCE = 1e-4
COMPARED = {250: None, 7: 1_000, 1: 1_000}
"""Images that are compared by batch size; None stands for all of them."""
TIMED = {1: 200, 250: 5}
"""Calls that are timed, by batch size."""
NOISE = 1_000  # images


def export_run(run: Run, name: str = "onnx", output: Path | None = None, root: str = "data") -> list[str]:
    """Write a run's network as one file, if that answers as the network does.

    Args:
        run: A finished run of a network.
        name: Of the format, ``onnx`` or ``torch``.
        output: The file, replaced at the very end where there is one; None for ``export/model.onnx``
            or ``export/model.pt2`` in the run folder.
        root: Folder of the data, whose test images serve to compare if they are on this machine.

    Returns:
        What was written and measured, in lines for people.

    Raises:
        InputError: The run holds no network or a damaged one, a package is missing, the file cannot be
            written, or the export answers otherwise than the network; a file of before is untouched.
    """
    form = FORMATS[name]
    path = output or run.path / "export" / f"model{form.suffix}"
    _check(run, name, form, path)
    predictor = Predictor(run)
    with _replacing(path) as temporary:
        images, shown = _images(root)
        content = form.write(capture(predictor.classifier), metadata(run))
        answer = form.read(content)
        difference = compare(answer, images, predictor.logits(images), name)
        temporary.write_bytes(content)
    sizes = ", ".join(map(str, sorted(COMPARED)))
    return [
        f"{path}: {len(content) / 1e6:.2f} MB",
        f"same class as PyTorch on {shown}, logits within {difference:.1e}, in batches of {sizes}",
        *_speeds(
            {"PyTorch": answer_of(predictor.classifier.evaluation_logits), form.runtime: answer}, images
        ),
    ]


def _check(run: Run, name: str, form: Format, path: Path) -> None:
    """Refuse before any work what cannot be exported."""
    kind = run.record.get("kind")
    if kind != "lightning":
        raise InputError(
            f"{run.path}: is a {kind} run, and only networks are exported; from Python, "
            "fmnist.inference.predictor.Predictor(run).logits(images) asks it"
        )
    if path.suffix != form.suffix:
        raise InputError(f"--output {path}: must end in {form.suffix} with --format {name}")
    if missing := [package for package in form.packages if importlib.util.find_spec(package) is None]:
        raise InputError(
            f"--format {name}: needs {', '.join(missing)} (pip install -e '.[export]'); "
            "--format torch needs nothing more"
        )


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Lend a temporary file that takes the place of ``path`` if nothing goes wrong."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"--output {path}: cannot be written ({error.strerror})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _images(root: str) -> tuple[np.ndarray, str]:
    """Return images uint8 (N, 28, 28) to compare on, and what they are; none are downloaded for that."""
    if source.find(root) is None:
        noise = np.random.default_rng(0).integers(0, 256, (NOISE, 28, 28), np.uint8)
        return noise, f"{NOISE:,} images of noise, as {root} and this machine hold no test images"
    images = source.load(root).test_images.numpy()
    return images, f"{len(images):,} test images"


def metadata(run: Run) -> dict[str, str]:
    """Return what a user of the file must know: classes, conventions, origin, accuracy and temperature.

    A run without predictions of test or validation has no accuracy or temperature to tell.
    """
    known = {
        "classes": json.dumps(run.record.get("classes")),
        "input": "images: float32 (N, 1, 28, 28) in [0, 1], grey, bright garment on black; "
        "normalisation is part of the model",
        "output": "logits: float32 (N, 10)",
        "run": f"{run.record.get('name')}/{run.path.resolve().name}",
        "git_commit": str(run.record.get("git_commit")),
    }
    if test := _predictions(run, "test"):
        known["test_accuracy"] = f"{test.accuracy:.4f}"
    if val := _predictions(run, "val"):
        known["temperature"] = f"{fit_temperature(val.logits, val.labels):.4f}"
        known["output"] += "; softmax(logits / temperature) are calibrated probabilities"
    return known


def _predictions(run: Run, part: str) -> Predictions | None:
    return run.predictions(part) if (run.path / "predictions" / f"{part}.npz").exists() else None


def compare(answer: Answer, images: np.ndarray, logits: np.ndarray, name: str) -> float:
    """Hold an export against the network, in batches of several sizes.

    Args:
        answer: The export.
        images: uint8 (N, 28, 28).
        logits: Of the network, float32 (N, 10).
        name: Of the format.

    Returns:
        The largest difference of a logit.

    Raises:
        InputError: A class differs, or a logit by more than ``TOLERANCE``.
    """
    worst = 0.0
    for size, count in COMPARED.items():
        inputs, expected = as_input(images[:count]), logits[:count]
        answers = np.concatenate([answer(inputs[i : i + size]) for i in range(0, len(inputs), size)])
        difference = float(np.abs(answers - expected).max())
        others = int((answers.argmax(1) != expected.argmax(1)).sum())
        if others or not difference <= TOLERANCE:  # NaN is no answer, either
            raise InputError(
                f"--format {name}: what was exported does not answer as the network does: in batches of "
                f"{size}, another class for {others:,} of {len(answers):,} images, and logits up to "
                f"{difference:.2g} apart (allowed: {TOLERANCE:g}); it was not kept, try the other format"
            )
        worst = max(worst, difference)
    return worst


def as_input(images: np.ndarray) -> np.ndarray:
    """Return images at rest, uint8 (N, 28, 28), as an export takes them: float32 (N, 1, 28, 28) in [0, 1]."""
    return images[:, None] / np.float32(255)


def _speeds(answers: dict[str, Answer], images: np.ndarray) -> list[str]:
    """Return a table of milliseconds an image, the median of some calls."""
    lines = ["ms per image   " + "".join(f"{f'batch {size}':>12}" for size in TIMED)]
    for name, answer in answers.items():
        times = [_milliseconds(answer, as_input(images[:size]), calls) for size, calls in TIMED.items()]
        lines.append(f"{name:15}" + "".join(f"{time:12.3f}" for time in times))
    threads = torch.get_num_threads()
    return [*lines, f"on {threads} thread{'s' * (threads != 1)} of the CPU"]


def _milliseconds(answer: Answer, images: np.ndarray, calls: int) -> float:
    answer(images)  # the first call prepares, and does not count
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        answer(images)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times)) / len(images)
