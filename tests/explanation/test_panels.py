"""Panels, comparisons and averages hold what they say: the right maps, captions and classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from fmnist.core.constants import CLASSES
from fmnist.core.runs import Run
from fmnist.explanation import panels
from fmnist.explanation.attribution import Explainer, load_network, upsample
from fmnist.explanation.output import Output
from fmnist.explanation.selection import Selection, by_index, load_test_set
from fmnist.explanation.targets import Target, parse_target
from fmnist.figures.overlays import Panel
from fmnist.models.loading import in_batches
from tests.explanation.conftest import Make


class Kept(Output):
    """Keeps what would be written."""

    def __init__(self) -> None:
        self.figures: dict[str, Figure] = {}
        self.saved: dict[str, dict[str, np.ndarray]] = {}

    def figure(self, name: str, figure: Figure, board: bool = True) -> None:
        self.figures[name] = figure

    def arrays(self, name: str, **arrays: np.ndarray) -> None:
        self.saved[name] = arrays


@pytest.fixture
def run(make_run: Make) -> Run:
    return make_run()


@pytest.fixture
def explainer(run: Run) -> Explainer:
    return Explainer(load_network(run))


@pytest.fixture
def test_set(run: Run, synthetic_root: Path) -> Selection:
    return load_test_set(run, str(synthetic_root))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_panels_hold_images_maps_and_answers(run: Run, explainer: Explainer, test_set: Selection) -> None:
    chosen, output = by_index(test_set, [5, 0, 17]), Kept()
    panels.draw_panels(run, explainer, parse_target("true"), chosen, output)
    single = [f"gradcam-true/test-{index:05d}" for index in (5, 0, 17)]
    assert list(output.figures) == [*single, "gradcam-true"]
    saved = output.saved["gradcam-true"]
    assert chosen.labels is not None
    signs = np.eye(10, dtype=np.float32)[chosen.labels]
    np.testing.assert_array_equal(saved["coefficients"], signs)
    np.testing.assert_array_equal(saved["labels"], chosen.labels)
    np.testing.assert_allclose(saved["maps"], explainer.maps(chosen.images, signs), atol=1e-7)
    assert saved["evidence"].shape == (3, 28, 28)
    logits = in_batches(explainer.network, chosen.images)
    np.testing.assert_array_equal(saved["logits"], logits)
    written = texts(output.figures["gradcam-true"])
    for label, index, said in zip(chosen.labels, (5, 0, 17), logits.argmax(1), strict=True):
        caption = next(text for text in written if text.startswith(f"true {CLASSES[label]} (#{index})\n"))
        assert f"predicted {CLASSES[said]} 0." in caption
        assert f"for {CLASSES[label]}" in written
    assert output.figures["gradcam-true"].texts[0].get_text() == "Grad-CAM of cnn, layer stages"


def test_another_layer_and_a_contrast_are_in_the_name(run: Run, test_set: Selection) -> None:
    explainer, output = Explainer(load_network(run), "layercam", "stages.0"), Kept()
    panels.draw_panels(run, explainer, Target(6, 0), by_index(test_set, [0]), output)
    assert "layercam-stages.0-Shirt-vs-T-shirt-top" in output.figures
    assert "for Shirt,\nnot T-shirt/top" in texts(output.figures["layercam-stages.0-Shirt-vs-T-shirt-top"])


def test_the_scale_can_be_shared(run: Run, explainer: Explainer, test_set: Selection) -> None:
    chosen = by_index(test_set, [0, 1, 2, 3])
    peaks = {}
    for shared in (False, True):
        output = Kept()
        panels.draw_panels(run, explainer, Target("predicted"), chosen, output, shared)
        heats = [ax for ax in output.figures["gradcam-predicted"].axes if ax.images][1::3]
        peaks[shared] = [np.asarray(ax.images[0].get_array()).max() for ax in heats]
        strongest = output.saved["gradcam-predicted"]["evidence"].max((1, 2))
    assert peaks[False] == pytest.approx([1] * 4)
    assert peaks[True] == pytest.approx(strongest / strongest.max())


def test_pictures_are_captioned_by_their_names(run: Run, explainer: Explainer, test_set: Selection) -> None:
    pictures = Selection(("cost$5 or $6 and a very long name.png",), test_set.images[:1], None)
    output = Kept()
    panels.draw_panels(run, explainer, Target("predicted"), pictures, output)
    assert "labels" not in output.saved["gradcam-predicted"]
    caption = texts(output.figures["gradcam-predicted"])[0]
    assert caption.startswith(r"cost\$5 or \$6")
    assert len(caption.partition("\n")[0]) <= panels.LONGEST
    for figure in output.figures.values():
        figure.canvas.draw()  # a lone dollar would be a formula, and fail here


def test_runs_side_by_side(
    run: Run, make_run: Make, mlp_run: Run, test_set: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[list[tuple[Panel, ...]], list[str]]] = []
    original = panels.overlays.comparison
    monkeypatch.setattr(
        panels.overlays, "comparison", lambda *args: drawn.append(args[:2]) or original(*args)
    )
    output = Kept()
    chosen, others = by_index(test_set, [3, 4]), [make_run(), mlp_run]
    models = [(each, load_network(each)) for each in (run, *others)]
    panels.draw_comparison(models, "gradcam", "stages.0", Target("predicted"), chosen, output)
    assert list(output.figures) == ["compare-gradcam-predicted"]
    ((rows, names),) = drawn
    assert names == ["cnn version_0", "cnn version_1", "mlp"]
    for place, row in enumerate(rows):
        assert [panel.evidence is None for panel in row] == [False, False, True]
        for panel, model, layer in zip(row, [run, others[0]], ["stages.0", None], strict=False):
            network = load_network(model)
            signs = np.eye(10, dtype=np.float32)[in_batches(network, chosen.images).argmax(1)]
            maps = upsample_all(Explainer(network, "gradcam", layer), chosen.images, signs)
            np.testing.assert_allclose(panel.evidence, maps[place], atol=1e-6)
        assert all(panel.question.startswith("predicted ") for panel in row)


def upsample_all(explainer: Explainer, images: np.ndarray, signs: np.ndarray) -> np.ndarray:
    return upsample(torch.from_numpy(explainer.maps(images, signs))).numpy()


@pytest.mark.parametrize("target", ["predicted", "Shirt"])
@pytest.mark.parametrize("method", ["gradcam", "integrated-gradients"])  # without signs and with them
def test_averages_by_class(method: str, target: str, run: Run, test_set: Selection) -> None:
    output, explainer = Kept(), Explainer(load_network(run), method)
    test_set = by_index(test_set, list(range(20)))
    panels.draw_averages(run, explainer, parse_target(target), test_set, output)
    saved = output.saved[f"average-{method}-{target}"]
    predicted = in_batches(explainer.network, test_set.images).argmax(1)
    classes = predicted if target == "predicted" else test_set.labels
    signs = np.eye(10, dtype=np.float32)[predicted if target == "predicted" else [6] * len(predicted)]
    maps = upsample_all(explainer, test_set.images, signs).clip(min=0)
    shares = [one / one.max() if one.max() > 1e-6 else one * 0 for one in maps]
    np.testing.assert_array_equal(saved["classes"], np.unique(classes))
    for label, mean in zip(saved["classes"], saved["maps"], strict=True):
        expected = np.mean([share for share, of in zip(shares, classes, strict=True) if of == label], axis=0)
        np.testing.assert_allclose(mean, expected, atol=1e-5)
    figure = output.figures[f"average-{method}-{target}"]
    count = (classes == saved["classes"][0]).sum()
    assert f"{CLASSES[saved['classes'][0]]}\n{count:,} images" in texts(figure)


def test_decision_scores_are_no_probabilities(run: Run, explainer: Explainer, test_set: Selection) -> None:
    run.record["scores"] = "decision scores"
    output = Kept()
    panels.draw_panels(run, explainer, Target("predicted"), by_index(test_set, [0]), output)
    assert "0." not in texts(output.figures["gradcam-predicted"])[0]
