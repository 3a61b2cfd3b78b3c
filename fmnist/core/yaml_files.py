"""Reading the YAML files that flags name."""

import re
from pathlib import Path
from typing import Any

import yaml

from fmnist.core.errors import InputError, one_line, quoted

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TUPLE = re.compile(rf"\(\s*(?:{_NUMBER}\s*,\s*)*(?:{_NUMBER})?\s*\)|{_NUMBER}(?:\s*,\s*{_NUMBER})+,?")


def as_written(value: Any) -> Any:
    """Return YAML's values, and what Python writes otherwise: ``None``, ``(64, 32)`` and ``64,32``."""
    if isinstance(value, dict):
        return {key: as_written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_written(item) for item in value]
    if not isinstance(value, str):
        return value
    if _TUPLE.fullmatch(value.strip()):
        numbers = re.findall(_NUMBER, value)
        return [float(number) if set(number) & set(".eE") else int(number) for number in numbers]
    return None if value == "None" else value


def with_numbers(value: Any) -> Any:
    """Return YAML's values with ``1e-3`` as a number, which YAML 1.1 takes for text."""
    if isinstance(value, dict):
        return {key: with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_numbers(item) for item in value]
    is_number = isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value)
    return float(value) if is_number else value


def read_yaml(path: str, example: str, flag: str = "--config") -> dict[str, Any]:
    """Read a YAML file of keys.

    Args:
        path: The file, as the user wrote it.
        example: A key that such files hold, for the message about others.
        flag: The flag that named it.

    Raises:
        InputError: The file cannot be read, is no YAML, or holds no keys.
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise InputError(f"{flag} {quoted(path)}: cannot be read ({error.strerror})") from None
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{flag} {quoted(path)}: is no YAML ({one_line(error)})") from None
    if not isinstance(content, dict):
        raise InputError(f"{flag} {quoted(path)}: must hold keys like '{example}:', holds {content!r:.40}")
    return as_written(content)
