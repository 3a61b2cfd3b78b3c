"""Learn from the networks of finished runs: ``--teachers``."""

from collections.abc import Iterator, Sequence
from typing import Any

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError, quoted
from fmnist.core.runs import Run
from fmnist.models.classifier import Classifier
from fmnist.models.distillation import TEMPERATURE, WEIGHT, Teacher, Teachers
from fmnist.models.layers import multiply_adds
from fmnist.training.finished import finished_network, source_name, source_record

SETTINGS = {"teacher_weight": WEIGHT, "teacher_temperature": TEMPERATURE}
"""Flags that need teachers, with the values that null stands for."""


def learn_from_teachers(model: Classifier, config: Any, resumed: Run | None) -> list[dict[str, Any]] | None:
    """Let a model learn from the runs that ``--teachers`` names.

    The configuration gets their exact folders in place of ``logs/<name>``, and values in place of null, so
    that it describes the same training later.

    Args:
        model: Is trained next.
        config: Of the command line.
        resumed: The run that goes on, if any; its teachers must be the same.

    Returns:
        What ``run.json`` records of each: its ``source_record``, the ``split`` that it was trained with, and
        its ``multiply_adds`` for an image. ``None`` without teachers.

    Raises:
        InputError: One is no finished network of these classes, or not one of the resumed run; or a value is
            wrong.
    """
    paths = [config.teachers] if isinstance(config.teachers, str) else config.teachers or []
    given = {name: config[name] for name in SETTINGS if config[name] is not None}
    if not paths:
        for name, value in given.items():
            raise InputError(f"--{name} {value}: needs --teachers RUN")
        return None
    members: list[Teacher] = []
    records: list[dict[str, Any]] = []
    folders: list[str] = []
    for path in paths:
        run, teacher = finished_network("--teachers", path)
        if (classes := run.record.get("classes", list(CLASSES))) != list(CLASSES):
            raise InputError(
                f"--teachers {quoted(run.path)}: has other classes: {classes!s:.200}, here {list(CLASSES)}"
            )
        member = Teacher(teacher.network, teacher.hparams["flip_average"])
        cost = multiply_adds(member.network) * (2 if member.flip_average else 1)
        members.append(member)
        records.append({**source_record(run), "split": run.split, "multiply_adds": cost})
        # the folder of a shipped network depends on the machine
        folders.append(path if run.is_shipped else str(run.path))
    if resumed is not None:
        _check_same(resumed, folders, records)
    for name, value in {"teachers": folders, **SETTINGS, **given}.items():
        config[name] = value
    model.learn_from(Teachers(members, config.teacher_weight, config.teacher_temperature))
    return records


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


def teacher_lines(
    teachers: Sequence[dict[str, Any]], config: dict[str, Any], split: dict[str, Any]
) -> Iterator[str]:
    """Yield a line on who teaches, and a warning of each teacher that may have seen validation images.

    Args:
        teachers: As ``learn_from_teachers`` returns them.
        config: Of the run.
        split: Of the run, as ``run.json`` holds it.
    """
    yield (
        f"learns from {' and '.join(map(source_name, teachers))}: {config['teacher_weight']:.0%} of the "
        f"loss, temperature {config['teacher_temperature']:g}"
    )
    for teacher in teachers:
        if split["val"] and _validation(teacher["split"]) != _validation(split):
            yield (
                f"warning: {source_name(teacher)} was trained with another split, so it may have seen "
                "validation images of this run; its validation accuracy may be too high"
            )


def _validation(split: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers that choose the validation images."""
    return {name: value for name, value in split.items() if name not in ("train", "test")}
