"""A finished run of any kind computes what it did when it was evaluated."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from fmnist.baselines.blend import MEMBERS, Blend
from fmnist.baselines.estimator import FittedEstimator
from fmnist.baselines.members import copy_model
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data.arrays import as_pixels
from fmnist.inference.predictor import Predictor
from fmnist.models.cnn import LitCNN
from fmnist.models.loading import in_batches
from tests.inference.networks import make_model, make_run

IMAGES = np.random.default_rng(0).integers(256, size=(20, 28, 28)).astype(np.uint8)
CNN = {"widths": [8], "flip_average": True}


def make_estimator(logs: Path) -> Run:
    """Make a finished run of a small estimator that knows ten images."""
    run = Run.create(logs, "bayes", kind="scikit-learn", status="finished", scores="log-probabilities")
    classifier = GaussianNB(var_smoothing=1.0).fit(as_pixels(IMAGES), np.arange(20) % 10)
    FittedEstimator([], make_pipeline(classifier), run.path).save(run.path)
    (run.path / "config.yaml").write_text("estimator: {class_path: sklearn.naive_bayes.GaussianNB}\n")
    return run


def make_network(logs: Path) -> Run:
    return make_run(logs, LitCNN, **CNN)


def test_a_network_computes_its_logits_and_embeddings(tmp_path: Path) -> None:
    predictor = Predictor(make_network(tmp_path))
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


def test_a_blend_combines_its_members(tmp_path: Path) -> None:
    members = [make_network(tmp_path), make_estimator(tmp_path)]
    run, blend = Run.create(tmp_path, "blend", status="finished"), Blend([2.0, 0.5], [0.25, 0.75], [])
    for place, member in enumerate(members):
        copy_model(member, run.path / MEMBERS / str(place))
    blend.save(run.path)
    expected = blend.combine([Predictor(member).logits(IMAGES) for member in members])
    np.testing.assert_allclose(Predictor(run).logits(IMAGES), expected, atol=1e-5)


def test_pixels_are_the_embedding_of_any_other_model(tmp_path: Path) -> None:
    predictor = Predictor(make_estimator(tmp_path))
    np.testing.assert_array_equal(predictor.embeddings(IMAGES), as_pixels(IMAGES))
    with pytest.raises(InputError, match="is a scikit-learn run, it holds no network"):
        predictor.classifier  # noqa: B018


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is failed, and only a finished run"):
        Predictor(Run.create(tmp_path, "half", kind="lightning", status="failed"))
    predictor = Predictor(make_network(tmp_path))
    with pytest.raises(InputError, match=r"images: must be uint8 \(N, 28, 28\)"):
        predictor.logits(IMAGES.astype(float))
    empty = Run.create(tmp_path, "empty", kind="scikit-learn", status="finished")
    with pytest.raises(InputError, match=r"checkpoints: holds no model: no best.ckpt, estimator.skops or"):
        Predictor(empty).logits(IMAGES)
