"""HTML files that need nothing else: template, style, script, Plotly, data and images in one file."""

import base64
import io
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from fmnist.core.errors import InputError, quoted
from fmnist.core.runs import Run

EXPLANATIONS = 24
EXPLANATION_BYTES = 2_000_000


def render(template: str, data: Mapping[str, Any], **context: Any) -> str:
    """Fill a template; everything is escaped, text in the page as well as ``data`` in its script element.

    Args:
        template: ``report.html``, ``compare.html`` or ``study.html``.
        data: The ``charts`` and ``matrices`` that the script draws, and the ``tables`` at full precision.
        **context: The variables of the template.
    """
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("fmnist.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    plotly = Markup(get_plotlyjs())
    return environment.get_template(template).render(
        data=data, style=_asset("style.css"), script=_asset("page.js"), plotly=plotly, **context
    )


def _asset(name: str) -> Markup:
    return Markup((resources.files("fmnist.evaluation") / "templates" / name).read_text("utf-8"))


class Picture(NamedTuple):
    """An embedded image and its caption.

    Attributes:
        address: A data URI.
        title: First line of the caption.
        details: Lines below it.
    """

    address: str
    title: str
    details: tuple[str, ...] = ()


def load_test_images(run: Run, root: str) -> tuple[np.ndarray | None, str]:
    """Read the images that a run was tested on, without downloading any.

    Returns:
        uint8 (N, 28, 28) and an empty text; or None and why there are none.
    """
    from fmnist.data.of_run import data_of

    try:
        return data_of(run, root).data.test_images.numpy(), ""
    except InputError as error:
        return None, f"No pictures: {error}"


def embed_image(image: np.ndarray, title: str, *details: str) -> Picture:
    """Embed an image uint8 (28, 28), dark on white as the garments were photographed."""
    file = io.BytesIO()
    Image.fromarray(255 - image).save(file, "PNG", optimize=True)
    return Picture(_data_uri(file.getvalue()), title, details)


def embed_explanations(folder: Path) -> tuple[list[Picture], str]:
    """Embed the PNG files that scripts/explain.py left, as far as they fit.

    Returns:
        The pictures in the order of their names, and a line on what was left out.
    """
    paths = sorted(folder.glob("*.png"))
    pictures: list[Picture] = []
    budget = EXPLANATION_BYTES
    for path in paths[:EXPLANATIONS]:
        budget -= path.stat().st_size
        if budget >= 0:
            pictures.append(embed_png(path, path.stem.replace("_", " ")))
    left = len(paths) - len(pictures)
    return pictures, f"{left} more in {quoted(folder)}" if left else ""


def embed_png(path: Path, title: str) -> Picture:
    """Embed a PNG file as it is."""
    return Picture(_data_uri(path.read_bytes()), title)


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
