"""Maps drawn for people: images one by one, several models side by side, averages of classes."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from fmnist.core.constants import CLASSES
from fmnist.core.runs import Run
from fmnist.explanation.attribution import Explainer, refusal, upsample
from fmnist.explanation.methods import METHODS
from fmnist.explanation.output import Output, as_file_name
from fmnist.explanation.selection import Selection
from fmnist.explanation.targets import PREDICTED, Target, describe
from fmnist.figures import overlays
from fmnist.figures.overlays import Panel
from fmnist.models.loading import in_batches

LONGEST = 22  # letters of a picture's name in a caption


@dataclass(frozen=True)
class Explained:
    """Images, what a model says of them, and why.

    Attributes:
        selection: The images.
        logits: float32 (N, 10).
        coefficients: What each is explained for, float32 (N, 10).
        maps: Raw, float32 (N, h, w); None where the model cannot be explained so.
    """

    selection: Selection
    logits: np.ndarray
    coefficients: np.ndarray
    maps: np.ndarray | None

    @property
    def predicted(self) -> np.ndarray:
        return self.logits.argmax(1)

    @property
    def evidence(self) -> np.ndarray:
        """The maps at the size of the images, float32 (N, 28, 28)."""
        assert self.maps is not None, "asked only where there are maps"
        return upsample(torch.from_numpy(self.maps)).numpy()


def explain(
    network: nn.Module,
    selection: Selection,
    target: Target,
    explainer: Explainer | None,
    progress: bool = False,
) -> Explained:
    """Ask a network about images, and an explainer why it answers so (None: nobody can tell)."""
    logits = in_batches(network, selection.images)
    coefficients = target.coefficients(logits.argmax(1), selection.labels)
    maps = explainer.maps(selection.images, coefficients, progress) if explainer else None
    return Explained(selection, logits, coefficients, maps)


def draw_panels(
    run: Run, explainer: Explainer, target: Target, selection: Selection, output: Output, shared: bool = False
) -> None:
    """Write a figure of every image, the grid of all, and the maps.

    Args:
        run: Whose name stands in the heading.
        explainer: Of its network.
        target: What is asked.
        selection: The images.
        output: Where to.
        shared: One colour scale for all images, instead of one for each.
    """
    explained = explain(explainer.network, selection, target, explainer)
    panels = []
    for truth, answer, panel in zip(
        _truths(selection), _answers(run, explained), _panels(explained), strict=True
    ):
        panels.append(replace(panel, caption=f"{truth}\npredicted {answer}"))
    name, heading = _name(explainer, target), _heading(run, explainer)
    limit = max(overlays.strength(panel.evidence) for panel in panels) if shared else None
    for image, panel in zip(selection.names, panels, strict=True):
        output.figure(
            f"{name}/{as_file_name(image)}", overlays.panel_grid([panel], heading, limit=limit), board=False
        )
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
    output: Output,
) -> None:
    """Write a figure of the same images explained by several runs.

    Args:
        models: Runs and their networks; ``layer`` is of the first, the others take their networks' own.
        method: One of ``METHODS``; a run that it does not go with gets a panel that says so.
        layer: Of the CAM methods, in the first run; None for the network's own.
        target: What is asked.
        selection: The images.
        output: Where to.
    """
    columns = []
    for place, (run, network) in enumerate(models):
        fits = refusal(network, method) is None
        explainer = Explainer(network, method, None if place else layer) if fits else None
        explained = explain(network, selection, target, explainer)
        columns.append(
            [
                replace(panel, caption=truth, question=f"predicted {answer}\n{panel.question}")
                for truth, answer, panel in zip(
                    _truths(selection), _answers(run, explained), _panels(explained), strict=True
                )
            ]
        )
    rows = list(zip(*columns, strict=True))
    figure = overlays.comparison(
        rows, _names([run for run, _ in models]), f"{METHODS[method].title}, each model on a scale of its own"
    )
    output.figure(f"compare-{method}-{as_file_name(str(target))}", figure)


def draw_averages(run: Run, explainer: Explainer, target: Target, test: Selection, output: Output) -> None:
    """Write the mean map of every class over the test set, each map first brought to a peak of 1.

    An image counts for the class that it is explained for, where that is the predicted one; otherwise for
    its true class.
    """
    explained = explain(explainer.network, test, target, explainer, progress=True)
    by_answer = target.positive == PREDICTED or test.labels is None
    classes = explained.predicted if by_answer else np.asarray(test.labels)
    positive = np.maximum(explained.evidence, 0)
    peaks = positive.max((1, 2), keepdims=True)
    shares = np.divide(positive, peaks, out=np.zeros_like(positive), where=peaks > overlays.NOTHING)
    panels = [
        Panel(
            test.images[classes == label].mean(0) / 255,
            shares[classes == label].mean(0),
            f"{CLASSES[label]}\n{(classes == label).sum():,} images",
        )
        for label in np.unique(classes)
    ]
    name = f"average-{_name(explainer, target)}"
    heading = f"Mean by {'predicted' if by_answer else 'true'} class: {_heading(run, explainer)}"
    output.figure(name, overlays.class_averages(panels, heading))
    output.arrays(name, classes=np.unique(classes), maps=np.array([panel.evidence for panel in panels]))


def _panels(explained: Explained) -> list[Panel]:
    """Return the panels of images with what each is explained for, and whether the answer is right."""
    count = len(explained.selection.images)
    labels = explained.selection.labels
    rights = [None] * count if labels is None else (explained.predicted == labels).tolist()
    evidence = [None] * count if explained.maps is None else list(explained.evidence)
    questions = [describe(row).replace(", ", ",\n").replace(": ", ":\n") for row in explained.coefficients]
    rows = zip(explained.selection.images, evidence, questions, rights, strict=True)
    return [Panel(image, heat, question=question, right=right) for image, heat, question, right in rows]


def _truths(selection: Selection) -> list[str]:
    """Return what is known of each image: its class and number, or the name of its file."""
    if selection.labels is None:
        return [name.replace("$", r"\$")[:LONGEST] for name in selection.names]  # no formula of matplotlib's
    numbers = (int(name.rpartition("-")[2]) for name in selection.names)
    return [f"true {CLASSES[label]} (#{n})" for label, n in zip(selection.labels, numbers, strict=True)]


def _answers(run: Run, explained: Explained) -> list[str]:
    """Return each predicted class, with its probability where the model has probabilities."""
    names = [CLASSES[label] for label in explained.predicted]
    if "decision" in run.record.get("scores", ""):
        return names
    shares = np.floor(softmax(explained.logits, 1).max(1) * 100) / 100  # 0.998 is not certainty
    return [f"{name} {share:.2f}" for name, share in zip(names, shares, strict=True)]


def _name(explainer: Explainer, target: Target) -> str:
    """Return what the files of a method, a layer that is not the network's own, and a target are called."""
    own = explainer.layer == getattr(explainer.network, "cam_layer", None)
    parts = [explainer.name, *([] if own or not explainer.layer else [explainer.layer]), str(target)]
    return as_file_name("-".join(parts))


def _heading(run: Run, explainer: Explainer) -> str:
    layer = f", layer {explainer.layer}" if explainer.layer else ""
    caveat = f"\n{explainer.method.caveat}" if explainer.method.caveat else ""
    return f"{explainer.method.title} of {run.record['name']}{layer}{caveat}"


def _names(runs: list[Run]) -> list[str]:
    """Return the runs' names, with the version where two have the same."""
    names = [run.record["name"] for run in runs]
    return [
        f"{name} {run.path.name}" if names.count(name) > 1 else name
        for name, run in zip(names, runs, strict=True)
    ]
