"""`scorelet-train check`: a summary of a data set, with warnings, before hours are spent on it."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions
from app.scoring.files.output import ORIGIN_MARK
from training.cli.options import DataOption, ForceOption, print_table, to_be_written, with_notes
from training.cli.reading import with_reading_options
from training.common.progress import note
from training.data import read_data
from training.pipeline.check import ItemSummary, summarise

HEAD = (
    "item", "train", "dev", "unlabelled", "train by score", "double-scored", "agreement of raters", "blank",
    "duplicates", "conflicts", "leaks", "also unlabelled", "over-long", "learners",
)  # fmt: skip
SummaryOption = Annotated[Path | None, typer.Option("--json", help="Write the summary to this file too.")]


@with_reading_options
def check(
    data: DataOption,
    report: SummaryOption = None,
    reading: ReadOptions = DEFAULT_OPTIONS,
    force: ForceOption = False,
) -> None:
    """Report the counts of a data set, agreement of raters, duplicates, conflicting scores and leaks into dev."""
    to_be_written([report], data, force=force)
    summaries = summarise(with_notes(read_data(data, reading)))
    _print_summaries(summaries)
    note(
        f"{summary.item_id}: empty cells in train and dev: {summary.said_missing}"
        for summary in summaries
        if summary.missing
    )
    for warning in itertools.chain.from_iterable(summary.warnings for summary in summaries):
        typer.echo(f"warning: {warning}", err=True)
    if report:
        objects = [{ORIGIN_MARK: "check"} | summary.as_dict() for summary in summaries]
        report.write_text(json.dumps(objects, indent=2) + "\n", encoding="utf-8")


def _print_summaries(summaries: Sequence[ItemSummary]) -> None:
    table = Table(box=SIMPLE)
    for name in HEAD:
        table.add_column(name, overflow="fold")
    for summary in summaries:
        rows = (summary.train, summary.dev, summary.unlabelled)
        by_score = ", ".join(f"{name}: {count}" for name, count in summary.distribution.items())
        raters = (summary.double_scored, summary.agreement_of_raters)
        repeated = (summary.blank, summary.duplicates, summary.conflicts, summary.leaks, summary.seen)
        cells = (summary.item_id, *rows, by_score, *raters, *repeated, f"{summary.over_long:.1%}", summary.learners)
        table.add_row(*map(str, cells))
    print_table(table, 200)
