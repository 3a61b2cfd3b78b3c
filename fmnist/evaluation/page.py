"""One HTML file that needs nothing else: template, style, script, Plotly and data."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fmnist.core.files import write_file


def render(template: str, data: Mapping[str, Any], **context: Any) -> str:
    """Fill a template.

    Everything is escaped: text where it stands in the page, and ``data`` within its script element.

    Args:
        template: ``report.html`` or ``compare.html``.
        data: What the page's script draws, ``charts`` and ``matrices``; and the ``tables`` at full precision.
        **context: What the template names.
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


def save(path: Path, template: str, data: Mapping[str, Any], **context: Any) -> None:
    """Write a filled template; ``path`` never holds half of it."""
    write_file(path, render(template, data, **context))


def _asset(name: str) -> Markup:
    return Markup(
        resources.files("fmnist.evaluation").joinpath("templates").joinpath(name).read_text("utf-8")
    )
