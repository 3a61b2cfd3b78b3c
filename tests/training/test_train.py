"""A whole training, as the command line starts it: what it leaves in its folder."""

import contextlib
import io
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

from fmnist import __version__
from fmnist.core.constants import CLASSES
from fmnist.core.files import TEMPORARY_FILES
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.metrics import classification_metrics, plain_metrics
from fmnist.training.train import main
from tests.training.folder import checkpoint, equal, rows, table_rows

TRAIN, VAL, TEST = 500, 100, 200  # images
FIGURES = {"curves", "confusion_matrix", "class_f1", "worst_errors", "augmented"}
PARAMETERS = 784 * 16 + 2 * 16 + 16 * 10 + 10


@pytest.fixture(scope="module")
def finished(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """A run with everything it leaves, and what it printed; of the other runs figures are left out."""
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.setattr("sys.argv", ["train.py"])
        logs = tmp_path_factory.mktemp("logs")
        run = main([*tiny, "--logs", str(logs), "--name", "mlp", "--seed_everything", "3"])
    assert run is not None
    return Run(run.path), output.getvalue()


def test_the_folder_holds_what_is_promised(finished: tuple[Run, str]) -> None:
    run = finished[0]
    assert run.path.parts[-2:] == ("mlp", "version_0")
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    assert files >= {
        *("config.yaml", "run.json", "metrics.csv", "projector_config.pbtxt"),
        *("predictions/val.npz", "predictions/test.npz"),
        *("checkpoints/best.ckpt", "checkpoints/last.ckpt"),
        *(f"figures/{name}.png" for name in FIGURES),
    }
    assert not list(run.path.rglob(TEMPORARY_FILES))
    for name in FIGURES:
        with Image.open(run.path / "figures" / f"{name}.png") as picture:
            assert len(set(np.asarray(picture.convert("L")).flat)) > 10  # something is drawn


def test_run_json_holds_every_field(finished: tuple[Run, str], synthetic_root: Path) -> None:
    record = dict(finished[0].record)
    exact = {
        "name": "mlp",
        "kind": "lightning",
        "seed": 3,
        "status": "finished",
        "data_sha256": source.load(synthetic_root).sha256,
        "split": {"split_seed": 0, "fold": 0, "train": TRAIN, "val": VAL, "test": TEST},
        "classes": list(CLASSES),
        "parameters": PARAMETERS,
        "multiply_adds": 784 * 16 + 16 * 10,
        "training_multiply_adds": 3 * 2 * TRAIN * (784 * 16 + 16 * 10),
        "epochs": 2,
        "precision": "32-true",
        "flip_average": False,
    }
    assert {name: record.pop(name) for name in exact} == exact
    assert record.pop("command").startswith("python scripts/train.py --model fmnist.models.mlp.LitMLP ")
    assert record.pop("started") <= record.pop("finished")
    assert 0 < record.pop("train_seconds") < 60
    versions = record.pop("versions")
    assert (versions["fmnist"], versions["torch"]) == (__version__, torch.__version__.partition("+")[0])
    hardware = record.pop("hardware")
    assert hardware.keys() == {"processor", "cores", "system", "device", "processes", "threads"}
    assert (hardware["device"], hardware["processes"]) == ("cpu", 1)
    assert record.pop("metrics").keys() == {"val", "test"}
    assert (record.pop("steps"), record.pop("ended_by"), record.pop("error")) == (10, "max_epochs", None)
    assert record.keys() == {"git_commit", "slurm_job", "photographs", "init", "teachers"}


@pytest.mark.parametrize("part", ["val", "test"])
def test_predictions_are_of_every_image_once_in_order(
    finished: tuple[Run, str], synthetic_root: Path, part: str
) -> None:
    with np.load(finished[0].path / "predictions" / f"{part}.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"logits", "labels", "indices"}
        logits, labels, indices = arrays["logits"], arrays["labels"], arrays["indices"]
    data = FashionMNISTDataModule(str(synthetic_root), val_size=VAL)
    data.setup()
    expected, labelled = {
        "val": (data.val_indices, data.data.train_labels),
        "test": (torch.arange(TEST), data.data.test_labels),
    }[part]
    assert (logits.dtype, labels.dtype, indices.dtype) == (np.float32, np.int64, np.int64)
    assert logits.shape == (len(expected), 10)
    assert np.isfinite(logits).all()
    assert np.array_equal(indices, expected)
    assert np.array_equal(labels, labelled[expected])


@pytest.mark.parametrize("part", ["val", "test"])
def test_every_metric_can_be_recomputed_from_the_predictions(finished: tuple[Run, str], part: str) -> None:
    run = finished[0]
    predictions, found = run.predictions(part), run.record["metrics"][part]
    logits, labels = torch.from_numpy(predictions.logits), torch.from_numpy(predictions.labels)
    expected = plain_metrics(classification_metrics()(logits, labels))  # tests/models compares these
    expected |= {"images": len(labels), "loss": float(torch.nn.functional.cross_entropy(logits, labels))}
    expected["top2_accuracy"] = float(MulticlassAccuracy(10, top_k=2, average="micro")(logits, labels))
    expected["calibration_error"] = float(MulticlassCalibrationError(10, n_bins=15)(logits, labels))
    assert found.keys() == expected.keys()
    assert found["confusion_matrix"] == expected.pop("confusion_matrix")
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    assert predictions.accuracy == pytest.approx(found["accuracy"], abs=1e-6)


def test_the_table_has_a_row_an_epoch(finished: tuple[Run, str]) -> None:
    table = rows(finished[0])
    assert [row["epoch"] for row in table] == ["0", "1"]
    assert [row["step"] for row in table] == ["4", "9"]
    columns = {f"{part}/{name}" for part in ("train", "val") for name in ("loss", "accuracy")}
    columns |= {"learning_rate", "images_per_second", "seconds", "val/f1", "val/calibration_error"}
    for row in table:
        assert all(math.isfinite(float(row[name])) for name in columns)
    best = max(float(row["val/accuracy"]) for row in table)
    assert finished[0].record["metrics"]["val"]["accuracy"] == pytest.approx(best, abs=1e-6)


def test_tensorboard_shows_everything(finished: tuple[Run, str]) -> None:
    run = finished[0]
    events = EventAccumulator(str(run.path), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    pairs = {f"{part}/{name}" for part in ("train", "val") for name in ("loss", "accuracy")}
    assert pairs | {"learning_rate", "images_per_second"} <= set(tags["scalars"])
    assert {"final/val_accuracy", "final/test_accuracy"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("val/accuracy")] == [4, 9]
    accuracy = events.Scalars("final/test_accuracy")[-1].value
    assert accuracy == pytest.approx(run.record["metrics"]["test"]["accuracy"])
    assert {f"figures/{name}" for name in FIGURES} <= set(tags["images"])
    assert tags["graph"]
    assert "custom_scalars__config__" in tags["tensors"]
    layout = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    assert all(tag.encode() in layout for tag in pairs)
    assert "_hparams_/session_start_info" in events.summary_metadata
    folder = run.path / "00000" / "test_embedding"
    assert np.loadtxt(folder / "tensors.tsv").shape[0] == TEST
    names = (folder / "metadata.tsv").read_text().splitlines()
    assert names == [CLASSES[label] for label in run.predictions("test").labels]
    with Image.open(folder / "sprite.png") as sprite:
        assert sprite.size == (15 * 28, 15 * 28)  # the smallest square of 200 images


def test_what_is_printed(finished: tuple[Run, str]) -> None:
    run, output = finished
    first, second, *lines = output.splitlines()
    assert first.startswith(f"MLP, {PARAMETERS:,} parameters, on 1 x cpu, ")
    assert first.endswith("32-true (as asked), channels last")
    assert second == f"500 training and 100 validation images; run folder {run.path}"
    assert [line[:11] for line in lines[:2]] == ["epoch   1/2", "epoch   2/2"]
    assert run.predictions("test").report() in output
    accuracy = run.record["metrics"]["test"]["accuracy"]
    assert re.fullmatch(rf"test accuracy {accuracy:.4f} after 2 epochs in \d+ s; run folder .*", lines[-1])


def test_the_configuration_gives_the_same_run_again(
    finished: tuple[Run, str], train: Callable[..., Run]
) -> None:
    first = finished[0]
    again = main(["--config", str(first.path / "config.yaml")])
    assert again is not None
    assert again.path == first.path.with_name("version_1")
    for part in ("val", "test"):
        assert np.array_equal(again.predictions(part).logits, first.predictions(part).logits)
    assert equal(checkpoint(again, "last"), checkpoint(first, "last"))


def test_what_is_logged_reaches_the_loggers_that_the_user_named(
    train: Callable[..., Run], tmp_path: Path
) -> None:
    parts = [
        {"class_path": name, "init_args": {"save_dir": str(tmp_path / name), "name": "", "version": ""}}
        for name in ("CSVLogger", "TensorBoardLogger")
    ]
    path = tmp_path / "loggers.yaml"
    path.write_text(yaml.safe_dump({"trainer": {"logger": parts, "log_every_n_steps": 2}}))
    run = train("--config", str(path), "--ema", "0.5", "--seed_everything", "7")
    events = EventAccumulator(str(tmp_path / "TensorBoardLogger")).Reload()
    table = table_rows(tmp_path / "CSVLogger" / "metrics.csv")
    names = {f"{part}/{name}" for part in ("train", "val", "test") for name in ("loss", "accuracy")}
    names |= {"final/val_accuracy", "final/test_accuracy", "test/f1", "step/learning_rate", "seconds"}
    assert names <= set(events.Tags()["scalars"])
    assert names <= {name for row in table for name, value in row.items() if value}
    accuracy = run.record["metrics"]["test"]["accuracy"]
    assert events.Scalars("test/accuracy")[-1].value == pytest.approx(accuracy)
    assert [float(row["test/accuracy"]) for row in table if row["test/accuracy"]] == pytest.approx([accuracy])
    wanted = {"seed": 7, "batch_size": 100, "ema": 0.5, "shift": 1, "max_epochs": 2, "learning_rate": 0.01}
    for name in ("CSVLogger", "TensorBoardLogger"):
        found = yaml.full_load((tmp_path / name / "hparams.yaml").read_text())
        assert {key: found.get(key) for key in wanted} == wanted


def test_the_configuration_keeps_a_null_that_overrides_a_default(train: Callable[..., Run]) -> None:
    run = train("--trainer.max_epochs", "null", "--trainer.max_steps", "3")
    assert "\n  max_epochs: null\n" in (run.path / "config.yaml").read_text()


def test_the_seed_does_not_choose_the_split(train: Callable[..., Run]) -> None:
    runs = [train(*flags) for flags in ([], ["--seed_everything", "1"], ["--data.split_seed", "1"])]
    assert not equal(checkpoint(runs[0], "last"), checkpoint(runs[1], "last"))
    first, other_seed, other_split = (run.predictions("val").indices for run in runs)
    assert np.array_equal(first, other_seed)
    assert not np.array_equal(first, other_split)
