"""Reports of a comparison: an HTML file that opens offline, Markdown, or JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.scoring.files.output import ORIGIN_MARK
from training.compare.plots import against_size, against_time
from training.compare.section import STUDENT, Cost, Section, TableRow
from training.errors import TrainingError

AGREEMENT = ("", "agreement", "95 % interval", "student less this", "accuracy", "macro-F1")
COSTS = (
    "",
    "weights",
    "minutes",
    "bytes",
    "ms alone",
    "ms in 32",
    "int8: agreement less that in float32",
    "int8: bytes",
    "int8: ms alone",
    "int8: ms in 32",
)
FORMATS = (".html", ".md", ".json")
Table = Sequence[Sequence[str]]


class BadFormat(TrainingError):
    """A report whose name ends in no known format."""


def write_report(path: Path, sections: Sequence[Section]) -> None:
    """Write the sections in the format that the path ends in.  Raises BadFormat for an unknown one."""
    if path.suffix not in FORMATS:
        sentence = f"{path.name} names no format of a report: end the name in {', '.join(FORMATS)}"
        raise BadFormat(sentence, name=path.name, formats=FORMATS)
    write = {".html": html, ".md": markdown, ".json": as_json}[path.suffix]
    path.write_text(write(sections), encoding="utf-8")


def html(sections: Sequence[Section]) -> str:
    """Return the report as an HTML page that loads nothing."""
    environment = Environment(
        loader=PackageLoader("training.compare"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    views = [_view(section) for section in sections]
    students = {row.title for section in sections for row in section.contestants if row.name == STUDENT}
    return environment.get_template("report.html").render(views=views, students=students) + "\n"


def _view(section: Section) -> dict[str, Any]:
    """Return the variables of the template for one section."""
    plots = (against_size(section), against_time(section))
    return {
        "heading": heading(section),
        "metric": section.metric,
        "tables": [agreement_table(section), cost_table(section), item_table(section)],
        "plots": [plot for plot in plots if plot],
    }


def markdown(sections: Sequence[Section]) -> str:
    """Return the report as Markdown."""
    lines = [f"<!-- {ORIGIN_MARK} -->", ""]
    for section in sections:
        lines += [f"## {heading(section)}", ""]
        lines += [*_markdown_table(agreement_table(section)), ""]
        lines += [*_markdown_table(cost_table(section)), ""]
        lines += [f"### {section.metric} of each item", "", *_markdown_table(item_table(section)), ""]
    return "\n".join(lines)


def as_json(sections: Sequence[Section]) -> str:
    """Return the report as JSON, one object a section."""
    objects = [{ORIGIN_MARK: "compare"} | section.model_dump() for section in sections]
    return json.dumps(objects, indent=1) + "\n"


def heading(section: Section) -> str:
    """Return the metric, how it is averaged, and the numbers of items and responses."""
    how = "mean over items" if section.kind == "ordered" else "over all rows"
    note = "" if section.settings == 1 else f" (results under {section.settings} different settings)"
    return f"{section.metric}, {how}: {section.items} items, {section.rows} responses{note}"


def agreement_table(section: Section) -> Table:
    """Return the head and a row for each contestant: agreement, and the student's less it."""
    return [AGREEMENT, *map(_agreement_cells, section.contestants)]


def _agreement_cells(row: TableRow) -> list[str]:
    difference = ""
    if row.student_less_this is not None and row.student_less_this_interval is not None:
        difference = f"{row.student_less_this:+.3f} {_interval(row.student_less_this_interval)}"
    figure, interval = f"{row.figure:.3f}", _interval(row.interval)
    return [row.title, figure, interval, difference, _shown(row.accuracy), _shown(row.macro_f1)]


def cost_table(section: Section) -> Table:
    """Return the head and a row for each contestant: bytes and times on the timed items, as trained and in int8."""
    return [COSTS, *map(_cost_cells, section.contestants)]


def _cost_cells(row: TableRow) -> list[str]:
    as_trained = next((cost for precision, cost in row.costs.items() if precision != "int8"), None)
    int8 = row.costs.get("int8")
    weights = "" if row.parameters is None else f"{row.parameters:,.0f}"
    minutes = "" if row.minutes is None else f"{row.minutes:.1f}"
    return [row.title, weights, minutes, *_costs(as_trained), _difference(int8, as_trained), *_costs(int8)]


def _difference(int8: Cost | None, as_trained: Cost | None) -> str:
    figures = [cost.figure for cost in (int8, as_trained) if cost is not None and cost.figure is not None]
    return f"{figures[0] - figures[1]:+.3f}" if len(figures) == 2 else ""


def _costs(cost: Cost | None) -> list[str]:
    if cost is None:
        return ["", "", ""]
    return [f"{cost.bytes:,.0f}", f"{cost.alone_ms:.3g}", f"{cost.batched_ms:.3g}"]


def item_table(section: Section) -> Table:
    """Return the head and a row for each item: the figure of each contestant."""
    rows = [["item", *(row.title for row in section.contestants)]]
    for item in section.contestants[0].items:
        figures = [row.items[item] for row in section.contestants]
        rows.append([item, *map(_shown, figures)])
    return rows


def _markdown_table(rows: Table) -> list[str]:
    """Return the lines of a Markdown table; the first row is the head."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return [head, "|" + "---|" * len(rows[0]), *body]


def _interval(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
