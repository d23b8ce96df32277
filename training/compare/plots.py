"""Agreement against size and against speed, as SVG to stand inside a page."""

import io
from collections.abc import Callable

import matplotlib as mpl
from matplotlib.figure import Figure

from training.compare.figures import CONSTANT, HUMAN, STUDENT, Section, TableRow

OURS, OTHERS = "#0b6e4f", "#5c6b73"


def against_size(section: Section) -> str:
    return _plot(section, "learned weights", lambda row: row.parameters)


def against_time(section: Section) -> str:
    return _plot(section, "milliseconds a response, alone, one thread", _milliseconds)


def _milliseconds(row: TableRow) -> float | None:
    first = next(iter(row.costs.values()), None)
    return None if first is None else first.alone_ms


def _plot(section: Section, label: str, value: Callable[[TableRow], float | None]) -> str:
    """Contestants with such a value, with their intervals; human raters as a line.  Nothing where none has one."""
    placed = [(row, x) for row in section.contestants if row.name not in (CONSTANT, HUMAN) and (x := value(row))]
    if not placed:
        return ""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for row in section.contestants:
        if row.name == HUMAN:
            axes.axhline(row.figure, color=OTHERS, linestyle=":", linewidth=1)
            axes.annotate(
                "human raters", (0.01, row.figure), xycoords=("axes fraction", "data"), va="bottom", fontsize=8
            )
    for row, x in placed:
        colour = OURS if row.name == STUDENT else OTHERS
        low, high = row.interval
        reach = [[max(0.0, row.figure - low)], [max(0.0, high - row.figure)]]
        axes.errorbar(x, row.figure, yerr=reach, fmt="o", color=colour, capsize=3)
        axes.annotate(row.title, (x, row.figure), xytext=(6, 5), textcoords="offset points", fontsize=8, color=colour)
    axes.set_xscale("log")
    axes.margins(x=0.25)
    axes.set_xlabel(label)
    axes.set_ylabel(section.metric)
    axes.grid(visible=True, color="#e3e7e9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    content = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "scorelet", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    return content.getvalue()[content.getvalue().index("<svg") :]
