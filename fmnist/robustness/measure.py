"""How much of a run's accuracy is left on images as they might come: corrupted, photographed, or foreign.

The corruptions are those of Fashion-MNIST-C, each apart and in five severities. Nobody has published
accuracies for that grid: the published set mixes them, one corruption drawn for each image.
"""

import json
import math
from typing import Any

import numpy as np
from tqdm import tqdm

from fmnist import figures
from fmnist.core.errors import InputError
from fmnist.core.files import write_file
from fmnist.core.runs import Run
from fmnist.data.arrays import images_of
from fmnist.data.datamodule import stratified_split
from fmnist.data.of_run import data_of
from fmnist.figures import heat_map
from fmnist.inference.predictor import Predictor
from fmnist.robustness.corruptions import CORRUPTIONS, FLIPS, ONE_LEVEL, SEVERITIES, corrupt
from fmnist.robustness.ood import detection_table
from fmnist.robustness.photographs import POLARITIES, all_seen
from fmnist.robustness.tables import grid_table, page_tables, words

FILE = "shifts.json"
IMAGES = 2_000  # of the test set, unless told otherwise
PHOTOGRAPHED = 4  # one image of so many, in all kinds: preparing a photograph takes a hundred times as long
SEED = 0  # of the choice of images and of the corruptions
FIRST_SCENE = (
    1_000_000  # seed of test image 0's photographs, far from the seeds that anything was chosen with
)
FAMILIES = {
    "noise": ("shot_noise", "impulse_noise"),
    "blur": ("glass_blur", "motion_blur"),
    "geometry": ("shear", "scale", "rotate"),
    "light": ("brightness", "contrast", "saturate", "inverse"),
}


def write_shifts(
    run: Run, root: str = "data", count: int | None = IMAGES, progress: bool = False
) -> dict[str, Any]:
    """Measure a run on shifted test images; write ``shifts.json``, ``shifts.csv`` and ``figures/shifts.png``.

    Args:
        run: A finished run.
        root: Where the data set is looked for.
        count: Test images, a stratified part; None takes all.
        progress: Show bars.

    Returns:
        What ``shifts.json`` holds.

    Raises:
        InputError: The run is not finished, its data are not here, or its folder cannot be written.
    """
    predictor = Predictor(run)
    data = data_of(run, root)
    images, labels, _ = images_of(data, "test")
    found = measure(predictor, images, labels, count, progress)
    found["detection"] = detection_table(predictor, data)
    try:
        write_file(run.path / FILE, json.dumps(found, indent=2, allow_nan=False) + "\n")
        write_file(run.path / "shifts.csv", grid_table(found).csv())
        figures.save(drawn(found, str(run.record.get("name"))), run.path / "figures" / "shifts.png")
    except OSError as error:
        raise InputError(f"{run.path}: cannot be written ({error.strerror})") from None
    return found


def measure(
    predictor: Predictor,
    images: np.ndarray,
    labels: np.ndarray,
    count: int | None = IMAGES,
    progress: bool = False,
    processes: int | None = None,
) -> dict[str, Any]:
    """Return accuracies on corrupted images and on photographs of them.

    Args:
        predictor: Of the run.
        images: The whole test set, uint8 (N, 28, 28).
        labels: int64 (N,).
        count: How many of the images, a stratified part; None takes all.
        progress: Show bars.
        processes: How many render photographs at once; by default one a core.

    Raises:
        InputError: There are not so many images, or fewer are wanted than there are classes.
    """
    lowest, total = len(np.unique(labels)), len(labels)
    if count is not None and not lowest <= count <= total:
        raise InputError(f"--shifts {count}: must lie between {lowest} and {total:,}, or be 'all'")
    chosen = part(labels, count)
    right = predictor.logits(images[chosen]).argmax(1) == labels[chosen]
    found = {"images": len(chosen), "of": total, "seed": SEED, "clean": share(right)}
    found |= corrupted(predictor, images, labels, chosen, progress)
    some = part(labels, max(lowest, len(chosen) // PHOTOGRAPHED))
    return found | photographed(predictor, images, labels, some, progress, processes)


def part(labels: np.ndarray, count: int | None) -> np.ndarray:
    """Return the places of a stratified part of a set, sorted; the same one for every run."""
    if count is None or count == len(labels):
        return np.arange(len(labels))
    return stratified_split(labels, count, None, SEED)[1]


def corrupted(
    predictor: Predictor, images: np.ndarray, labels: np.ndarray, chosen: np.ndarray, progress: bool
) -> dict[str, Any]:
    """Return the accuracy under each corruption and severity, under each flip, and their means.

    The mean corruption accuracy is the mean over the eleven corruptions of the mean over their severities,
    flips left out; its error is what is missing to 1. A corruption without severities counts as the others.
    """
    cells = [
        (name, severity)
        for name in (*CORRUPTIONS, *FLIPS)
        for severity in (SEVERITIES[:1] if name in ONE_LEVEL else SEVERITIES)
    ]
    right: dict[str, list[np.ndarray]] = {}
    for name, severity in tqdm(cells, "corruptions", unit="set", disable=None if progress else True):
        shifted = corrupt(images[chosen], name, severity, SEED, chosen)
        right.setdefault(name, []).append(predictor.logits(shifted).argmax(1) == labels[chosen])
    # (N,) each: the share of its severities under which an image is classified right
    by_image = {name: np.mean(levels, axis=0) for name, levels in right.items()}
    mean = share(np.mean([by_image[name] for name in CORRUPTIONS], axis=0))
    return {
        "mean_corruption_accuracy": mean,
        "mean_corruption_error": 1 - mean["accuracy"],
        "families": {
            family: share(np.mean([by_image[name] for name in names], axis=0))
            for family, names in FAMILIES.items()
        },
        "corruptions": {name: [float(level.mean()) for level in right[name]] for name in CORRUPTIONS},
        "mean_flip_accuracy": share(np.mean([by_image[name] for name in FLIPS], axis=0)),
        "flips": {name: float(right[name][0].mean()) for name in FLIPS},
    }


def photographed(
    predictor: Predictor,
    images: np.ndarray,
    labels: np.ndarray,
    chosen: np.ndarray,
    progress: bool,
    processes: int | None,
) -> dict[str, Any]:
    """Return the accuracy on photographs of each kind, beside that on the same images as they are."""
    clean = share(predictor.logits(images[chosen]).argmax(1) == labels[chosen])
    rows = {}
    for kind, (prepared, polarities) in all_seen(
        images[chosen], FIRST_SCENE + chosen, processes, progress
    ).items():
        row = share(predictor.logits(prepared).argmax(1) == labels[chosen])
        row["of_clean"] = row["accuracy"] / clean["accuracy"] if clean["accuracy"] else 0.0
        if kind in POLARITIES:
            row["polarity_right"] = float(np.mean([said == POLARITIES[kind] for said in polarities]))
        rows[kind] = row
    return {"photographs": {"images": len(chosen), "clean": clean, "kinds": rows}}


def share(right: np.ndarray) -> dict[str, float]:
    """Return the mean of right answers, bool or in [0, 1] (N,), and its standard error over the images."""
    error = float(right.std(ddof=1)) / math.sqrt(len(right)) if len(right) > 1 else 0.0
    return {"accuracy": float(right.mean()), "standard_error": error}


def read(run: Run) -> dict[str, Any] | None:
    """Return what `write_shifts` found; None where nothing was measured.

    Raises:
        InputError: The file is damaged.
    """
    path = run.path / FILE
    try:
        found = json.loads(path.read_bytes())
        page_tables(found)
        words(found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is damaged ({error!r}); evaluate.py --shifts writes it anew") from None
    return dict(found)


def drawn(found: dict[str, Any], name: str) -> Any:
    """Draw the grid as a heat map, the flips below it."""
    levels = found["corruptions"] | {flip: [value] for flip, value in found["flips"].items()}
    mean = found["mean_corruption_accuracy"]["accuracy"]
    title = f"{name} on {found['images']:,} corrupted test images: mean accuracy {mean:.3f}"
    return heat_map(
        {row.replace("_", " "): values for row, values in levels.items()},
        columns=[str(severity) for severity in SEVERITIES],
        breaks=[len(CORRUPTIONS)],
        title=f"{title}, {found['clean']['accuracy']:.3f} uncorrupted",
        xlabel="severity",
    )
