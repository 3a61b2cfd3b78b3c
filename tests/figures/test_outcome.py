"""The three figures of a finished run agree with scikit-learn's numbers."""

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score

from fmnist.core.constants import CLASSES
from fmnist.figures import outcome_figures


def test_figures_show_what_was_predicted() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(9, size=200)  # the last class never occurs
    scores = generator.normal(size=(200, 10)) + 2 * np.eye(10)[labels]
    predicted = scores.argmax(1)
    images = generator.integers(256, size=(200, 28, 28)).astype(np.uint8)
    drawn = outcome_figures(images, labels, scores, CLASSES, "svm")
    assert drawn.keys() == {"confusion_matrix", "class_f1", "worst_errors"}
    (bars,) = drawn["class_f1"].axes
    expected = f1_score(labels, predicted, average=None, labels=range(10), zero_division=0)
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], expected, rtol=1e-6)
    cells = drawn["confusion_matrix"].axes[0]
    counts = [int(text.get_text()) for text in cells.texts[:100]]
    assert counts == confusion_matrix(labels, predicted, labels=range(10)).ravel().tolist()
    assert cells.get_title().startswith("svm on the test set")
    heading = " ".join(text.get_text() for ax in drawn["worst_errors"].axes for text in ax.texts)
    worst = f"{np.floor(scores.max(1)[predicted != labels].max() * 100) / 100:.2f}"
    assert worst in heading
    plain = outcome_figures(images, labels, scores, CLASSES, "svm", probabilities=False)["worst_errors"]
    assert worst not in " ".join(text.get_text() for ax in plain.axes for text in ax.texts)
