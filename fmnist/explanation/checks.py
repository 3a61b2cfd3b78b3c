"""What ``--faithfulness`` and ``--sanity`` leave: tables, charts and every number behind them."""

import csv
import io

import numpy as np

from fmnist.core.runs import Run
from fmnist.explanation import faithfulness, sanity, table
from fmnist.explanation.attribution import Explainer
from fmnist.explanation.methods import METHODS
from fmnist.explanation.output import Output
from fmnist.explanation.selection import Selection
from fmnist.explanation.targets import PREDICTED, Target
from fmnist.figures import checks as charts
from fmnist.models.loading import in_batches

SILHOUETTE = (
    "Integrated gradients and occlusion are 0 where the image is black: the silhouette alone keeps them "
    "alike.\n"
)


def write_faithfulness(run: Run, explainers: list[Explainer], images: Selection, output: Output) -> str:
    """Measure how faithful methods are, and write ``faithfulness.csv``, ``.md``, ``.npz`` and two charts.

    Args:
        run: Whose name stands in the headings.
        explainers: Of one network.
        images: To measure on; each is explained for its predicted class.
        output: Where to.

    Returns:
        The table, as Markdown.
    """
    network = explainers[0].network
    signs = _signs(explainers[0], images)
    explanations = {explainer.method.title: explainer for explainer in explainers}
    measured = faithfulness.measure(network, explanations, images.images, signs, progress=True)
    cells = table.tabulate(measured)
    caveats = [f"- {e.method.title}: {e.method.caveat}.\n" for e in explainers if e.method.caveat]
    text = table.as_markdown(cells, len(images.images)) + "".join(caveats)
    output.text("faithfulness.csv", table.as_csv(cells))
    output.text("faithfulness.md", text)
    output.arrays(
        "faithfulness",
        methods=np.array(list(measured)),
        measures=np.array(list(faithfulness.MEASURES)),
        scores=np.array([list(result.scores.values()) for result in measured.values()]),
        curves=np.array([list(result.curves.values()) for result in measured.values()]),
        names=np.array(images.names),
    )
    title = f"Faithfulness of explanations of {run.record['name']}, {len(images.images):,} test images"
    lines = {method: result.curves for method, result in measured.items()}
    references = [faithfulness.CENTRE, faithfulness.RANDOM]
    output.figure("faithfulness-curves", charts.change_curves(lines, references, title))
    scores: dict[str, dict[str, charts.Interval]] = {method: {} for method in measured}
    for cell in cells:
        scores[cell.method][cell.measure] = (cell.mean, cell.low, cell.high)
    compared = {name: better for name, better in faithfulness.MEASURES.items() if name != "sensitivity"}
    output.figure(
        "faithfulness",
        charts.score_intervals(scores, compared, faithfulness.CENTRE, f"{title}, 95 % intervals"),
    )
    return text


def write_sanity(
    run: Run, explainers: list[Explainer], images: Selection, layer: str | None, output: Output
) -> str:
    """Randomise the network layer by layer, and write ``sanity.csv`` and a chart.

    Args:
        run: Whose name stands in the heading.
        explainers: Of one network.
        images: To compare maps of; each is explained for its predicted class.
        layer: Of the CAM methods; None for the network's own.
        output: Where to.

    Returns:
        A line a method, and what to mind.
    """
    names = [explainer.name for explainer in explainers]
    signs = _signs(explainers[0], images)
    layers, similarity = sanity.cascade(
        explainers[0].network, names, images.images, signs, layer, progress=True
    )
    count = len(images.images)
    shares = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), table.RESAMPLES) / count
    lines = {
        METHODS[name].title: [(row.mean(), *table.interval(row, shares)) for row in rows]
        for name, rows in similarity.items()
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "randomised_down_to", "rank_correlation", "low", "high", "images"])
    for method, values in lines.items():
        writer.writerows([method, at, *value, count] for at, value in zip(layers, values, strict=True))
    output.text("sanity.csv", text.getvalue())
    title = f"Maps of {run.record['name']} while its layers are randomised, {count:,} test images"
    output.figure("sanity", charts.randomisation(layers, lines, title))
    return SILHOUETTE + "\n".join(
        f"- {method}: rank correlation {values[0][0]:.2f} with the head randomised, "
        f"{values[-1][0]:.2f} [{values[-1][1]:.2f}, {values[-1][2]:.2f}] with every layer"
        for method, values in lines.items()
    )


def _signs(explainer: Explainer, images: Selection) -> np.ndarray:
    predicted = in_batches(explainer.network, images.images).argmax(1)
    return Target(PREDICTED).coefficients(predicted, None)
