"""MkDocs hook: put the help text of a script where a page says ``<!-- help: python scripts/NAME.py -->``."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page's Markdown with the help texts that it asks for."""
    return re.sub(r"<!-- help: python (.*?) -->", lambda match: f"```text\n{_help(match[1])}```", markdown)


def _help(command: str) -> str:
    environment = os.environ | {"COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, *shlex.split(command)]
    return subprocess.run(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
