"""`scorelet-train evaluate`: live bundles compared with human scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions
from app.scoring.score_file import check_name
from training.cli.options import (
    ForceOption,
    ItemsOption,
    ModelsOption,
    bad_ending,
    print_table,
    to_be_written,
    training_installed,
)
from training.cli.reading import with_reading_options
from training.evaluation.evaluate import evaluate as evaluate_bundles
from training.evaluation.item_report import ItemReport
from training.evaluation.report import summary, write_html, write_json

ResponsesOption = Annotated[
    Path, typer.Option(help="Marked responses (docs/reference/data-files.md) that the models were not trained on.")
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Write the report to this .html file, which opens offline.")
]
FiguresOption = Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")]
PredictionsOption = Annotated[Path | None, typer.Option(help="Write every row with its score to this CSV file.")]
TextsOption = Annotated[
    bool, typer.Option("--texts", help="Show responses in the report where machine and rater disagree most.")
]
RawOption = Annotated[
    bool, typer.Option("--raw", help="Write texts unchanged, even if a spreadsheet would run them as formulas.")
]


@with_reading_options
def evaluate(
    models: ModelsOption,
    responses: ResponsesOption,
    item: ItemsOption = None,
    report: ReportOption = None,
    figures: FiguresOption = None,
    predictions: PredictionsOption = None,
    texts: TextsOption = False,
    raw: RawOption = False,
    reading: ReadOptions = DEFAULT_OPTIONS,
    force: ForceOption = False,
) -> None:
    """Compare live bundles with human scores, through the code that serves."""
    if report is not None and report.suffix != ".html":
        raise bad_ending(report, ".html")
    to_be_written([report, figures, predictions], responses, force=force)
    check_name(predictions)
    reports = evaluate_bundles(models, responses, predictions, item or (), texts=texts, raw=raw, reading=reading)
    _print_summary(reports)
    if figures:
        write_json(figures, reports)
    if report:
        with training_installed():
            write_html(report, reports, responses.name)


def _print_summary(reports: Sequence[ItemReport]) -> None:
    head, *rows = summary(reports)
    table = Table(*head, box=SIMPLE)
    for row in rows:
        table.add_row(*row)
    print_table(table)
