"""Carry out ``scripts/explain.py``: check the command line, choose images and methods, draw and measure."""

import argparse
import functools
from collections.abc import Callable

from torch import nn

from fmnist.core.calibration import find_temperature
from fmnist.core.errors import InputError, quoted
from fmnist.core.runs import Run
from fmnist.core.tables import counted
from fmnist.explanation import panels, results, selection
from fmnist.explanation.attribution import (
    Explainer,
    applicable_methods,
    default_method,
    map_sizes,
    network_of,
)
from fmnist.explanation.methods import METHODS
from fmnist.explanation.sanity import layers_from_head
from fmnist.explanation.selection import PREDICTED, Selection, parse_class, parse_target
from fmnist.inference.predictor import Predictor


def explain_run(run: Run, options: argparse.Namespace) -> None:
    """Explain a run as the flags of ``scripts/explain.py`` say, which are all checked before the first map.

    Raises:
        InputError: A flag names something that does not exist, or two flags do not go together.
    """
    target = parse_target(options.target)
    pair = None if options.pair is None else [parse_class(name, "--pair") for name in options.pair]
    measuring = options.faithfulness is not None or options.sanity is not None
    if measuring and options.target != PREDICTED:
        raise InputError(f"--target {options.target}: faithfulness and sanity are of the {PREDICTED} class")
    choosing = any((options.indices, options.worst is not None, options.images, pair, options.compare))
    drawing = choosing or not (measuring or options.average)

    predictors = [Predictor(each) for each in (run, *map(Run.find, options.compare))]
    models = [(predictor.run, network_of(predictor)) for predictor in predictors]
    network = models[0][1]
    methods = list(dict.fromkeys(options.method or []))
    drawn, measured = [], []
    if drawing or options.average:
        names = methods or [default_method(network, options.layer)]
        drawn = [Explainer(network, name, options.layer) for name in names]
    for other, other_network in models[1:]:
        _check_compared(other, other_network, [explainer.name for explainer in drawn])
    if options.sanity is not None and not layers_from_head(network):
        raise InputError(f"--sanity: {quoted(run.path)} has no layers whose weights could be drawn again")
    if measuring:
        names = methods or applicable_methods(network)
        measured = [Explainer(network, name, options.layer) for name in names]
    if options.layer and not any(explainer.layer for explainer in drawn + measured):
        raise InputError(f"--layer {options.layer}: {(drawn + measured)[0].name} uses no layer")

    test_set = functools.cache(lambda: selection.load_test_set(run, options.root))
    images = _choose(options, run, test_set, pair)
    averaged = test_set() if options.average else None
    faithfulness_images = _first_images(test_set, options.faithfulness, "--faithfulness")
    sanity_images = _first_images(test_set, options.sanity, "--sanity")
    if run.record.get("flip_average"):
        print(
            "this run averages an image and its mirror image, and captions give that answer; what is "
            "explained is the image by itself"
        )
    for explainer in drawn or measured:
        if explainer.method.caveat:
            print(f"{explainer.name}: {explainer.method.caveat}")
    with results.Output(run, options.output) as output:
        answering = predictors if drawing else []
        answers = [panels.answer_images(predictor, images, options.root) for predictor in answering]
        for predictor, own in zip(answering, answers, strict=True):
            for answer in [each for each in own if each.unsure]:
                reasons = "; ".join(answer.unsure)
                print(f"{predictor.run.record['name']} about {answer.picture.file}: unsure, {reasons}")
        for explainer in drawn:
            if drawing:
                shared = options.scale == "shared"
                panels.draw_panels(run, explainer, target, images, answers[0], output, shared)
            if options.compare:
                panels.draw_comparison(models, explainer.name, options.layer, target, images, answers, output)
            if averaged:
                panels.draw_averages(run, explainer, target, averaged, output)
        if faithfulness_images:
            print(results.write_faithfulness(run, measured, faithfulness_images, output))
        # another folder may hold another run's
        known = output.folder if faithfulness_images else results.folder_of(run)
        for explainer in drawn:
            print(results.known_faithfulness(known, explainer))
        if sanity_images:
            print(results.write_sanity(run, measured, sanity_images, output))
    replaced = f", {counted(output.replaced, 'earlier figure')} replaced" if output.replaced else ""
    print(f"explanations in {quoted(output.folder)}{replaced}")


def _check_compared(run: Run, network: nn.Module, methods: list[str]) -> None:
    """Refuse a network that a method suits, but that does not name the layer to use."""
    applicable = applicable_methods(network)
    in_need = [name for name in methods if METHODS[name].needs_layer and name in applicable]
    if in_need and getattr(network, "cam_layer", None) not in map_sizes(network):
        raise InputError(
            f"--compare {quoted(run.path)}: {type(network).__name__} names no cam_layer, which {in_need[0]} "
            "needs (--layer is the first run's); other methods need none"
        )


def _choose(
    options: argparse.Namespace, run: Run, test_set: Callable[[], Selection], pair: list[int] | None
) -> Selection:
    """Return the images to draw; if no flag chooses any, the first test image of every class."""
    if options.images:
        if pair:
            raise InputError("--pair: chooses test images, and does not go with --images")
        chosen, lines = selection.read_pictures(options.images)
        for line in lines:
            print(line)
        return chosen
    if options.indices:
        if pair:
            raise InputError("--pair: does not go with --indices, which say already which images")
        return selection.by_index(test_set(), list(dict.fromkeys(options.indices)))
    if options.worst is not None or pair:
        predictions = run.predictions("test")
        temperature = find_temperature(run) or 1.0
        return selection.most_confident_mistakes(test_set(), predictions, options.worst, pair, temperature)
    return selection.first_of_each_class(test_set())


def _first_images(test_set: Callable[[], Selection], number: int | None, flag: str) -> Selection | None:
    """Return the first test images, as many as a flag says; None without it."""
    if number is None:
        return None
    test = test_set()
    if not 2 <= number <= len(test.images):
        raise InputError(f"{flag} {number}: must lie between 2 and {len(test.images):,}")
    return test.subset(range(number))
