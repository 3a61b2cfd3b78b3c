"""Reading the YAML files that ``--config`` names."""

from pathlib import Path
from typing import Any

import yaml

from fmnist.core.errors import InputError, quoted


def read_yaml(path: str, example: str) -> dict[str, Any]:
    """Read a YAML file of keys.

    Args:
        path: The file, as the user wrote it.
        example: A key that such files hold, for the message about others.

    Raises:
        InputError: The file cannot be read, is no YAML, or holds no keys.
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise InputError(f"--config {quoted(path)}: cannot be read ({error.strerror})") from None
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"--config {quoted(path)}: is no YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise InputError(f"--config {quoted(path)}: must hold keys like '{example}:', holds {content!r:.40}")
    return content
