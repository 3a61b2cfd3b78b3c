"""Answer a picture file by one or several runs, with all that the page shows of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fmnist.core.constants import CLASSES
from fmnist.core.images import to_float, to_uint8
from fmnist.core.runs import Run
from fmnist.explanation.attribution import Explainer, default_method, network_of, upsample
from fmnist.figures.overlays import NOTHING, blend, strength
from fmnist.inference.answers import Answer, picture_classifier
from fmnist.inference.detection import distances_to, read_references, run_model
from fmnist.inference.predict import row_of, run_name
from fmnist.inference.predictor import Predictor
from fmnist.pictures import PreparedFile, prepare_file, printable
from fmnist.pictures.preparation import WORKING_SIDE, lay_out

NEIGHBOURS = 5


@dataclass(frozen=True)
class RunAnswer:
    """What one run answers, beside what the page draws of it.

    Attributes:
        run: Its name.
        answer: The classes, their probabilities, and reasons to doubt them.
        method: Title of the attribution method; empty without an image.
        overlay: The evidence for the likeliest class, laid over the picture, uint8 (H, W, 3); None where
            there is none.
        neighbours: The nearest training images, uint8 (28, 28), and their classes; none where the run keeps
            no training images.
    """

    run: str
    answer: Answer
    method: str = ""
    overlay: np.ndarray | None = None
    neighbours: tuple[tuple[np.ndarray, str], ...] = ()


@dataclass(frozen=True)
class PictureAnswer:
    """What all runs answer.

    Attributes:
        file: The prepared picture, under the name that its owner knows.
        cut_out: The picture with all but the garment faded, uint8 (H, W, 3); None where nothing was cut out.
        by_run: In the order of the runs.
    """

    file: PreparedFile
    cut_out: np.ndarray | None
    by_run: tuple[RunAnswer, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each run: ``run``, and what ``predict.py --output answers.json`` writes."""
        return [{"run": each.run, **row_of(each.answer)} for each in self.by_run]


class Respondent:
    """A finished run that answers prepared pictures.

    Args:
        run: The run.
        root: Folder of the data set.
        threshold: Least probability of an answer that is sure.

    Raises:
        InputError: The run's model cannot be loaded.
    """

    def __init__(self, run: Run, root: str, threshold: float) -> None:
        self.name = run_name(run)
        self._predictor = Predictor(run)
        self._classify, self.notes = picture_classifier(self._predictor, root, threshold)
        network = network_of(self._predictor)
        self._explainer = Explainer(network, default_method(network))
        references = read_references(run)  # which the classifier has stored where it could
        self._known = None if references is None else (references, distances_to(references))

    def __call__(self, file: PreparedFile, stages: dict[str, np.ndarray]) -> RunAnswer:
        """Answer a prepared picture, with the stages of its preparation."""
        (answer,) = self._classify([file])
        if file.image is None:
            return RunAnswer(self.name, answer)
        image = file.image[None]
        title, overlay = self._explainer.method.title, self._explain(image, answer, stages)
        return RunAnswer(self.name, answer, title, overlay, self._find_neighbours(image))

    def _explain(self, image: np.ndarray, answer: Answer, stages: dict[str, np.ndarray]) -> np.ndarray | None:
        likeliest = np.array([[name == answer.choices[0][0] for name in CLASSES]], np.float32)
        evidence = upsample(torch.from_numpy(self._explainer.maps(image, likeliest)))[0].numpy()
        top = strength(evidence)
        if top <= NOTHING:
            return None
        shares = np.clip(lay_out(evidence / top, stages), 0, 1)
        if "cut out" in stages:
            darkness = 1 - to_float(np.asarray(Image.fromarray(stages["cut out"]).convert("L")))
        else:
            darkness = to_float(image[0])
        return to_uint8(blend(darkness, shares))

    def _find_neighbours(self, image: np.ndarray) -> tuple[tuple[np.ndarray, str], ...]:
        if self._known is None:
            return ()
        known, distances = self._known
        places = distances(run_model(self._predictor, image))[0].argsort(kind="stable")[:NEIGHBOURS]
        return tuple((known.images[place], CLASSES[known.labels[place]]) for place in places)


def answer_picture(respondents: Sequence[Respondent], path: Path, name: str) -> PictureAnswer:
    """Prepare a picture file, and let each run answer; one that cannot be read gets a status that says why.

    ``name`` is what its owner calls it.
    """
    stages: dict[str, np.ndarray] = {}
    file = prepare_file(path, stages, WORKING_SIDE)
    file = replace(file, file=printable(Path(name)))
    cut_out = stages.get("cut out") if file.image is not None else None
    return PictureAnswer(file, cut_out, tuple(respond(file, stages) for respond in respondents))
