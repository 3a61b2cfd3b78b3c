"""A finished run answers as it did when it was evaluated."""

from pathlib import Path

import numpy as np
import pytest

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.inference.predictor import Predictor
from fmnist.training import report
from fmnist.training.train import main


@pytest.fixture(scope="module")
def run(synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    logs = tmp_path_factory.mktemp("logs")
    flags = ["--model", "fmnist.models.cnn.LitCNN", "--model.widths", "[8]", "--model.flip_average", "true"]
    flags += ["--data.root", str(synthetic_root), "--data.batch_size", "100", "--data.val_size", "100"]
    flags += ["--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.max_epochs", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["train.py"])
        patch.setattr(report, "draw_figures", lambda *_: {})  # they take most of the time
        patch.setattr(report, "write_tensorboard", lambda *_: None)
        made = main([*flags, "--logs", str(logs)])
    assert made is not None
    return Run(made.path)


def test_logits_are_those_of_the_saved_predictions(run: Run, synthetic_root: Path) -> None:
    images = source.load(synthetic_root).test_images.numpy()
    predictor = Predictor(run)
    np.testing.assert_allclose(predictor.logits(images), run.predictions("test").logits, atol=1e-5)
    assert predictor.embeddings(images[:3]).shape == (3, 8)


def test_the_head_of_the_embeddings_gives_the_logits(run: Run, synthetic_root: Path) -> None:
    images = source.load(synthetic_root).test_images.numpy()[:20]
    predictor = Predictor(run)
    head = predictor.classifier.network.head
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    embeddings = (predictor.embeddings(images) + predictor.embeddings(mirrored)) / 2
    weight, bias = head.weight.detach().numpy(), head.bias.detach().numpy()
    np.testing.assert_allclose(embeddings @ weight.T + bias, predictor.logits(images), atol=1e-5)


@pytest.mark.parametrize("status", ["running", "failed", "stopped"])
def test_a_run_that_is_not_finished_is_refused(status: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"is {status}, and only a finished run"):
        Predictor(Run.create(tmp_path, "half", kind="lightning", status=status))


def test_an_estimator_has_no_network(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "svm", kind="scikit-learn", status="finished")
    with pytest.raises(InputError, match="is a scikit-learn run, it holds no network"):
        Predictor(run).embeddings(np.zeros((1, 28, 28), np.uint8))
