"""What all figures share: the colours, the style, and the two ways out, a PNG file and an array."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Okabe and Ito, https://jfly.uni-koeln.de/color/: told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, "#56B4E9", "#CC79A7")
INK, FAINT = "#222222", "#9A9A9A"
CORRECT = LinearSegmentedColormap.from_list("correct", ["#FFFFFF", "#6BAED6", BLUE, "#08436F"])
ERRORS = LinearSegmentedColormap.from_list("errors", ["#FFFFFF", "#FDB77F", VERMILLION])
DPI = 150
STYLE: dict[Any, Any] = {
    "figure.dpi": DPI,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.edgecolor": "#B0B0B0",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "xtick.color": "#B0B0B0",
    "ytick.color": "#B0B0B0",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": True,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.fontsize": 8.5,
}


@rc_context(STYLE)
def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write ``figure`` as a PNG, creating parent folders; ``path`` never holds half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", dpi=DPI)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@rc_context(STYLE)
def as_image(figure: Figure) -> NDArray[np.uint8]:
    """Return ``figure`` as an RGB array, ``uint8 (H, W, 3)``."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image: NDArray[np.uint8] = np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3]
    return image
