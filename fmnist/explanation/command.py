"""What ``scripts/explain.py`` does: choose images and methods, draw, check, say where it is."""

import argparse

from torch import nn

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.explanation import checks, panels, selection
from fmnist.explanation.attribution import Explainer, load_network, map_sizes, possible
from fmnist.explanation.methods import METHODS
from fmnist.explanation.output import Output
from fmnist.explanation.sanity import layers_from_head
from fmnist.explanation.selection import Selection
from fmnist.explanation.targets import PREDICTED, parse_class, parse_target

DEFAULT = "gradcam"


def explain_run(run: Run, options: argparse.Namespace) -> None:
    """Explain a run as the command line says.

    Everything is looked up before the first map is made, so that a mistake costs no waiting.

    Args:
        run: What is explained.
        options: The other flags of ``scripts/explain.py``.

    Raises:
        InputError: Something asked for is not there, or does not go together.
    """
    target = parse_target(options.target)
    pair = None if options.pair is None else [parse_class(name, "--pair") for name in options.pair]
    checking = options.faithfulness is not None or options.sanity is not None
    if checking and options.target != PREDICTED:
        raise InputError(f"--target {options.target}: faithfulness and sanity are of the {PREDICTED} class")
    choosing = any((options.indices, options.worst is not None, options.images, pair, options.compare))
    drawing = choosing or not (checking or options.average)

    network = load_network(run)
    others = [(other, load_network(other)) for other in map(Run.find, options.compare)]
    drawn = _explainers(network, options.method or [DEFAULT], options) if drawing or options.average else []
    for other, compared in others:
        _check_compared(other, compared, [explainer.name for explainer in drawn])
    if options.sanity is not None and not layers_from_head(network):
        raise InputError(f"--sanity: {run.path} has no layers whose weights could be drawn again")
    every = [name for name in METHODS if possible(network, name)]
    checked = _explainers(network, options.method or every, options) if checking else []
    if options.layer and not any(explainer.layer for explainer in drawn + checked):
        raise InputError(f"--layer {options.layer}: {(drawn + checked)[0].name} looks at no layer")

    needs_test = checking or options.average or not options.images
    test = selection.load_test_set(run, options.root) if needs_test else None
    images = _choose(options, run, test, pair)
    measured, randomised = (_first(test, options, flag) for flag in ("faithfulness", "sanity"))
    if run.record.get("flip_average"):
        print("this run averages an image and its mirror image; what is explained is the image by itself")
    for explainer in drawn or checked:
        if explainer.method.caveat:
            print(f"{explainer.name}: {explainer.method.caveat}")
    with Output(run, options.output) as output:
        for explainer in drawn:
            if drawing:
                panels.draw_panels(run, explainer, target, images, output, options.scale == "shared")
            if others:
                models = [(run, network), *others]
                panels.draw_comparison(models, explainer.name, options.layer, target, images, output)
            if options.average and test is not None:
                panels.draw_averages(run, explainer, target, test, output)
        if measured:
            print(checks.write_faithfulness(run, checked, measured, output))
        if randomised:
            print(checks.write_sanity(run, checked, randomised, options.layer, output))
    print(f"explanations in {output.folder}")


def _explainers(network: nn.Module, methods: list[str], options: argparse.Namespace) -> list[Explainer]:
    return [Explainer(network, name, options.layer) for name in methods]


def _check_compared(run: Run, network: nn.Module, methods: list[str]) -> None:
    """Refuse a network that a method goes with, but that does not say at which of its layers to look."""
    needy = [name for name in methods if METHODS[name].needs_layer and possible(network, name)]
    if needy and getattr(network, "cam_layer", None) not in map_sizes(network):
        raise InputError(
            f"--compare {run.path}: {type(network).__name__} names no cam_layer, which {needy[0]} needs "
            "(--layer is the first run's); other methods need none"
        )


def _choose(
    options: argparse.Namespace, run: Run, test: Selection | None, pair: list[int] | None
) -> Selection:
    """Return the images to draw; without a wish, the first test image of every class."""
    if options.images:
        if pair:
            raise InputError("--pair: chooses test images, and does not go with --images")
        chosen, lines = selection.pictures(options.images)
        for line in lines:
            print(line)
        return chosen
    assert test is not None, "read unless all images are pictures"
    if options.indices:
        if pair:
            raise InputError("--pair: does not go with --indices, which say already which images")
        return selection.by_index(test, options.indices)
    if options.worst is not None or pair:
        return selection.worst(test, run.predictions("test"), options.worst, pair)
    return selection.first_of_each_class(test)


def _first(test: Selection | None, options: argparse.Namespace, flag: str) -> Selection | None:
    """Return the first test images, as many as a flag says; None without it."""
    number = getattr(options, flag)
    if number is None or test is None:
        return None
    if not 2 <= number <= len(test.images):
        raise InputError(f"--{flag} {number}: must lie between 2 and {len(test.images):,}")
    return selection.by_index(test, list(range(number)))
