"""Draw maps: images one by one, several models side by side, averages of classes."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from fmnist.core.constants import CLASSES
from fmnist.core.runs import Run
from fmnist.core.tables import counted, rounded_down
from fmnist.explanation.attribution import Explainer, inapplicable, upsample
from fmnist.explanation.methods import METHODS
from fmnist.explanation.results import Output
from fmnist.explanation.selection import PREDICTED, Selection, Target, as_file_name, describe_target
from fmnist.figures import overlays
from fmnist.figures.overlays import Panel
from fmnist.inference.answers import Answer, picture_classifier
from fmnist.inference.predictor import Predictor
from fmnist.models.loading import in_batches
from fmnist.pictures import PreparedFile
from fmnist.pictures.parallel import OK

LONGEST = 22  # letters of a picture's name in a caption


@dataclass(frozen=True)
class Explained:
    """Images, the model's answers, and the maps that explain them.

    Attributes:
        selection: The images.
        logits: float32 (N, 10).
        coefficients: What each is explained for, float32 (N, 10), see ``Target.coefficients``.
        maps: Raw, float32 (N, h, w); None where the method does not suit the model.
    """

    selection: Selection
    logits: np.ndarray
    coefficients: np.ndarray
    maps: np.ndarray | None

    @property
    def evidence(self) -> np.ndarray:
        """The maps at the size of the images, float32 (N, 28, 28)."""
        assert self.maps is not None, "used only where there are maps"
        return upsample(torch.from_numpy(self.maps)).numpy()


def explain(
    network: nn.Module,
    selection: Selection,
    target: Target,
    explainer: Explainer | None,
    progress: bool = False,
) -> Explained:
    """Apply a network to images, and explain its answers if there is an explainer."""
    logits = in_batches(network, selection.images)
    coefficients = target.coefficients(logits.argmax(1), selection.labels)
    maps = explainer.maps(selection.images, coefficients, progress) if explainer else None
    return Explained(selection, logits, coefficients, maps)


def answer_images(predictor: Predictor, selection: Selection, root: str) -> list[Answer]:
    """Return what ``predict.py`` answers for each image; ``root`` is the folder of the data.

    A run with ``flip_average`` answers for the average of an image and its mirror image, while a map
    explains its network's answer for the image by itself.
    """
    flags = selection.flags or [()] * len(selection.names)
    prepared = [
        PreparedFile(name, OK, problems, image)
        for name, problems, image in zip(selection.names, flags, selection.images, strict=True)
    ]
    classify, _ = picture_classifier(predictor, root)
    return list(classify(prepared))


def draw_panels(
    run: Run,
    explainer: Explainer,
    target: Target,
    selection: Selection,
    answers: list[Answer],
    output: Output,
    shared: bool = False,
) -> None:
    """Write a figure of every image, the grid of all, and the maps.

    ``answers`` are the run's, for the captions; ``shared`` gives all images one colour scale, instead of one
    each.
    """
    explained = explain(explainer.network, selection, target, explainer)
    panels = [
        replace(panel, caption=f"{truth}\n{answer}")
        for truth, answer, panel in _described(run, explained, answers)
    ]
    name, heading = _file_name(explainer, target), _heading(run, explainer)
    limit = max(overlays.strength(panel.evidence) for panel in panels) if shared else None
    for image, panel in zip(selection.names, panels, strict=True):
        single = overlays.panel_grid([panel], heading, limit=limit)
        output.figure(f"{name}/{as_file_name(image)}", single, tensorboard=False)
    output.figure(name, overlays.panel_grid(panels, heading, limit=limit))
    labels = {} if selection.labels is None else {"labels": selection.labels}
    output.arrays(
        name,
        names=np.array(selection.names),
        maps=explained.maps,
        evidence=explained.evidence,
        logits=explained.logits,
        coefficients=explained.coefficients,
        **labels,
    )


def draw_comparison(
    models: list[tuple[Run, nn.Module]],
    method: str,
    layer: str | None,
    target: Target,
    selection: Selection,
    answers: list[list[Answer]],
    output: Output,
) -> None:
    """Write a figure of the same images explained by several runs.

    ``layer`` is one of the first run; the others take their networks' own. A run that the method does not
    suit gets a panel that says so. ``answers`` are those of each run.
    """
    columns = []
    for place, ((run, network), own) in enumerate(zip(models, answers, strict=True)):
        suits = inapplicable(network, method) is None
        explainer = Explainer(network, method, None if place else layer) if suits else None
        explained = explain(network, selection, target, explainer)
        columns.append(
            [
                replace(panel, caption=truth, question=f"{answer}\n{panel.question}")
                for truth, answer, panel in _described(run, explained, own)
            ]
        )
    rows = list(zip(*columns, strict=True))
    names = _model_names([run for run, _ in models])
    title = f"{METHODS[method].title}, each model on a scale of its own"
    output.figure(f"compare-{method}-{as_file_name(str(target))}", overlays.comparison(rows, names, title))


def draw_averages(run: Run, explainer: Explainer, target: Target, test: Selection, output: Output) -> None:
    """Write the mean map of every class over the test set, each map scaled to a peak of 1 first.

    An image counts for its predicted class if that is what is explained, otherwise for its true class.
    """
    explained = explain(explainer.network, test, target, explainer, progress=True)
    by_prediction = target.positive == PREDICTED or test.labels is None
    classes = explained.logits.argmax(1) if by_prediction else np.asarray(test.labels)
    positive = np.maximum(explained.evidence, 0)
    peaks = positive.max((1, 2), keepdims=True)
    scaled = np.divide(positive, peaks, out=np.zeros_like(positive), where=peaks > overlays.NOTHING)
    panels = [
        Panel(
            test.images[classes == label].mean(0) / 255,
            scaled[classes == label].mean(0),
            f"{CLASSES[label]}\n{counted((classes == label).sum(), 'image')}",
        )
        for label in np.unique(classes)
    ]
    name = f"average-{_file_name(explainer, target)}"
    heading = f"Mean by {'predicted' if by_prediction else 'true'} class: {_heading(run, explainer)}"
    output.figure(name, overlays.class_averages(panels, heading))
    output.arrays(name, classes=np.unique(classes), maps=np.array([panel.evidence for panel in panels]))


def _described(run: Run, explained: Explained, answers: list[Answer]) -> list[tuple[str, str, Panel]]:
    """Return of each image what is known of it, the answer, and the panel with what it is explained for."""
    images, labels = explained.selection.images, explained.selection.labels
    classes = [answer.choices[0][0] for answer in answers]
    rights = [None] * len(images) if labels is None else (np.array(CLASSES)[labels] == classes).tolist()
    maps = [None] * len(images) if explained.maps is None else list(explained.evidence)
    texts = [describe_target(row).replace(", ", ",\n").replace(": ", ":\n") for row in explained.coefficients]
    panels = [
        Panel(image, evidence, question=text, right=right)
        for image, evidence, text, right in zip(images, maps, texts, rights, strict=True)
    ]
    captions = [_caption(run, answer) for answer in answers]
    return list(zip(_truths(explained.selection), captions, panels, strict=True))


def _truths(selection: Selection) -> list[str]:
    """Return what is known of each image: its class and number, or the name of its file."""
    if selection.labels is None:
        return [name.replace("$", r"\$")[:LONGEST] for name in selection.names]  # no formula of matplotlib's
    numbers = (int(name.rpartition("-")[2]) for name in selection.names)
    return [f"true {CLASSES[label]} (#{n})" for label, n in zip(selection.labels, numbers, strict=True)]


def _caption(run: Run, answer: Answer) -> str:
    """Return an answer in a line: "unsure" where it is, the class, and any calibrated probability."""
    name, share = answer.choices[0]
    probability = "" if run.score_type.startswith("decision") else f" {rounded_down(share)}"
    return f"{'unsure:' if answer.unsure else 'predicted'} {name}{probability}"


def _file_name(explainer: Explainer, target: Target) -> str:
    """Return the method, the layer if it is not the network's own, and the target, as a file name."""
    own = explainer.layer == getattr(explainer.network, "cam_layer", None)
    parts = [explainer.name, *([] if own or not explainer.layer else [explainer.layer]), str(target)]
    return as_file_name("-".join(parts))


def _heading(run: Run, explainer: Explainer) -> str:
    layer = f", layer {explainer.layer}" if explainer.layer else ""
    caveat = f"\n{explainer.method.caveat}" if explainer.method.caveat else ""
    return f"{explainer.method.title} of {run.record['name']}{layer}{caveat}"


def _model_names(runs: list[Run]) -> list[str]:
    """Return the runs' names, with the version where two have the same."""
    names = [run.record["name"] for run in runs]
    return [
        f"{name} {run.path.name}" if names.count(name) > 1 else name
        for name, run in zip(names, runs, strict=True)
    ]
