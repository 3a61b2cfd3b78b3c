"""Draw arrays with matplotlib: learning curves, confusion matrices, bars and grids of images.

Every drawing function returns a ``Figure`` of its own, without pyplot: nothing stays open, no display is
needed. Shapes are checked first; a wrong one raises ``ValueError`` naming it.
"""

from fmnist.figures.canvas import as_image, save
from fmnist.figures.charts import confusion_matrix, learning_curves, per_class_bars
from fmnist.figures.grids import augmented_grid, image_grid, worst_errors
from fmnist.figures.outcome import outcome_figures

__all__ = [
    "as_image",
    "augmented_grid",
    "confusion_matrix",
    "image_grid",
    "learning_curves",
    "outcome_figures",
    "per_class_bars",
    "save",
    "worst_errors",
]
