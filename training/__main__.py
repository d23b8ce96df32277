"""`scorelet-train …`: check data, train bundles, evaluate them.  `check` and `evaluate` need no torch."""

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.scoring.errors import ScoringError
from app.scoring.files.output import ORIGIN_MARK, CannotWrite
from app.scoring.item import Item
from app.scoring.score_file import check_name
from app.settings import unknown_names
from training.cli.compare import compare
from training.cli.feedback import feedback
from training.cli.options import (
    BaseModelOption,
    CacheOption,
    ConfigOption,
    DataOption,
    DecimalOption,
    DelimiterOption,
    ForceOption,
    ItemsOption,
    KeepNaOption,
    ModelsOption,
    ScoreColumnOption,
    SeedOption,
    TeacherOption,
    UsageFailure,
    bad_ending,
    chosen_items,
    noted,
    print_gate,
    print_table,
    reading_of,
    resolve_teacher,
    settings_of,
    to_be_written,
    training_installed,
)
from training.common.cache import work_folder
from training.common.progress import note
from training.config import TrainingConfig
from training.data import read_data
from training.errors import BadConfig, TeacherTooLarge, TrainingError

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@cli.callback()
def names_are_known() -> None:
    """Raise UsageFailure where the environment has a SCORELET_ variable that is no setting, before any work."""
    if unknown := unknown_names(os.environ):
        raise UsageFailure("; ".join(unknown.values()), code="unknown_setting", settings=sorted(unknown))


@cli.command()
def check(
    data: DataOption,
    report: Annotated[Path | None, typer.Option("--json", help="Write the summary here too.")] = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    keep_na: KeepNaOption = False,
    score_column: ScoreColumnOption = "",
    force: ForceOption = False,
) -> None:
    """Summarise a data set: counts, scores, human agreement, duplicates, conflicting scores, leaks into dev."""
    from training.pipeline.check import summarise

    to_be_written([report], data, force=force)
    summaries = summarise(noted(read_data(data, reading_of(delimiter, decimal, keep_na, score_column))))
    table = Table(box=SIMPLE)
    for name in (
        "item",
        "train",
        "dev",
        "unlabelled",
        "train by score",
        "two raters",
        "raters agree",
        "blank",
        "twice",
        "conflicts",
        "leaks",
        "seen",
        "over-long",
        "learners",
    ):
        table.add_column(name, overflow="fold")
    for s in summaries:
        scores = ", ".join(f"{name}: {count}" for name, count in s.distribution.items())
        counts = (s.blank, s.duplicates, s.conflicts, s.leaks, s.seen, f"{s.over_long:.1%}", s.learners)
        raters = (str(s.double_scored), s.agreement_of_raters)
        rows = (str(s.train), str(s.dev), str(s.unlabelled))
        table.add_row(s.item_id, *rows, scores, *raters, *map(str, counts))
    print_table(table)
    note(f"{s.item_id}: rows of train and dev that hold nothing: {s.said_missing}" for s in summaries if s.missing)
    for warning in itertools.chain.from_iterable(s.warnings for s in summaries):
        typer.echo(f"warning: {warning}", err=True)
    if report:
        report.write_text(
            json.dumps([{ORIGIN_MARK: "check"} | s.as_dict() for s in summaries], indent=2) + "\n", encoding="utf-8"
        )


@cli.command()
def run(
    data: DataOption,
    models: ModelsOption,
    item: ItemsOption = None,
    config: ConfigOption = None,
    teacher: TeacherOption = None,
    base: BaseModelOption = None,
    seed: SeedOption = None,
    cache: CacheOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train nothing: say what memory the teacher needs; takes no weights.")
    ] = False,
    export_teacher: Annotated[
        bool, typer.Option("--export-teacher", help="Write the teachers too, for the service to fall back on.")
    ] = False,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    keep_na: KeepNaOption = False,
    score_column: ScoreColumnOption = "",
) -> None:
    """Train a teacher, distil a student, export and measure it, item by item.  Killed, it goes on when called again."""
    settings = settings_of(config, teacher, base, seed)
    chosen = chosen_items(data, item, reading_of(delimiter, decimal, keep_na, score_column))
    with training_installed():
        from training.pipeline.export_teacher import export_teachers
        from training.pipeline.run import train
    if dry_run:
        _say_need(settings, chosen[0].item)
        return
    if export_teacher and (settings.teacher.kind == "api" or settings.distillation.soft_weight == 0):
        raise UsageFailure("--export-teacher needs a teacher that is fine-tuned here", code="no_teacher_to_export")
    if settings.distillation.soft_weight > 0:
        resolve_teacher(settings, chosen)
    try:
        models.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageFailure(
            f"{models} is a file, not a folder for bundles", code="models_is_a_file", path=models
        ) from None
    for bundle in train(chosen, models, settings, work_folder(cache)):
        print_gate(bundle)
    if export_teacher:
        for made in export_teachers(chosen, models, settings, work_folder(cache)):
            typer.echo(f"_teachers/{made.name}/{made.version}: {made.members} networks in {made.precision}")


cli.command()(compare)


@cli.command()
def evaluate(
    models: ModelsOption,
    responses: Annotated[
        Path,
        typer.Option(help="Marked responses (docs/reference/data-files.md); none that the models were trained on."),
    ],
    item: ItemsOption = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the report here: one .html file that opens offline.")
    ] = None,
    figures: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Write every row as scored here, CSV.")] = None,
    texts: Annotated[
        bool,
        typer.Option("--texts", help="Show in the report what learners wrote where machine and rater differ."),
    ] = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Write texts as they are, also those that a spreadsheet would run."),
    ] = False,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    keep_na: KeepNaOption = False,
    score_column: ScoreColumnOption = "",
    force: ForceOption = False,
) -> None:
    """Measure live bundles against human scores, through the code that serves."""
    from training.evaluation.evaluate import evaluate as evaluated
    from training.evaluation.report import summary, write_html, write_json

    if report is not None and report.suffix != ".html":
        raise bad_ending(report, ".html")
    to_be_written([report, figures, predictions], responses, force=force)
    check_name(predictions)
    reading = reading_of(delimiter, decimal, keep_na, score_column)
    found = evaluated(models, responses, predictions, item or (), texts=texts, raw=raw, reading=reading)
    head, *rows = summary(found)
    table = Table(*head, box=SIMPLE)
    for row in rows:
        table.add_row(*row)
    print_table(table)
    if figures:
        write_json(figures, found)
    if report:
        with training_installed():
            write_html(report, found, responses.name)


cli.command()(feedback)


def _say_need(settings: TrainingConfig, item: Item) -> None:
    from training.teacher.memory_estimate import available, need

    if settings.teacher.kind == "api" or settings.distillation.soft_weight == 0:
        raise UsageFailure("no teacher is trained under these settings", code="no_teacher_trained")
    needed, gib = need(settings.teacher, item), 2**30
    table = Table("one teacher in training", "weights", "GiB", box=SIMPLE)
    table.add_row("frozen", f"{needed.frozen:,}", f"{needed.weights / gib:.2f}")
    table.add_row("learnt, with gradients, moments, mean", f"{needed.learnt:,}", f"{needed.learning / gib:.2f}")
    lengths = f"{settings.teacher.batch_size} x {settings.teacher.max_tokens} tokens"
    table.add_row(f"kept of a step of {lengths}", "", f"{needed.activations / gib:.2f}")
    table.add_row("the largest layer, unpacked", "", f"{needed.unpacking / gib:.2f}")
    table.add_row("in all", "", f"{needed.total / gib:.2f}")
    table.add_row("there is", "", f"{available() / gib:.2f}")
    print_table(table)
    if needed.adapted:
        Console().print(f"adapters at {', '.join(f'{count} {name}' for name, count in needed.adapted.items())}")
    if needed.total > available():
        raise TeacherTooLarge(
            "it does not fit: fewer responses a step, or checkpointing, or --teacher qlora need less",
            needed=needed.total,
            available=available(),
        )


def main() -> None:
    """Exit code 0, 1 (the work failed) or 2 (bad usage); what went wrong in one message, no traceback."""
    try:
        cli()
    except (UsageFailure, BadConfig, CannotWrite) as error:
        sys.stderr.write(f"scorelet-train: {error}\n")
        sys.exit(2)
    except (ScoringError, TrainingError, OSError) as error:
        sys.stderr.write(f"scorelet-train: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
