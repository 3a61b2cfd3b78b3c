"""Panels, comparisons and averages hold the right maps, captions and classes."""

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from fmnist.core.calibration import find_temperature
from fmnist.core.constants import CLASSES
from fmnist.core.runs import Run
from fmnist.core.statistics import softmax
from fmnist.core.tables import counted, rounded_down
from fmnist.explanation import panels
from fmnist.explanation.attribution import Explainer, network_of, upsample
from fmnist.explanation.results import Output
from fmnist.explanation.selection import Selection, Target, parse_target
from fmnist.inference.answers import LEAST_PROBABILITY, picture_classifier
from fmnist.inference.predictor import Predictor
from fmnist.models.loading import in_batches
from fmnist.models.mlp import LitMLP
from fmnist.pictures import PreparedFile
from fmnist.pictures.preparation import SEVERAL_OBJECTS
from tests.explanation.conftest import MakeRun, one_hot
from tests.figures.reading import texts


class Memory(Output):
    """Keeps what would be written."""

    def __init__(self) -> None:
        self.figures: dict[str, Figure] = {}
        self.saved: dict[str, dict[str, np.ndarray]] = {}

    def figure(self, name: str, figure: Figure, tensorboard: bool = True) -> None:
        self.figures[name] = figure

    def arrays(self, name: str, **arrays: np.ndarray) -> None:
        self.saved[name] = arrays


@pytest.fixture
def output() -> Memory:
    return Memory()


@pytest.fixture
def explainer(run: Run) -> Explainer:
    return Explainer(network_of(Predictor(run)), "gradcam")


def draw(run: Run, explainer: Explainer, target: Target, images: Selection, *output_and_scale: Any) -> None:
    answers = panels.answer_images(Predictor(run), images, "data")
    panels.draw_panels(run, explainer, target, images, answers, *output_and_scale)


def upsampled(explainer: Explainer, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return upsample(torch.from_numpy(explainer.maps(images, one_hot(classes).numpy()))).numpy()


def test_panels_hold_images_maps_and_answers(
    run: Run, explainer: Explainer, test_set: Selection, output: Memory
) -> None:
    chosen = test_set.subset([5, 0, 17])
    assert chosen.labels is not None
    draw(run, explainer, parse_target("true"), chosen, output)
    saved = output.saved["gradcam-true"]
    logits, coefficients = in_batches(explainer.network, chosen.images), one_hot(chosen.labels).numpy()
    np.testing.assert_array_equal(saved["coefficients"], coefficients)
    np.testing.assert_array_equal(saved["labels"], chosen.labels)
    np.testing.assert_allclose(saved["maps"], explainer.maps(chosen.images, coefficients), atol=1e-7)
    np.testing.assert_array_equal(saved["logits"], logits)
    figure = output.figures["gradcam-true"]
    written = texts(figure)
    for label, index, predicted in zip(chosen.labels, (5, 0, 17), logits.argmax(1), strict=True):
        caption = next(text for text in written if text.startswith(f"true {CLASSES[label]} (#{index})\n"))
        assert f" {CLASSES[predicted]} 0." in caption.partition("\n")[2]
        assert f"for {CLASSES[label]}" in written
    assert figure.texts[0].get_text() == "Grad-CAM of cnn, layer stages"


def test_another_layer_and_a_contrast_are_in_the_name(run: Run, test_set: Selection, output: Memory) -> None:
    explainer = Explainer(network_of(Predictor(run)), "layercam", "stages.0")
    draw(run, explainer, Target(6, 0), test_set.subset([0]), output)
    figure = output.figures["layercam-stages.0-Shirt-vs-T-shirt-top"]
    assert "for Shirt,\nnot T-shirt/top" in texts(figure)


def test_the_scale_can_be_shared(run: Run, explainer: Explainer, test_set: Selection, output: Memory) -> None:
    peaks = {}
    for shared in (False, True):
        draw(run, explainer, Target("predicted"), test_set.subset(range(4)), output, shared)
        heat_maps = [ax for ax in output.figures["gradcam-predicted"].axes if ax.images][1::3]
        peaks[shared] = [np.asarray(ax.images[0].get_array()).max() for ax in heat_maps]
    strongest = output.saved["gradcam-predicted"]["evidence"].max((1, 2))
    assert peaks[False] == pytest.approx([1] * 4)
    assert peaks[True] == pytest.approx(strongest / strongest.max())


def test_answers_are_unsure_where_predict_says_so(
    run: Run, explainer: Explainer, test_set: Selection, output: Memory
) -> None:
    chosen = Selection(("clean", "doubtful"), test_set.images[[0, 0]], None, ((), (SEVERAL_OBJECTS,)))
    classify, _ = picture_classifier(Predictor(run))
    (expected,) = classify([PreparedFile("clean", "ok", (), test_set.images[0])])
    draw(run, explainer, Target("predicted"), chosen, output)
    answer = f"{expected.choices[0][0]} {rounded_down(expected.choices[0][1])}"
    captions = [text for text in texts(output.figures["gradcam-predicted"]) if answer in text]
    first = "unsure:" if expected.unsure else "predicted"
    assert captions == [f"clean\n{first} {answer}", f"doubtful\nunsure: {answer}"]


def test_pictures_are_captioned_by_their_names(
    run: Run, explainer: Explainer, test_set: Selection, output: Memory
) -> None:
    run.record["scores"] = "decision scores"
    pictures = Selection(("cost$5 or $6 and a very long name.png",), test_set.images[:1], None)
    draw(run, explainer, Target("predicted"), pictures, output)
    assert "labels" not in output.saved["gradcam-predicted"]
    caption = texts(output.figures["gradcam-predicted"])[0]
    assert caption.startswith(r"cost\$5 or \$6")
    assert len(caption.partition("\n")[0]) <= panels.LONGEST
    assert "0." not in caption  # decision scores are no probabilities
    for figure in output.figures.values():
        figure.canvas.draw()  # a lone dollar would be a formula, and fail here


def test_runs_are_drawn_side_by_side(
    run: Run, make_run: MakeRun, mlp_run: Run, test_set: Selection, output: Memory
) -> None:
    chosen, others = test_set.subset([3, 4]), [make_run(), mlp_run]
    models = [(each, network_of(Predictor(each))) for each in (run, *others)]
    answers = [panels.answer_images(Predictor(each), chosen, "data") for each, _ in models]
    panels.draw_comparison(models, "gradcam", "stages.0", Target("predicted"), chosen, answers, output)
    figure = output.figures["compare-gradcam-predicted"]
    written = texts(figure)
    assert {"cnn version_0", "cnn version_1", "mlp"} <= set(written)
    assert written.count("not possible\nfor this model") == 2  # the MLP has no maps
    assert sum(text.startswith(("predicted ", "unsure: ")) for text in written) == 6
    tiles = [np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images]
    for (_, network), layer, column in zip(models, ["stages.0", None], (1, 2), strict=False):
        predicted = in_batches(network, chosen.images).argmax(1)
        maps = upsampled(Explainer(network, "gradcam", layer), chosen.images, predicted)
        for row in range(2):
            single = panels.overlays.comparison([[panels.Panel(chosen.images[row], maps[row])]], [""], "")
            expected = [np.asarray(ax.images[0].get_array()) for ax in single.axes if ax.images][1]
            np.testing.assert_allclose(tiles[4 * row + column], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "target"),
    [("gradcam", "predicted"), ("integrated-gradients", "Shirt")],  # without signs and with them
)
def test_averages_by_class(method: str, target: str, run: Run, test_set: Selection, output: Memory) -> None:
    explainer, some = Explainer(network_of(Predictor(run)), method), test_set.subset(range(20))
    panels.draw_averages(run, explainer, parse_target(target), some, output)
    saved = output.saved[f"average-{method}-{target}"]
    predicted = in_batches(explainer.network, some.images).argmax(1)
    by_prediction = target == "predicted"
    classes = predicted if by_prediction else some.labels
    asked = predicted if by_prediction else np.full(20, CLASSES.index("Shirt"))
    maps = upsampled(explainer, some.images, asked).clip(min=0)
    scaled = np.array([one / one.max() if one.max() > 1e-6 else one * 0 for one in maps])
    np.testing.assert_array_equal(saved["classes"], np.unique(classes))
    for label, mean in zip(saved["classes"], saved["maps"], strict=True):
        np.testing.assert_allclose(mean, scaled[classes == label].mean(0), atol=1e-5)
    first = saved["classes"][0]
    caption = f"{CLASSES[first]}\n{counted((classes == first).sum(), 'image')}"
    assert caption in texts(output.figures[f"average-{method}-{target}"])


def test_an_image_has_the_probability_of_the_report(run: Run, test_set: Selection, output: Memory) -> None:
    temperature = find_temperature(run)
    assert temperature is not None
    assert abs(temperature - 1) > 0.1
    chosen = test_set.subset(range(4))
    explainer = Explainer(network_of(Predictor(run)), "gradcam")
    answers = panels.answer_images(Predictor(run), chosen, "data")
    models, target = [(run, explainer.network)], Target("predicted")
    panels.draw_panels(run, explainer, target, chosen, answers, output)
    panels.draw_comparison(models, "gradcam", None, target, chosen, [answers], output)
    shares = softmax(run.predictions("test").logits, temperature)
    for name in ("gradcam-predicted", "compare-gradcam-predicted"):
        written = " ".join(texts(output.figures[name]))
        for row in shares[:4]:
            assert f" {CLASSES[row.argmax()]} {rounded_down(row.max())}" in written


def test_a_caption_is_of_the_average_with_the_mirror_image_where_the_run_averages(
    make_run: MakeRun, pixels: np.ndarray, output: Memory
) -> None:
    predictor = Predictor(make_run(LitMLP, flip_average=True))
    run, explainer = predictor.run, Explainer(network_of(predictor), "smoothgrad")
    alone, average = in_batches(explainer.network, pixels), predictor.logits(pixels)
    place, *_ = np.flatnonzero(alone.argmax(1) != average.argmax(1))  # the mirror image changes the answer
    draw(run, explainer, Target("predicted"), Selection(("it",), pixels[[place]], None), output)
    written = texts(output.figures["smoothgrad-predicted"])
    (shares,) = softmax(average[[place]], find_temperature(run) or 1)
    first = "unsure:" if shares.max() < LEAST_PROBABILITY else "predicted"
    assert f"it\n{first} {CLASSES[shares.argmax()]} {rounded_down(shares.max())}" in written
    assert f"for {CLASSES[alone[place].argmax()]}" in written
