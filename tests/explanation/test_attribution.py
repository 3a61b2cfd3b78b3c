"""An explainer changes nothing, depends on no batch, and refuses what it cannot do."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.explanation.attribution import (
    BlackBox,
    Explainer,
    load_network,
    map_sizes,
    possible,
    refusal,
    to_door,
    upsample,
)
from fmnist.explanation.methods import METHODS
from fmnist.inference.predictor import Predictor
from fmnist.models.cnn import LitCNN
from fmnist.models.loading import load_classifier
from fmnist.models.mlp import MLP
from tests.explanation.conftest import Make


def asked(count: int) -> Tensor:
    return nn.functional.one_hot(torch.arange(count) % 10, 10).float()


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_single_images(method: str, network: nn.Module, pixels: np.ndarray) -> None:
    if not possible(network, method):
        pytest.skip(f"no {method} for this network")
    count = 32 if METHODS[method].needs_layer else 4
    explainer, images, signs = Explainer(network, method), to_door(pixels[:count]), asked(count)
    batch = explainer(images, signs)
    singles = torch.cat([explainer(images[[i]], signs[[i]]) for i in range(count)])
    logits = network(images).detach().abs().max().item()  # occlusion is their difference, so is its rounding
    torch.testing.assert_close(batch, singles, atol=1e-6 * max(1, logits), rtol=0)
    assert batch.abs().max() > 0


@pytest.mark.parametrize("method", METHODS)
def test_the_network_stays_as_it_was(method: str, network: nn.Module, pixels: np.ndarray) -> None:
    if not possible(network, method):
        pytest.skip(f"no {method} for this network")
    network.train()
    first = next(network.children())
    first.eval()
    for parameter in list(network.parameters())[::2]:
        parameter.grad = torch.ones_like(parameter)
        parameter.requires_grad_(False)

    def state() -> tuple[object, ...]:
        modules = list(network.modules())
        hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in modules]
        weights = [(p.grad is None, p.requires_grad) for p in network.parameters()]
        return [m.training for m in modules], hooks, weights

    before, tensors = state(), {name: value.clone() for name, value in network.state_dict().items()}
    images = to_door(pixels[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Explainer(network, method)(images, asked(2))
    assert state() == before
    assert all(torch.equal(value, tensors[name]) for name, value in network.state_dict().items())
    assert all(p.grad is None or (p.grad == 1).all() for p in network.parameters())
    assert not images.requires_grad
    assert torch.equal(images, to_door(pixels[:2]))


def test_the_mode_comes_back_after_an_error(cnn: nn.Module) -> None:
    explainer = Explainer(cnn)
    cnn.train()
    with pytest.raises(RuntimeError):
        explainer(torch.zeros(1, 3, 28, 28), asked(1))
    assert all(module.training for module in cnn.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in cnn.modules())


def test_dropout_and_normalisation_are_those_of_evaluation(pixels: np.ndarray) -> None:
    torch.manual_seed(0)
    network = MLP((16,), dropout=0.5, batch_norm=True)
    explainer, images = Explainer(network, "integrated-gradients"), to_door(pixels[:3])
    once = explainer(images, asked(3))
    assert torch.equal(once, explainer(images, asked(3)))
    torch.testing.assert_close(once[:1], explainer(images[:1], asked(1)), atol=1e-6, rtol=1e-4)


def test_frozen_weights_and_inference_mode_do_not_matter(cnn: nn.Module, pixels: np.ndarray) -> None:
    expected = Explainer(cnn)(to_door(pixels[:3]), asked(3))
    cnn.requires_grad_(False)
    assert torch.equal(Explainer(cnn)(to_door(pixels[:3]), asked(3)), expected)
    with torch.inference_mode():
        assert torch.equal(Explainer(cnn)(to_door(pixels[:3]), asked(3)), expected)


def test_the_memory_format_does_not_matter(network: nn.Module, pixels: np.ndarray) -> None:
    last = Explainer(network)(to_door(pixels[:8]), asked(8))
    first = Explainer(network.to(memory_format=torch.contiguous_format))(to_door(pixels[:8]), asked(8))
    torch.testing.assert_close(last, first, atol=1e-6, rtol=1e-4)


def test_images_at_rest_are_explained_in_batches(cnn: nn.Module, pixels: np.ndarray) -> None:
    explainer = Explainer(cnn, "integrated-gradients")  # five at once
    maps = explainer.maps(pixels[:23], asked(23).numpy())
    assert maps.shape == (23, 28, 28)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, explainer(to_door(pixels[:23]), asked(23)).numpy(), atol=1e-7)


def test_maps_are_enlarged_bilinearly() -> None:
    maps = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    large = upsample(maps)
    assert large.shape == (1, 28, 28)
    across = torch.clamp((torch.arange(28) + 0.5) / 14 - 0.5, 0, 1)  # half-pixel centres
    torch.testing.assert_close(large[0], across.expand(28, 28))


def test_the_layer_can_be_chosen(cnn: nn.Module, pixels: np.ndarray) -> None:
    assert Explainer(cnn).layer == "stages"
    explainer = Explainer(cnn, layer="stages.0")
    assert explainer(to_door(pixels[:1]), asked(1)).shape == (1, 13, 13)
    with pytest.raises(
        InputError, match=re.escape("--layer pool: has no map; layers with one are stem (27 x 27)")
    ):
        Explainer(cnn, layer="pool")
    with pytest.raises(InputError, match=re.escape("stages.1.6 (6 x 6)")):
        Explainer(cnn, layer="nowhere")


def test_a_network_that_names_no_layer_wants_one() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))
    with pytest.raises(
        InputError, match=re.escape("--layer: must be given for Sequential; layers with one are 0")
    ):
        Explainer(network)
    assert Explainer(network, layer="1").layer == "1"


def test_every_network_with_maps_names_its_layer(network: nn.Module) -> None:
    assert getattr(network, "cam_layer") in map_sizes(network)  # noqa: B009
    assert not any(module._forward_hooks for module in network.modules())


def test_what_does_not_go_is_refused_and_others_offered(cnn: nn.Module) -> None:
    with pytest.raises(InputError, match="--method magic: unknown; must be one of gradcam, hirescam"):
        Explainer(cnn, "magic")
    for method in ("gradcam", "hirescam", "layercam", "guided-gradcam"):
        reason = refusal(MLP((16,)), method)
        assert reason == (
            f"--method {method}: needs a layer whose output is a map, and MLP has none; "
            "use integrated-gradients, smoothgrad, occlusion"
        )
    reason = refusal(cnn, "guided-gradcam")
    assert reason is not None
    assert "changes how nn.ReLU passes gradients back, and CNN has none to change" in reason


class Estimator(Predictor):
    """A black box whose scores are sums of pixels."""

    def __init__(self) -> None:
        pass

    def logits(self, images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8
        sums = images.reshape(len(images), -1).sum(1, dtype=np.float32)
        return np.stack([sums * label for label in range(10)], 1)


def test_a_black_box_can_be_occluded(pixels: np.ndarray) -> None:
    network = BlackBox(Estimator())
    maps = Explainer(network, "occlusion")(to_door(pixels[:2]), asked(2))
    assert (maps[0] == 0).all()  # class 0 takes no pixel into account
    assert maps[1].numpy()[8:12, 8:12].min() > 0
    reason = "needs gradients, which a scikit-learn estimator does not have; use occlusion"
    assert refusal(network, "gradcam") == f"--method gradcam: {reason}"


def test_a_run_is_loaded_by_its_kind(make_run: Make, tmp_path: Path) -> None:
    run = make_run()
    network = load_network(run)
    assert type(network).__name__ == "CNN"
    assert not network.training
    estimator = Run.create(tmp_path, "svm", kind="scikit-learn", status="finished")
    assert isinstance(load_network(estimator), BlackBox)
    with pytest.raises(InputError, match="is stopped, and only a finished run"):
        load_network(Run.create(tmp_path, "half", kind="lightning", status="stopped"))


def test_a_checkpoint_of_a_compiled_network_is_explained_alike(
    make_run: Make, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    expected = Explainer(load_network(run))(to_door(pixels[:2]), asked(2))
    model = load_classifier(run.path)
    assert isinstance(model, LitCNN)
    model.network.compile(backend="eager")
    torch.save({"state_dict": model.state_dict()}, run.path / "checkpoints" / "best.ckpt")
    assert torch.equal(Explainer(load_network(run))(to_door(pixels[:2]), asked(2)), expected)
