"""Learn from the networks of finished runs: ``--teachers``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fmnist.core.errors import InputError, quoted
from fmnist.core.runs import Run
from fmnist.core.splits import keeps_apart
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
        What ``run.json`` records of each: its ``run_reference``, the ``data_sha256`` and ``split`` that it
        was trained with, and its ``multiply_adds`` for an image. ``None`` without teachers.

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
    for path in paths:
        if Path(path).resolve() == Path(config.logs, config.name).resolve():
            raise InputError(
                f"--teachers {quoted(path)}: this run gets its folder there, and would be the teacher of the "
                "next one; name the version, or give this run another --name"
            )
    found = [finished_network("--teachers", path) for path in paths]
    # the folder of a shipped network depends on the machine
    folders = [path if run.is_shipped else str(run.path) for path, (run, _) in zip(paths, found, strict=True)]
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
    return {
        **run_reference(run),
        "data_sha256": run.record.get("data_sha256"),
        "split": run.split,
        "multiply_adds": passes * multiply_adds(classifier.network),
    }


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
    teachers: Sequence[dict[str, Any]],
    config: dict[str, Any],
    data_sha256: dict[str, str],
    split: dict[str, Any],
) -> Iterator[str]:
    """Yield a line on who teaches, and a warning of each teacher that may have seen validation images.

    Args:
        teachers: As ``learn_from_teachers`` returns them.
        config: Of the run that they teach.
        data_sha256: Of that run's data, as ``run.json`` records it.
        split: Of that run, as ``run.json`` records it.
    """
    yield (
        f"the network learns from {' and '.join(map(reference_name, teachers))} "
        f"({100 * config['teacher_weight']:.0f} % of the loss, temperature {config['teacher_temperature']:g})"
    )
    for teacher in teachers if split["val"] else ():
        if teacher["data_sha256"] != data_sha256:
            reason = "was trained on other data files"
        elif not keeps_apart(teacher["split"], split):
            reason = "was trained with another split, which may use validation images of this run"
        else:
            continue
        yield (
            f"warning: {reference_name(teacher)} {reason}, so the validation accuracy of this run may be too "
            "high"
        )
