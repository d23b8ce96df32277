"""The plots of the report, as SVG inside its page."""

import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from app.scoring.agreement import Agreement
from training.evaluation.item_report import ItemReport

MAX_LABELLED = 20  # scores; a larger confusion matrix shows only shades
MAX_NAME = 14  # characters
MACHINE_COLOUR, RATER_COLOUR, GRID = "#0b6e4f", "#5c6b73", "#e3e7e9"


def calibration(report: ItemReport) -> str:
    """Plot agreement with raters against confidence; the area of a point is its share of the responses."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=RATER_COLOUR, linestyle=":", linewidth=1)
        confidence = [mean for mean, _, _ in report.calibration]
        right = [share for _, share, _ in report.calibration]
        total = sum(n for _, _, n in report.calibration)
        areas = [12 + 300 * n / total for _, _, n in report.calibration]
        axes.plot(confidence, right, color=MACHINE_COLOUR, linewidth=1)
        axes.scatter(confidence, right, s=areas, color=MACHINE_COLOUR, alpha=0.7)
        if report.threshold is not None:
            axes.axvline(report.threshold, color=RATER_COLOUR, linewidth=1)
            axes.annotate(
                "threshold", (report.threshold, 0.02), rotation=90, fontsize=8, ha="right", color=RATER_COLOUR
            )
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share equal to the human score")

    return _svg(draw)


def coverage(report: ItemReport, metric: str) -> str:
    """Plot the agreement of accepted scores against their share."""

    def draw(axes: Axes) -> None:
        shares = [share for share, _ in report.coverage_curve]
        axes.plot(shares, [agreement for _, agreement in report.coverage_curve], color=MACHINE_COLOUR)
        raters = _raters(report.agreement, metric)
        if raters is not None:
            axes.axhline(raters, color=RATER_COLOUR, linestyle=":", linewidth=1)
            axes.annotate("raters", (0.01, raters), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
        accepted = report.evidence.accepted
        if accepted is not None and accepted.agreement is not None:
            machine = accepted.agreement.qwk if metric == "QWK" else accepted.agreement.exact
            if machine is not None:
                place = (accepted.share, machine)
                axes.plot(*place, "o", color=MACHINE_COLOUR)
                axes.annotate("threshold", place, xytext=(5, 5), textcoords="offset points", fontsize=8)
        axes.set(xlim=(0, 1.02), xlabel="share accepted, the surest first", ylabel=f"{metric} of accepted scores")

    return _svg(draw)


def _raters(agreement: Agreement | None, metric: str) -> float | None:
    """Return the agreement of the two raters by the plotted metric."""
    if agreement is None:
        return None
    return agreement.human_qwk if metric == "QWK" else agreement.human_exact


def learning(report: ItemReport, metric: str) -> str:
    """Plot agreement on dev against the marked rows trained on."""

    def draw(axes: Axes) -> None:
        rows = [marked for marked, _ in report.learning_curve]
        axes.plot(rows, [agreement for _, agreement in report.learning_curve], "o-", color=MACHINE_COLOUR)
        axes.set(xlim=(0, None), xlabel="marked responses", ylabel=f"{metric} on dev, at training")

    return _svg(draw)


def confusion(report: ItemReport) -> str:
    """Plot human scores by row and machine scores by column; the shade is the share of the row."""

    def draw(axes: Axes) -> None:
        counts = np.array(report.confusion)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Greens", vmin=0, vmax=1.2)
        if len(counts) <= MAX_LABELLED:
            _label(axes, counts, [_shortened(name) for name in report.scores])
        axes.set(xlabel="machine", ylabel="human")
        axes.grid(visible=False)

    return _svg(draw)


def _label(axes: Axes, counts: NDArray[np.int64], names: Sequence[str]) -> None:
    """Write the count in each cell, and the names of the scores beside rows and columns."""
    for row, column in np.ndindex(*counts.shape):
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=9)
    longest = max(map(len, names))
    rotation = 0 if longest < 4 else 30
    axes.set_xticks(range(len(names)), names, rotation=rotation, ha="center")
    axes.set_yticks(range(len(names)), names)


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def _svg(draw: Callable[[Axes], None]) -> str:
    settings: Any = {"svg.hashsalt": "scorelet", "svg.fonttype": "none", "font.family": "sans-serif"}
    settings |= {"text.parse_math": False}  # a label may be "$5"
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A font without the glyphs of a script does no harm: the reader's browser draws the text.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(4.6, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.grid(visible=True, color=GRID, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    content = buffer.getvalue()
    return content[content.index("<svg") :]
