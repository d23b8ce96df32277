"""The comparison for readers: one HTML file that opens offline, Markdown, JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.scoring.files.output import ORIGIN_MARK
from training.compare.figures import STUDENT, Cost, Section, TableRow
from training.compare.plots import against_size, against_time
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


class BadFormat(TrainingError):
    """The name of a report's file asks for a format that there is not."""


def write_report(path: Path, found: Sequence[Section]) -> None:
    """In the format that the file's name asks for.  Raises BadFormat for another."""
    if path.suffix not in FORMATS:
        sentence = f"a report is written as {', '.join(FORMATS)}, not as {path.name}"
        raise BadFormat(sentence, name=path.name, formats=FORMATS)
    write = {".html": html, ".md": markdown, ".json": as_json}[path.suffix]
    path.write_text(write(found), encoding="utf-8")


def html(found: Sequence[Section]) -> str:
    environment = Environment(
        loader=PackageLoader("training.compare"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    views = [
        {
            "heading": heading(section),
            "metric": section.metric,
            "tables": [
                [AGREEMENT, *(agreement_cells(row) for row in section.contestants)],
                [COSTS, *(cost_cells(row) for row in section.contestants)],
                item_table(section),
            ],
            "plots": [plot for plot in (against_size(section), against_time(section)) if plot],
        }
        for section in found
    ]
    ours = {row.title for section in found for row in section.contestants if row.name == STUDENT}
    return environment.get_template("report.html").render(views=views, ours=ours) + "\n"


def markdown(found: Sequence[Section]) -> str:
    lines = [f"<!-- {ORIGIN_MARK} -->", ""]
    for section in found:
        lines += [f"## {heading(section)}", ""]
        lines += [*_table([AGREEMENT, *(agreement_cells(row) for row in section.contestants)]), ""]
        lines += [*_table([COSTS, *(cost_cells(row) for row in section.contestants)]), ""]
        lines += [f"### {section.metric} of each item", "", *_table(item_table(section)), ""]
    return "\n".join(lines)


def as_json(found: Sequence[Section]) -> str:
    return json.dumps([{ORIGIN_MARK: "compare"} | section.model_dump() for section in found], indent=1) + "\n"


def heading(section: Section) -> str:
    how = "mean over items" if section.kind == "ordered" else "over all rows"
    note = "" if section.settings == 1 else f" (found under {section.settings} different settings)"
    return f"{section.metric}, {how}: {section.items} items, {section.rows} responses{note}"


def agreement_cells(row: TableRow) -> list[str]:
    less, interval = row.student_less_this, row.student_less_this_interval
    return [
        row.title,
        f"{row.figure:.3f}",
        _interval(row.interval),
        "" if less is None or interval is None else f"{less:+.3f} {_interval(interval)}",
        _shown(row.accuracy),
        _shown(row.macro_f1),
    ]


def cost_cells(row: TableRow) -> list[str]:
    """Bytes and times in the precision that the contestant is made in, then in int8; all of items that were timed."""
    own = next((cost for precision, cost in row.costs.items() if precision != "int8"), None)
    small = row.costs.get("int8")
    return [
        row.title,
        "" if row.parameters is None else f"{row.parameters:,.0f}",
        "" if row.minutes is None else f"{row.minutes:.1f}",
        *_costs(own),
        _difference(small, own),
        *_costs(small),
    ]


def _difference(small: Cost | None, own: Cost | None) -> str:
    figures = [cost.figure for cost in (small, own) if cost is not None and cost.figure is not None]
    return f"{figures[0] - figures[1]:+.3f}" if len(figures) == 2 else ""


def _costs(cost: Cost | None) -> list[str]:
    return ["", "", ""] if cost is None else [f"{cost.bytes:,.0f}", f"{cost.alone_ms:.3g}", f"{cost.batched_ms:.3g}"]


def item_table(section: Section) -> list[list[str]]:
    """Item by item, the head first."""
    head = ["item", *(row.title for row in section.contestants)]
    return [
        head,
        *([item, *(_shown(row.items[item]) for row in section.contestants)] for item in section.contestants[0].items),
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown; the first row is the head."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return [head, f"|{'---|' * len(rows[0])}", *body]


def _interval(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
