"""Export a trained network to one file, which is kept only if it computes the same as the network."""

import copy
import importlib.util
import json
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fmnist.core.calibration import find_temperature
from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.errors import InputError, one_line, quoted, reports_unwritable
from fmnist.core.files import check_output, write_file
from fmnist.core.images import to_float
from fmnist.core.runs import Run
from fmnist.core.tables import Column, Table, counted
from fmnist.data import source
from fmnist.inference.formats import FORMATS, Format, NetworkFunction, from_onnx, on_arrays
from fmnist.inference.predictor import Predictor
from fmnist.models.classifier import Classifier

TOLERANCE = 1e-4
COMPARED = {250: None, 7: 1_000, 1: 1_000}
"""Images that are compared by batch size; None stands for all of them."""
TIMED = {1: 200, 250: 5}
"""Calls that are timed, by batch size."""
NOISE_IMAGES = 1_000
COMPARED_WITH_MAP = 500
"""Images that are compared of a file with maps, because it computes the maps of all."""
MAPS, MAP_BATCH, MAP_CALLS = 50, 7, 5
"""Maps that are compared, their batch size (the last batch has one image), and calls that are timed."""


@dataclass(frozen=True)
class MapOutput:
    """A map for the predicted class, as a second output of an ONNX file.

    Attributes:
        capture: From a classifier to the computation of logits (N, 10) and maps (N, 28, 28).
        maps: From a classifier, images uint8 (N, 28, 28) and logits (N, 10) to the maps that the file must
            give.
        description: Of the output, for the metadata.
    """

    capture: Callable[[Classifier], ExportedProgram]
    maps: Callable[[Classifier, np.ndarray, np.ndarray], np.ndarray]
    description: str


def export_run(
    run: Run, name: str, output: Path | None = None, root: str = "data", with_map: MapOutput | None = None
) -> list[str]:
    """Write a run's network as one file, if that computes the same as the network.

    Args:
        run: A finished run of a network.
        name: The format, a key of ``FORMATS``.
        output: The file; None for ``export/model.onnx``, with the suffix of the format, in the run folder.
        root: Folder of the data, whose test images are compared if they are on this machine.
        with_map: What to add as a second output, of ONNX only.

    Returns:
        Lines that say what was written and measured.

    Raises:
        InputError: The run holds no network or a damaged one, a package is missing, the file cannot be
            written, or its logits differ from the network's; an older file then stays as it is.
    """
    form = FORMATS[name]
    path = output or run.path / "export" / f"model{form.suffix}"
    if with_map and name != "onnx":
        raise InputError(f"--with-map: needs --format onnx, not {name}")
    _check(run, name, form)
    predictor = Predictor(run)
    flag = f"--output {quoted(path)}"
    if path.suffix == form.suffix:  # else it is refused, and needs no folder
        with reports_unwritable(flag):
            path.parent.mkdir(parents=True, exist_ok=True)
    check_output(f"{flag} --format {name}", path, (form.suffix,))
    images, described = _comparison_images(root, COMPARED_WITH_MAP if with_map else None)
    classifier, details = predictor.classifier, metadata(run)
    if with_map:
        details["map"] = with_map.description
    content = form.write(with_map.capture(classifier) if with_map else capture(classifier), details)
    exported = form.read(content)
    logits = predictor.logits(images)
    difference = compare(exported, images, logits, name)
    if with_map:
        maps = from_onnx(content, "map")
        expected = with_map.maps(classifier, images[:MAPS], logits[:MAPS])
        apart = compare_maps(maps, images[:MAPS], expected)
        milliseconds = _milliseconds(maps, as_input(images[:1]), MAP_CALLS)
        lines = [
            f"same map as explain.py on {len(expected)} of them, within {apart:.1e}; "
            f"an image with its map takes {milliseconds:.0f} ms"
        ]
    else:
        functions = {"PyTorch": on_arrays(classifier.evaluation_logits), form.runtime: exported}
        lines = _speeds(functions, images)
    with reports_unwritable(flag):
        write_file(path, content)
    sizes = ", ".join(map(str, sorted(COMPARED)))
    return [
        f"{quoted(path)}: {len(content) / 1e6:.2f} MB",
        f"same class as PyTorch on {described}, logits within {difference:.1e}, in batches of {sizes}",
        *lines,
    ]


def _check(run: Run, name: str, form: Format) -> None:
    """Refuse before any work what cannot be exported."""
    if run.kind != "lightning":
        raise InputError(
            f"{quoted(run.path)}: is a {run.kind} run, and only networks are exported; from Python, "
            "fmnist.inference.predictor.Predictor(run).logits(images) asks it"
        )
    if missing := [package for package in form.packages if importlib.util.find_spec(package) is None]:
        others = " or ".join(f"--format {other}" for other in FORMATS if not FORMATS[other].packages)
        raise InputError(
            f"--format {name}: needs {', '.join(missing)} (pip install -e '.[export]'); "
            f"{others} needs nothing more"
        )


def _comparison_images(root: str, number: int | None) -> tuple[np.ndarray, str]:
    """Return the first ``number`` images uint8 (N, 28, 28) to compare on, None for all, and what they are.

    Nothing is downloaded for that.
    """
    if source.find(root) is None:
        shape = (number or NOISE_IMAGES, IMAGE_SIZE, IMAGE_SIZE)
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        what = f"{len(noise):,} images of noise, as {quoted(root)} and this machine hold no test images"
        return noise, what
    images = source.load(root).test_images.numpy()[:number]
    return images, counted(len(images), "test image")


def metadata(run: Run) -> dict[str, str]:
    """Return classes, conventions and origin and, where there are predictions, accuracy and temperature."""
    known = {
        "classes": json.dumps(run.record.get("classes")),
        "input": "images: float32 (N, 1, 28, 28) in [0, 1], grey, bright garment on black; "
        "normalisation is part of the model",
        "output": "logits: float32 (N, 10)",
        "run": f"{run.record.get('name')}/{run.path.resolve().name}",
        "git_commit": str(run.record.get("git_commit")),
    }
    if run.has_predictions("test"):
        known["test_accuracy"] = f"{run.predictions('test').accuracy:.4f}"
    if (temperature := find_temperature(run)) is not None:
        known["temperature"] = f"{temperature:.4f}"
        known["output"] += "; softmax(logits / temperature) are calibrated probabilities"
    return known


class _Scores(nn.Module):
    """The logits that a run's predictions are made of, as a module's ``forward``."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        # changes nothing, and makes the exported program refuse other types, which would be taken for [0, 1]
        return self.classifier.evaluation_logits(images.to(torch.float32))


def capture(classifier: Classifier) -> ExportedProgram:
    """Return the computation from images (N, 1, 28, 28) to logits (N, 10), for any N.

    Raises:
        InputError: torch.export cannot follow the network.
    """
    failure = f"{type(classifier).__name__}: torch.export cannot follow it for any batch size"
    return program_of(_Scores(copy.deepcopy(classifier)), lambda module, _: module, failure)


def program_of(
    module: nn.Module, record: Callable[[nn.Module, Tensor], nn.Module], failure: str
) -> ExportedProgram:
    """Return the computation of a module from images (N, 1, 28, 28), for any N, in evaluation mode.

    Args:
        module: The module, which is changed.
        record: Returns what is exported of it, for images like those of the second argument.
        failure: What an error says first.

    Raises:
        InputError: torch.export, or ``record``, cannot follow it.
    """
    # with the channels innermost, pooling becomes a Gather in ONNX, which few tools can read
    module.eval().to(memory_format=torch.contiguous_format)
    example = torch.zeros(2, 1, IMAGE_SIZE, IMAGE_SIZE)  # of one image, the batch would be taken for constant
    try:
        shapes = ({0: Dim("batch")},)
        program = torch.export.export(record(module, example), (example,), dynamic_shapes=shapes)
    except Exception as error:  # whatever a user's own network provokes
        raise InputError(f"{failure} ({one_line(error)})") from None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it holds paths of this machine
    return program


def compare(exported: NetworkFunction, images: np.ndarray, logits: np.ndarray, name: str) -> float:
    """Return the largest difference of a logit between export and network, in batches of several sizes.

    The images are uint8 (N, 28, 28), and the network's logits float32 (N, 10); ``name`` is the format.

    Raises:
        InputError: A class differs, or a logit by more than ``TOLERANCE``.
    """
    largest = 0.0
    for size, count in COMPARED.items():
        computed, expected = _call_in_batches(exported, images[:count], size), logits[:count]
        difference = float(np.abs(computed - expected).max())
        others = int((computed.argmax(1) != expected.argmax(1)).sum())
        if others or not difference <= TOLERANCE:  # a difference of NaN fails, too
            raise InputError(
                f"--format {name}: the exported file differs from the network: in batches of {size}, "
                f"another class for {others:,} of {len(computed):,} images, and logits up to "
                f"{difference:.2g} apart (allowed: {TOLERANCE:g}); it was not kept, try another format"
            )
        largest = max(largest, difference)
    return largest


def compare_maps(exported: NetworkFunction, images: np.ndarray, maps: np.ndarray) -> float:
    """Return the largest difference of a map between export and network.

    The images are uint8 (N, 28, 28), and the network's maps float32 (N, 28, 28).

    Raises:
        InputError: They differ by more than ``TOLERANCE``.
    """
    difference = float(np.abs(_call_in_batches(exported, images, MAP_BATCH) - maps).max())
    if not difference <= TOLERANCE:
        raise InputError(
            f"--with-map: the exported map differs from the network's by up to {difference:.2g} (allowed: "
            f"{TOLERANCE:g}); the file was not kept, export without --with-map"
        )
    return difference


def _call_in_batches(exported: NetworkFunction, images: np.ndarray, size: int) -> np.ndarray:
    """Return the outputs of an export for images uint8 (N, 28, 28), ``size`` of them at a time."""
    inputs = as_input(images)
    return np.concatenate([exported(part) for part in np.split(inputs, range(size, len(inputs), size))])


def as_input(images: np.ndarray) -> np.ndarray:
    """Return images uint8 (N, 28, 28) as an export takes them, float32 (N, 1, 28, 28) in [0, 1]."""
    return to_float(images)[:, None]


def _speeds(functions: dict[str, NetworkFunction], images: np.ndarray) -> list[str]:
    """Return a table of milliseconds per image, the median of some calls."""
    rows = [
        {"runtime": name}
        | {f"batch {size}": _milliseconds(function, as_input(images[:size]), calls)
           for size, calls in TIMED.items()}
        for name, function in functions.items()
    ]  # fmt: skip
    sizes = [f"batch {size}" for size in TIMED]
    columns = [Column("ms per image", "runtime"), *(Column(size, size, "{:.3f}") for size in sizes)]
    threads = torch.get_num_threads()
    table = Table("speed", "Speed", columns, rows)
    return [*table.text().splitlines(), f"on {counted(threads, 'thread')} of the CPU"]


def _milliseconds(function: Callable[[np.ndarray], np.ndarray], images: np.ndarray, calls: int) -> float:
    function(images)  # the first call prepares, and does not count
    times = timeit.repeat(lambda: function(images), repeat=calls, number=1)
    return 1000 * float(np.median(times)) / len(images)
