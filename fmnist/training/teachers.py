"""Learn from the networks of finished runs: ``--teachers``."""

from collections.abc import Sequence
from typing import Any

from fmnist.core.errors import InputError, quoted
from fmnist.core.runs import Run
from fmnist.models.classifier import Classifier
from fmnist.models.distillation import TEMPERATURE, WEIGHT, Teacher, Teachers
from fmnist.models.layers import multiply_adds
from fmnist.training.finished import finished_network, reference_name, run_reference

TEACHER_FLAGS = {"teacher_weight": WEIGHT, "teacher_temperature": TEMPERATURE}
"""Flags that need teachers, with the values that null stands for."""


def learn_from_teachers(model: Classifier, config: Any, resumed: Run | None) -> list[dict[str, Any]] | None:
    """Let a model learn from the runs that ``--teachers`` names.

    The configuration gets their exact folders in place of ``logs/<name>``, and values in place of null, so
    that it describes the same training later. A resumed run must have the same teachers.

    Returns:
        What ``run.json`` records of each: its ``run_reference``, and its ``multiply_adds`` for an image.
        ``None`` without teachers.

    Raises:
        InputError: One is no finished network, or not one of the resumed run, or would be another run the
            next time; or a value is wrong.
    """
    paths = [config.teachers] if isinstance(config.teachers, str) else config.teachers or []
    given = {name: config[name] for name in TEACHER_FLAGS if config[name] is not None}
    if not paths:
        if given:
            name, value = next(iter(given.items()))
            raise InputError(f"--{name} {value}: needs --teachers RUN")
        return None
    if len(paths) == 1 and "," in paths[0]:
        raise InputError(f'--teachers {quoted(paths[0])}: several teachers go in brackets: "[A, B]"')
    found = [finished_network("--teachers", path, config) for path in paths]
    folders = [run.reference for run, _ in found]
    records = [_record(run, classifier) for run, classifier in found]
    if resumed is not None:
        _check_same(resumed, folders, records)
    for name, value in {"teachers": folders, **TEACHER_FLAGS, **given}.items():
        config[name] = value
    members = [Teacher(classifier.network, classifier.hparams["flip_average"]) for _, classifier in found]
    model.learn_from(Teachers(members, config.teacher_weight, config.teacher_temperature))
    return records


def _record(run: Run, classifier: Classifier) -> dict[str, Any]:
    passes = 2 if classifier.hparams["flip_average"] else 1
    return {**run_reference(run), "multiply_adds": passes * multiply_adds(classifier.network)}


def _check_same(resumed: Run, folders: Sequence[str], records: Sequence[dict[str, Any]]) -> None:
    """Refuse to continue a run with other teachers, wherever they are now."""
    before = [record["sha256"] for record in resumed.record.get("teachers") or []]
    now = [record["sha256"] for record in records]
    if now != before:
        changed = [folder for folder, digest in zip(folders, now, strict=True) if digest not in before]
        raise InputError(
            f"--teachers {' '.join(map(quoted, changed or folders))}: {quoted(resumed.path)} was started "
            "with other weights or another order of the teachers; restore them, or train anew"
        )


def teacher_line(teachers: Sequence[dict[str, Any]], config: dict[str, Any]) -> str:
    """Return a line on who teaches; ``config`` is that of the student."""
    return (
        f"the network learns from {' and '.join(map(reference_name, teachers))} "
        f"({100 * config['teacher_weight']:.0f} % of the loss, temperature {config['teacher_temperature']:g})"
    )
