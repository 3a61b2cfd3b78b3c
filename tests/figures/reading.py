"""What is written in a figure."""

from matplotlib.figure import Figure


def texts(figure: Figure) -> list[str]:
    """Return the texts within the axes."""
    return [text.get_text() for ax in figure.axes for text in ax.texts]
