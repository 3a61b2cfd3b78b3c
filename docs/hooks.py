"""MkDocs hook: put a help text where a page says ``<!-- help: python scripts/NAME.py --help -->``."""

import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WIDTH = 86  # letters that fit into a page


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page's Markdown with the help texts that it asks for."""
    text = re.compile("<!-- help: python (.*?) -->")
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each is a process, which takes seconds to import
        texts = pool.map(_output, text.findall(markdown))
        return text.sub(lambda _: f"```text\n{next(texts)}```", markdown)


def _output(command: str) -> str:
    environment = os.environ | {"COLUMNS": str(WIDTH), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, *shlex.split(command)]
    return subprocess.run(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
