"""Blends weight their members by likelihood; members that would leak are refused. See also test_fit."""

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from fmnist.baselines.blend import Blend, fit_weights, load_blend
from fmnist.baselines.config import configure
from fmnist.baselines.members import check_member, copy_model, find_members
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.inference.predictor import load_logits

LABELS = np.arange(800) % 10
IMAGES = np.random.default_rng(0).integers(256, size=(4, 28, 28)).astype(np.uint8)
LEAK = r"was trained on images that are validation here; make both with the same --data\.split_seed"


def informed_logits(spread: float, signal: float, seed: int) -> np.ndarray:
    """Return logits (800, 10) that depend on the labels."""
    noise = np.random.default_rng(seed).normal(size=(800, 10))
    return spread * (noise + signal * np.eye(10)[LABELS])


def loss(log_probabilities: np.ndarray) -> float:
    return -float(log_probabilities[np.arange(800), LABELS].mean())


def test_the_weights_are_the_likeliest() -> None:
    logits = np.stack([informed_logits(1, signal, seed) for seed, signal in enumerate((3, 2, 0.5))])
    columns = softmax(logits, axis=2)[:, np.arange(800), LABELS].T
    weights = fit_weights(columns)
    assert weights.sum() == pytest.approx(1)
    optimum = minimize(lambda free: -np.log(columns @ softmax(free)).mean(), np.zeros(3), tol=1e-10).x
    np.testing.assert_allclose(weights, softmax(optimum), atol=2e-3)


def test_a_blend_is_a_weighted_mean_of_probabilities() -> None:
    first, second = (np.random.default_rng(seed).normal(size=(5, 10)) for seed in (0, 1))
    blend = Blend([2.0, 0.5], [0.25, 0.75], [lambda _: first, lambda _: second])
    expected = 0.25 * softmax(first / 2, axis=1) + 0.75 * softmax(second / 0.5, axis=1)
    combined = blend.logits(np.zeros((5, 28, 28), np.uint8))
    assert combined.dtype == np.float32
    np.testing.assert_allclose(np.exp(combined), expected, rtol=1e-5)


def test_two_models_are_better_than_one() -> None:
    logits = [informed_logits(scale, 1.5, seed) for seed, scale in ((0, 1), (1, 20))]
    blend = Blend.fit(logits, LABELS, [lambda _, rows=rows: rows for rows in logits])
    single = min(loss(log_softmax(s / t, axis=1)) for s, t in zip(logits, blend.temperatures, strict=True))
    assert loss(blend.logits(np.zeros((800, 28, 28), np.uint8))) < single
    assert blend.weights == pytest.approx([0.5, 0.5], abs=0.15)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"weights": [1]}',
        '{"weights": [1, 0], "temperatures": [1]}',
        '{"weights": [NaN], "temperatures": [1]}',
        '{"weights": [1], "temperatures": [0]}',
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "blend.json").write_text(content)
    with pytest.raises(InputError, match=r"blend\.json: is damaged"):
        load_blend(tmp_path, lambda _: pytest.fail("a member was loaded"))


SPLITS = [  # fold of the member, with 100 validation images; split seed, fold and images here; is it a leak?
    (0, 0, 0, 100, False), (0, 0, 0, 60, False), (0, 3, 0, 0, False), (0, 0, 1, 50, False),
    (0, 1, 0, 100, True), (0, 0, 0, 101, True), (0, 0, 1, 100, True), (0, 0, 2, 50, True),
    (1, 0, 1, 100, False), (1, 0, 2, 50, False), (1, 0, 3, 50, False),
    (1, 0, 0, 100, True), (1, 0, 1, 50, True),
]  # fmt: skip


def test_a_run_that_was_trained_on_validation_images_or_other_files_is_refused(network: Run) -> None:
    digests, trained = network.record["data_sha256"], network.record["split"]
    for trained_fold, seed, fold, val, is_leak in SPLITS:
        network.update(split={**trained, "fold": trained_fold})
        split = {"split_seed": seed, "fold": fold, "val": val}
        with pytest.raises(InputError, match=LEAK) if is_leak else contextlib.nullcontext():
            check_member(network, "--blend", digests, split)
    with pytest.raises(InputError, match=r"was trained on other files than those of --data\.root"):
        check_member(network, "--blend", {"train-images-idx3-ubyte": "0"}, trained)


def test_a_shipped_network_keeps_its_name_whose_folder_is_elsewhere_on_another_machine() -> None:
    blend = configure(["--blend", "[cnn, lenet5]"])
    embedding = configure(["--estimator", "sklearn.svm.SVC", "--features", "[embedding: cnn]"])
    assert find_members(blend)[0].blend == ["cnn", "lenet5"]
    assert find_members(embedding)[0].features == [{"embedding": "cnn"}]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_copied_model_needs_nothing_of_its_run(
    network: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    copy = tmp_path / "copy"
    for name in ("last.ckpt", "best_before_end.ckpt", "epoch=3.ckpt"):
        (network.path / "checkpoints" / name).write_bytes(b"of no use to a blend")
    expected = load_logits(network.path)(IMAGES)
    copy_model(network, copy)
    checkpoint = Path("checkpoints", "best.ckpt")
    assert {str(path.relative_to(copy)) for path in copy.rglob("*.*")} == {"config.yaml", str(checkpoint)}
    assert (copy / checkpoint).samefile(network.path / checkpoint) == has_links
    for name in ("config.yaml", checkpoint):
        (network.path / name).unlink()
    assert np.array_equal(load_logits(copy)(IMAGES), expected)
