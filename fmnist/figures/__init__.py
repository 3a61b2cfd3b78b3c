"""Draw arrays with matplotlib: curves, confusion matrices, bars, grids of images, explanations.

Every drawing function returns a new ``Figure`` without pyplot, so no figure stays open and no display is
needed. Images of a wrong shape or type raise a ``ValueError`` that names them.
"""

from fmnist.figures.accuracy import confusion_matrix, heat_map, outcome_figures, per_class_bars
from fmnist.figures.canvas import as_image, save
from fmnist.figures.curves import learning_curves, reliability_diagram, risk_coverage
from fmnist.figures.grids import augmented_grid, image_grid, worst_errors

__all__ = [
    "as_image",
    "augmented_grid",
    "confusion_matrix",
    "heat_map",
    "image_grid",
    "learning_curves",
    "outcome_figures",
    "per_class_bars",
    "reliability_diagram",
    "risk_coverage",
    "save",
    "worst_errors",
]
