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

    templates = environment("fmnist.evaluation")
    templates.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    style, plotly = asset("colours.css") + asset("style.css"), Markup(get_plotlyjs())
    return templates.get_template(template).render(
        data=data, style=style, script=asset("page.js"), plotly=plotly, **context
    )


def environment(package: str) -> Environment:
    """Return Jinja's environment for the ``templates/`` of a package; everything is escaped."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(name: str, package: str = "fmnist.evaluation") -> Markup:
    """Return the text of a file in the ``templates/`` of a package, which is put into a page as it is."""
    return Markup((resources.files(package) / "templates" / name).read_text("utf-8"))


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
    return Picture(data_uri(255 - image), title, details)


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
    return Picture(_as_address(path.read_bytes()), title)


def data_uri(pixels: np.ndarray) -> str:
    """Return an image uint8 (H, W) or (H, W, 3) as the address of a PNG file that it holds itself."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return _as_address(file.getvalue())


def _as_address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
