"""Predictions computed again, and the time that a model takes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.data.of_run import data_of
from fmnist.evaluation import rerun
from fmnist.models.mlp import LitMLP
from tests.evaluation.made import make_run, on_data

CONFIG = """model:
  class_path: fmnist.models.mlp.LitMLP
  init_args:
    widths: [8]
"""


@pytest.fixture
def trained(synthetic_root: Path, tmp_path: Path) -> Run:
    """A run whose checkpoint is an untrained MLP."""
    split = {"split_seed": 3, "fold": 0, "train": 540, "val": 60, "test": 200}
    run = make_run(tmp_path, "mlp", val=0, split=split, **on_data(synthetic_root))
    (run.path / "config.yaml").write_text(CONFIG)
    model = LitMLP(widths=(8,)).eval()
    torch.save({"state_dict": model.state_dict()}, run.path / "checkpoints" / "best.ckpt")
    return run


def test_the_split_of_a_run_is_made_again(synthetic_root: Path, tmp_path: Path) -> None:
    split = {"split_seed": 3, "fold": 4, "train": 300, "val": 60, "test": 200}
    run = make_run(tmp_path, "mlp", val=0, split=split, **on_data(synthetic_root))
    made = FashionMNISTDataModule(str(synthetic_root), val_size=60, train_size=300, split_seed=3, fold=4)
    again = data_of(run, str(synthetic_root))
    assert again.split == made.split == split
    assert torch.equal(again.train_indices, made.train_indices)
    assert torch.equal(again.val_indices, made.val_indices)


def test_missing_predictions_are_computed_again_from_the_same_data_only(
    trained: Run, synthetic_root: Path
) -> None:
    (trained.path / "predictions" / "test.npz").unlink()
    test, val, lines = rerun.predictions(trained, str(synthetic_root))
    assert len(lines) == 2
    assert val is not None
    data = FashionMNISTDataModule(str(synthetic_root), val_size=60, split_seed=3)
    data.setup()
    np.testing.assert_array_equal(val.indices, data.val_indices)
    np.testing.assert_array_equal(val.labels, data.data.train_labels[data.val_indices])
    np.testing.assert_array_equal(test.labels, data.data.test_labels)
    model = LitMLP(widths=(8,)).eval()
    model.load_state_dict(
        torch.load(trained.path / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    )
    with torch.inference_mode():
        expected = model(data.data.test_images[:, None] / 255)
    np.testing.assert_allclose(test.logits, expected, atol=1e-5)
    again = rerun.predictions(trained, "nowhere")
    assert again[2] == []
    np.testing.assert_array_equal(again[0].logits, test.logits)
    (trained.path / "predictions" / "test.npz").unlink()
    trained.update(data_sha256={"t10k-images-idx3-ubyte": "ffff"})
    with pytest.raises(InputError, match="holds other data"):
        rerun.predictions(trained, str(synthetic_root))


def test_speed_says_how_it_was_measured(trained: Run) -> None:
    speed = rerun.measure_speed(trained, None)
    assert (speed["images"], speed["device"], speed["threads"]) == (1000, "cpu", torch.get_num_threads())
    assert speed["ms_per_image"] > 0
    assert rerun.measure_speed(trained, np.zeros((20, 28, 28), np.uint8))["images"] == 20


def test_a_model_that_cannot_be_loaded_has_no_speed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"best\.ckpt"):
        rerun.measure_speed(make_run(tmp_path), None)


@pytest.mark.parametrize("part", ["test", "val"])
def test_damaged_predictions_are_computed_again(trained: Run, synthetic_root: Path, part: str) -> None:
    (trained.path / "predictions" / "test.npz").unlink()  # was made without the model
    expected = rerun.predictions(trained, str(synthetic_root))
    path = trained.path / "predictions" / f"{part}.npz"
    path.write_bytes(b"no archive")
    *again, lines = rerun.predictions(trained, str(synthetic_root))
    assert [line.endswith("; computed again") for line in lines] == [True]
    assert f"{part}.npz: is damaged" in lines[0]
    for one, other in zip(again, expected, strict=False):
        np.testing.assert_array_equal(one.logits, other.logits)
    path.write_bytes(b"no archive")
    (trained.path / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(InputError, match=r"npz: is damaged .*\nand cannot be made again: .*holds no model"):
        rerun.predictions(trained, str(synthetic_root))
