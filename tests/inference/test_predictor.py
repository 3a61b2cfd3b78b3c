"""A finished run computes what it did when it was evaluated; tests/baselines has blends."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from fmnist.baselines.estimator import FittedEstimator
from fmnist.core.errors import InputError
from fmnist.core.images import as_pixels
from fmnist.core.runs import Run
from fmnist.inference.predictor import Predictor
from fmnist.models.cnn import LitCNN
from fmnist.models.loading import in_batches
from tests.inference.networks import make_model, make_run

IMAGES = np.random.default_rng(0).integers(256, size=(20, 28, 28)).astype(np.uint8)
CNN = {"widths": [8], "flip_average": True}


def test_a_network_computes_its_logits_and_embeddings(tmp_path: Path) -> None:
    predictor = Predictor(make_run(tmp_path, LitCNN, **CNN))
    logits = predictor.logits(IMAGES)
    np.testing.assert_allclose(
        logits, in_batches(make_model(LitCNN, **CNN).evaluation_logits, IMAGES), atol=1e-6
    )
    head = predictor.classifier.network.head
    mirrored = np.ascontiguousarray(IMAGES[:, :, ::-1])
    embeddings = (predictor.embeddings(IMAGES) + predictor.embeddings(mirrored)) / 2
    assert embeddings.shape == (20, 8)
    weight, bias = head.weight.detach().numpy(), head.bias.detach().numpy()
    np.testing.assert_allclose(embeddings @ weight.T + bias, logits, atol=1e-5)


def test_a_shipped_network_has_its_lightning_module_too() -> None:
    predictor = Predictor(Run.find("lenet5"))
    assert predictor.classifier is predictor.classifier
    computed = in_batches(predictor.classifier.evaluation_logits, IMAGES)
    np.testing.assert_allclose(computed, predictor.logits(IMAGES), atol=1e-5)


def test_pixels_are_the_embedding_of_any_other_model(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "bayes", kind="scikit-learn", status="finished")
    pipeline = make_pipeline(GaussianNB()).fit(as_pixels(IMAGES), np.arange(20) % 10)
    FittedEstimator([], pipeline, run.path).save(run.path)
    predictor = Predictor(run)
    np.testing.assert_array_equal(predictor.embeddings(IMAGES), as_pixels(IMAGES))
    with pytest.raises(InputError, match="is a scikit-learn run and holds no network"):
        predictor.classifier  # noqa: B018


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is failed, and only a finished run"):
        Predictor(Run.create(tmp_path, "half", kind="lightning", status="failed"))
    predictor = Predictor(make_run(tmp_path, LitCNN, **CNN))
    with pytest.raises(InputError, match=r"images: must be uint8 \(N, 28, 28\)"):
        predictor.logits(IMAGES.astype(float))
    empty = Run.create(tmp_path, "empty", kind="scikit-learn", status="finished")
    with pytest.raises(InputError, match=r"holds no model: no best.ckpt, weights.safetensors, est"):
        Predictor(empty).logits(IMAGES)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_not_numbers_are_refused(
    tmp_path: Path, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, LitCNN, **CNN)
    predictor = Predictor(run)
    predictor.classifier.network.head.bias.data[3] = value  # as if the network divided by zero
    with pytest.raises(InputError, match="its model gives scores that are not numbers for 20 of 20 images"):
        predictor.logits(IMAGES)
    path = run.path / "checkpoints" / "best.ckpt"
    torch.save({"state_dict": predictor.classifier.state_dict()}, path)
    with pytest.raises(InputError, match=r"best\.ckpt: network\.head\.bias is not finite"):
        Predictor(run).logits(IMAGES)
