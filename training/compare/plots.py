"""Plots of agreement against size and against speed, as SVG inside a page."""

import io
from collections.abc import Callable

import matplotlib as mpl
from matplotlib.figure import Figure

from training.compare.section import CONSTANT, HUMAN, STUDENT, Section, TableRow

STUDENT_COLOUR, OTHER_COLOUR = "#0b6e4f", "#5c6b73"


def against_size(section: Section) -> str:
    """Plot agreement against trained weights."""
    return _plot(section, "trained weights", lambda row: row.parameters)


def against_time(section: Section) -> str:
    """Plot agreement against milliseconds a response; an empty string if nothing was timed."""
    return _plot(section, "milliseconds a response, alone, one thread", _milliseconds)


def _milliseconds(row: TableRow) -> float | None:
    first = next(iter(row.costs.values()), None)
    return None if first is None else first.alone_ms


def _plot(section: Section, label: str, value: Callable[[TableRow], float | None]) -> str:
    """Plot the contestants that have a value, with their intervals, and human raters as a line."""
    models = [row for row in section.contestants if row.name not in (CONSTANT, HUMAN)]
    placed = [(row, x) for row in models if (x := value(row))]
    if not placed:
        return ""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for row in section.contestants:
        if row.name == HUMAN:
            axes.axhline(row.figure, color=OTHER_COLOUR, linestyle=":", linewidth=1)
            axes.annotate(
                "human raters", (0.01, row.figure), xycoords=("axes fraction", "data"), va="bottom", fontsize=8
            )
    for row, x in placed:
        colour = STUDENT_COLOUR if row.name == STUDENT else OTHER_COLOUR
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
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "scorelet", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    content = buffer.getvalue()
    return content[content.index("<svg") :]
