"""Loading trained networks from run folders, refusing everything else, and applying them in batches."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

from fmnist.core.errors import InputError
from fmnist.models import weights
from fmnist.models.cnn import LitCNN
from fmnist.models.loading import in_batches, load_classifier, read_checkpoint
from fmnist.models.mlp import LitMLP
from tests.inference.networks import save_network


def test_the_loaded_model_has_the_logits_of_the_saved_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    saved = save_network(tmp_path / "run", LitCNN, widths=[8, 8], flip_average=True)
    loaded = load_classifier(tmp_path / "run")
    images = torch.rand(5, 1, 28, 28)
    assert type(loaded) is LitCNN
    assert not loaded.training
    logits = loaded.evaluation_logits(images)
    assert torch.equal(logits, saved.evaluation_logits(images))
    assert not torch.equal(logits, loaded(images))  # of one view alone


def test_a_checkpoint_of_a_compiled_network_is_loaded_like_another(tmp_path: Path) -> None:
    saved = save_network(tmp_path / "run", LitMLP, widths=[8])
    saved.network.compile(backend="eager")  # needs no compiler
    torch.save({"state_dict": saved.state_dict()}, tmp_path / "run" / "checkpoints" / "best.ckpt")
    images = torch.rand(5, 1, 28, 28)
    loaded = load_classifier(tmp_path / "run")
    assert torch.allclose(loaded.evaluation_logits(images), saved.evaluation_logits(images), atol=1e-6)


def test_a_file_of_weights_builds_networks_only(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 2)
    weights.write(tmp_path / "w.safetensors", network, {"in_features": 2, "out_features": 2})
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        metadata = file.metadata()
    call = {"class_path": "os.mkdir", "init_args": f'{{"path": "{tmp_path}/exploded"}}'}
    state = {name: values.half() for name, values in network.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors", metadata | call)
    with pytest.raises(InputError, match=r"cannot be built \(os.mkdir is no network\)"):
        weights.load(tmp_path / "w.safetensors")
    assert not (tmp_path / "exploded").exists()


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, ("exploded",)


def break_config(folder: Path, **model: Any) -> None:
    content = yaml.safe_load((folder / "config.yaml").read_text())
    content["model"] |= model
    (folder / "config.yaml").write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.yaml").unlink(), "config.yaml: cannot be read"),
        (lambda f: (f / "config.yaml").write_text("[1"), "names no model"),
        (lambda f: break_config(f, class_path="nowhere.Model"), "cannot be imported"),
        (lambda f: break_config(f, class_path="fmnist.models.mlp.Model"), "names no model"),
        (lambda f: break_config(f, class_path="fmnist.models.mlp.MLP"), "is not a Classifier"),
        (lambda f: break_config(f, init_args={"wide": 1}), "does not fit LitMLP"),
        (lambda f: break_config(f, init_args={"dropout": 2.0}), "does not fit LitMLP"),
        (lambda f: break_config(f, init_args={"widths": [17]}), "is of another network"),
        (lambda f: (f / "checkpoints/best.ckpt").unlink(), "best.ckpt: cannot be read"),
        (lambda f: torch.save({}, f / "checkpoints/best.ckpt"), "is of another network"),
        (lambda f: torch.save([1], f / "checkpoints/best.ckpt"), "is damaged"),
        (lambda f: torch.save({"state_dict": Bomb()}, f / "checkpoints/best.ckpt"), "more than weights"),
        (lambda f: (f / "checkpoints/best.ckpt").write_text("no zip"), "is damaged"),
    ],
)
def test_an_error_names_the_file_and_what_is_wrong(
    damage: Callable[[Path], Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_network(tmp_path / "run", LitMLP, widths=[16])
    damage(tmp_path / "run")
    with pytest.raises(InputError, match=message) as caught:
        load_classifier(tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def damages(content: bytes) -> Iterator[bytearray]:
    """Yield copies of a checkpoint with one bit flipped or a block of zeros."""
    bits = list(range(0, 8 * len(content), 31))
    # the directory attribute of an entry: PyTorch alone would load its tensor as zeros
    bits += [8 * (match.start() + 38) + 4 for match in re.finditer(b"PK\1\2", content)]
    for bit in bits:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        yield damaged
    for start in range(0, len(content) - 64, 64):
        if any(content[start : start + 64]):
            yield bytearray(content[:start] + bytes(64) + content[start + 64 :])


def test_damage_anywhere_in_a_checkpoint_is_noticed_or_harmless(tmp_path: Path) -> None:
    path, weight = tmp_path / "some.ckpt", torch.rand(40, 5)
    torch.save({"epoch": 3, "state_dict": {"weight": weight, "bias": weight[0]}}, path)
    content, noticed, total = path.read_bytes(), 0, 0
    for damaged in damages(content):
        path.write_bytes(damaged)
        total += 1
        try:
            state = read_checkpoint(path)
        except InputError:
            noticed += 1
            continue
        assert state["epoch"] == 3
        assert torch.equal(state["state_dict"]["weight"], weight)
        assert torch.equal(state["state_dict"]["bias"], weight[0])
    assert total / 2 < noticed < total  # the rest is in fields that nothing reads


def test_batches_make_no_difference() -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)
    values = in_batches(lambda batch: batch.double().sum((2, 3)), images, batch_size=3)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[:, 0], images.sum((1, 2)) / 255, rtol=1e-6)
    with pytest.raises(InputError, match=r"must be uint8 \(N, 28, 28\), are float32"):
        in_batches(lambda batch: batch, images.astype(np.float32))
