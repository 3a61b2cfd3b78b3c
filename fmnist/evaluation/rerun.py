"""What evaluation asks of the model itself: predictions that are missing, and its speed."""

import time
from typing import Any

import numpy as np

from fmnist.core.errors import InputError
from fmnist.core.runs import Predictions, Run
from fmnist.data import source
from fmnist.inference.predictor import Predictor

TIMED = 1_000  # images


def predictions(run: Run, root: str) -> tuple[Predictions, Predictions | None, list[str]]:
    """Read a run's predictions; where they are missing, ask its model again and save them.

    Args:
        run: A finished run.
        root: Where the data set is looked for, if it is needed.

    Returns:
        Predictions of the test set; of the validation set, None for a run without one; and a line for
        each part that was predicted again.

    Raises:
        InputError: They are damaged, or missing and cannot be had from the model.
    """
    parts = ["test", "val"] if (run.record.get("split") or {}).get("val") else ["test"]
    missing = [part for part in parts if not (run.path / "predictions" / f"{part}.npz").exists()]
    if missing:
        data = _data(run, root)
        predictor = Predictor(run)
        for part in missing:
            run.save_predictions(part, _predict(predictor, data, part))
    test, val = run.predictions("test"), run.predictions("val") if "val" in parts else None
    return test, val, [f"{run.path}: predictions of {part} were missing, made again" for part in missing]


def _data(run: Run, root: str) -> source.FashionMNIST:
    data = source.load(root)
    if data.sha256 != run.record.get("data_sha256"):
        raise InputError(f"--data.root {root}: holds other data than {run.path} was made with")
    return data


def _predict(predictor: Predictor, data: source.FashionMNIST, part: str) -> Predictions:
    if part == "test":
        labels = data.test_labels.numpy()
        return Predictions(predictor.logits(data.test_images.numpy()), labels, np.arange(len(labels)))
    from fmnist.data.datamodule import stratified_split

    labels, split = data.train_labels.numpy(), predictor.run.record["split"]
    _, indices = stratified_split(labels, split["val"], None, split["split_seed"])
    return Predictions(predictor.logits(data.train_images.numpy()[indices]), labels[indices], indices)


def measure_speed(run: Run, images: np.ndarray | None) -> dict[str, Any]:
    """Time the run's model on the CPU, after a first call that does not count.

    Args:
        run: A finished run.
        images: Of the test set, uint8 (N, 28, 28); None takes noise.

    Returns:
        ``ms_per_image``, and how it was measured.

    Raises:
        InputError: The model cannot be loaded.
    """
    import torch

    noise = np.random.default_rng(0).integers(0, 256, (TIMED, 28, 28), np.uint8)
    timed = noise if images is None else images[:TIMED]
    predictor = Predictor(run)
    predictor.logits(timed[:100])
    start = time.perf_counter()
    predictor.logits(timed)
    seconds = time.perf_counter() - start
    return {
        "ms_per_image": round(1000 * seconds / len(timed), 5),
        "images": len(timed),
        "device": "cpu",
        "threads": torch.get_num_threads(),
    }
