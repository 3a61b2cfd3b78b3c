"""The search file: by flag, the range or the choices of its value, and when it applies."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmnist.core.errors import InputError
from fmnist.core.yaml_files import read_yaml, with_numbers
from fmnist.studies.resolver import Resolver

if TYPE_CHECKING:
    from optuna.trial import Trial

KEYS = ("low", "high", "step", "log", "choices", "if")
NOT_SEARCHED = {
    "config": "says what every trial has in common",
    "resume": "continues a single run",
    "name": "is given by the study",
    "logs": "is given by the study",
    "test": "is given by the study",
    "seed_everything": "is not a setting to choose; --seeds and --finish repeat runs over seeds",
    "data.split_seed": "would compare trials on different validation images",
    "data.val_size": "would compare trials on different validation images",
    "data.fold": "would compare trials on different validation images",
}
"""Flags that a search file must not hold, and why."""


@dataclass(frozen=True)
class Parameter:
    """A flag whose value is searched.

    Attributes:
        flag: Its name, without dashes.
        choices: Its values, where they are listed; else it is a number from ``low`` to ``high``.
        low: The lowest number; two whole numbers make a range of whole numbers.
        high: The highest number.
        step: The distance between numbers; None for any, or 1 for whole ones.
        log: Whether numbers are drawn on a logarithmic scale.
        condition: By flag of another parameter, the values of that one with which this one is used.
    """

    flag: str
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    condition: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def applies_to(self, values: dict[str, Any]) -> bool:
        """Return whether it is used beside the values of the parameters before it."""
        return all(flag in values and values[flag] in allowed for flag, allowed in self.condition.items())

    def suggest(self, trial: "Trial") -> Any:
        """Return the value of a trial, which is drawn unless the trial has one."""
        if self.choices:
            # the storage takes plain values only, so a list is kept as its text
            label = trial.suggest_categorical(self.flag, [plain(choice) for choice in self.choices])
            return self.value_of(label)
        if self.is_whole:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(self.flag, low, high, step=step, log=self.log)
        return trial.suggest_float(self.flag, self.low, self.high, step=self.step, log=self.log)

    def value_of(self, kept: Any) -> Any:
        """Return the value that the storage keeps as ``kept``."""
        return next((choice for choice in self.choices if plain(choice) == kept), kept)

    @property
    def is_whole(self) -> bool:
        """Whether it takes whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


def plain(value: Any) -> Any:
    """Return a value as the storage holds it: a list or a mapping as JSON."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def as_flags(values: dict[str, Any]) -> list[str]:
    """Return values by flag as words of a command line."""
    return [
        word
        for flag, value in values.items()
        for word in (f"--{flag}", value if isinstance(value, str) else json.dumps(value))
    ]


def read_space(path: str) -> list[Parameter]:
    """Read and check a search file.

    Raises:
        InputError: It cannot be read, or an entry of it is wrong; its flag is named.
    """
    content = with_numbers(read_yaml(path, "model.learning_rate", "--search"))
    if not content:
        raise InputError(f"--search {path}: names no flag to search")
    parameters: list[Parameter] = []
    for flag, entry in content.items():
        try:
            parameters.append(_parameter(str(flag), entry, parameters))
        except InputError as error:
            raise InputError(f"--search {path}: {flag}: {error}") from None
    return parameters


def _parameter(flag: str, entry: Any, before: Sequence[Parameter]) -> Parameter:
    if flag in NOT_SEARCHED:
        raise InputError(f"cannot be searched: it {NOT_SEARCHED[flag]}")
    if isinstance(entry, list):
        entry = {"choices": entry}
    if not isinstance(entry, dict) or not ("choices" in entry) ^ ("low" in entry and "high" in entry):
        raise InputError(
            f"{entry}: must be a list of choices, or a range like {{low: 1e-3, high: 0.1, log: true}}"
        )
    if unknown := [str(key) for key in entry if key not in KEYS]:
        raise InputError(f"{unknown[0]}: no such key; known are {', '.join(KEYS)}")
    condition = _condition(entry.get("if", {}), before)
    if "choices" in entry:
        if extra := [key for key in ("low", "high", "step", "log") if key in entry]:
            raise InputError(f"{extra[0]}: goes with a range, not with choices")
        return Parameter(flag, _choices(entry["choices"]), condition=condition)
    low, high = (_number(key, entry[key]) for key in ("low", "high"))
    step = None if entry.get("step") is None else _number("step", entry["step"])
    log = entry.get("log", False)
    if not isinstance(log, bool):
        raise InputError(f"log {log}: must be true or false")
    if low > high:
        raise InputError(f"low {low}: must not be above high {high}")
    if log and low <= 0:
        raise InputError(f"low {low}: must be above 0 where log is true")
    if step is not None and step <= 0:
        raise InputError(f"step {step}: must be above 0")
    if step is not None and log:
        raise InputError(f"step {step}: cannot go with log: true")
    whole = isinstance(low, int) and isinstance(high, int)
    if whole and step is not None and not isinstance(step, int):
        low, high = float(low), float(high)
    return Parameter(flag, (), low, high, step, log, condition)


def _choices(choices: Any) -> tuple[Any, ...]:
    if not isinstance(choices, list) or not choices:
        raise InputError(f"choices {choices}: must be a list of at least one value")
    labels = [plain(choice) for choice in choices]
    if twice := [label for place, label in enumerate(labels) if label in labels[:place]]:
        raise InputError(f"choices: {twice[0]} is there twice")
    return tuple(choices)


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{key} {value}: must be a finite number")
    return value


def _condition(content: Any, before: Sequence[Parameter]) -> dict[str, tuple[Any, ...]]:
    if not isinstance(content, dict):
        raise InputError(f"if {content}: must be like {{model.optimizer: muon}}")
    known = {parameter.flag: parameter for parameter in before if parameter.choices}
    condition = {}
    for flag, allowed in content.items():
        if flag not in known:
            raise InputError(f"if {flag}: must be a flag above it in the file that has choices")
        values = (
            tuple(allowed) if isinstance(allowed, list) and allowed not in known[flag].choices else (allowed,)
        )
        if not values:
            raise InputError(f"if {flag}: must name at least one of its choices")
        if missing := [value for value in values if value not in known[flag].choices]:
            raise InputError(f"if {flag}: {missing[0]} is none of its choices")
        condition[str(flag)] = values
    return condition


def check_space(path: str, space: Sequence[Parameter], command: list[str], resolver: Resolver) -> None:
    """Try every choice and both ends of each range of a search file on the command that is to take them.

    Raises:
        InputError: It refuses one; the flag is named.
    """
    by_flag = {parameter.flag: parameter for parameter in space}
    for parameter in space:
        for value in parameter.choices or (parameter.low, parameter.high):
            values = {parameter.flag: value}
            pending = [parameter]
            while pending:
                for flag, allowed in pending.pop().condition.items():
                    values = {flag: allowed[0], **values}
                    pending.append(by_flag[flag])
            try:
                resolver.resolve([*command, *as_flags(values)])
            except InputError as error:
                raise InputError(f"--search {path}: {error}") from None
