"""The report's plots as SVG to stand inside a page."""

import io
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.figures import ItemReport

MOST_NUMBERS = 20  # scores; of more only the shades can be read
OURS, OTHERS, GRID = "#0b6e4f", "#5c6b73", "#e3e7e9"


def calibration(own: ItemReport) -> str:
    """Share right against confidence; the area of a point is its share of the responses."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=OTHERS, linestyle=":", linewidth=1)
        total = sum(n for _, _, n in own.calibration)
        sure, right = [c for c, _, _ in own.calibration], [r for _, r, _ in own.calibration]
        axes.plot(sure, right, color=OURS, linewidth=1)
        axes.scatter(sure, right, s=[12 + 300 * n / total for _, _, n in own.calibration], color=OURS, alpha=0.7)
        if own.threshold is not None:
            axes.axvline(own.threshold, color=OTHERS, linewidth=1)
            axes.annotate("threshold", (own.threshold, 0.02), rotation=90, fontsize=8, ha="right", color=OTHERS)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that raters scored the same")

    return _svg(draw)


def coverage(own: ItemReport, metric: str) -> str:
    """Agreement of accepted scores against the share accepted."""

    def draw(axes: Axes) -> None:
        axes.plot([x for x, _ in own.coverage_curve], [y for _, y in own.coverage_curve], color=OURS)
        both = own.agreement
        human = None if both is None else both.human_qwk if metric == "QWK" else both.human_exact
        if human is not None:
            axes.axhline(human, color=OTHERS, linestyle=":", linewidth=1)
            axes.annotate("raters", (0.01, human), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
        accepted = own.evidence.accepted
        if accepted is not None and accepted.agreement is not None:
            shown = accepted.agreement.qwk if metric == "QWK" else accepted.agreement.exact
            if shown is not None:
                axes.plot(accepted.share, shown, "o", color=OURS)
                axes.annotate(
                    "threshold", (accepted.share, shown), xytext=(5, 5), textcoords="offset points", fontsize=8
                )
        axes.set(xlim=(0, 1.02), xlabel="share accepted, the surest first", ylabel=f"{metric} of what is accepted")

    return _svg(draw)


def learning(own: ItemReport, metric: str) -> str:
    """Agreement on dev against the marked responses trained on."""

    def draw(axes: Axes) -> None:
        axes.plot([n for n, _ in own.learning_curve], [y for _, y in own.learning_curve], "o-", color=OURS)
        axes.set(xlim=(0, None), xlabel="marked responses", ylabel=f"{metric} on dev, when trained")

    return _svg(draw)


def confusion(own: ItemReport) -> str:
    """Human scores by row, machine scores by column; the shade is the share of the row."""

    def draw(axes: Axes) -> None:
        counts = np.array(own.confusion)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Greens", vmin=0, vmax=1.2)
        for row, column in np.ndindex(*counts.shape) if len(counts) <= MOST_NUMBERS else ():
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=9)
        names = [name if len(name) <= 14 else f"{name[:13]}…" for name in own.scores]
        if len(counts) <= MOST_NUMBERS:
            axes.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) < 4 else 30, ha="center")
            axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="machine", ylabel="human")
        axes.grid(visible=False)

    return _svg(draw)


def _svg(draw: Callable[[Axes], None]) -> str:
    settings: Any = {"svg.hashsalt": "scorelet", "svg.fonttype": "none", "font.family": "sans-serif"}
    settings |= {"text.parse_math": False}  # a label may be "$5"
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's browser has the script, if we have not
        figure = Figure(figsize=(4.6, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.grid(visible=True, color=GRID, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    return content.getvalue()[content.getvalue().index("<svg") :]
