"""Serve scores over HTTP, score files, and manage bundles, keys and the database."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from app.cli.backups import backup, restore
from app.cli.bundles import bundle
from app.cli.console import (
    BadUsage,
    ForceOption,
    ModelsOption,
    WorkFailed,
    engine_of,
    failed,
    figure_cell,
    models_or_fail,
    print_table,
    say,
    say_on_stderr,
    settings_or_fail,
)
from app.cli.doctor import examine
from app.cli.feedback import feedback
from app.cli.keys import keys
from app.cli.learners import learner
from app.scoring.decision import LiveItem
from app.scoring.errors import ScoringError
from app.scoring.files.options import Delimiter, ReadOptions
from app.scoring.files.output import CannotWrite, refuse_to_lose
from app.scoring.registry import Registry
from app.scoring.row_files import FORMATS, read_file, require_rows
from app.scoring.score_file import check_name, check_rows, judge_rows, write_table
from app.storage.database import head_revision
from app.storage.health import damage, schema_problem
from app.storage.problems import DatabaseUnusable
from app.storage.upgrade import upgrade_schema

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=__doc__,
)
db = typer.Typer(no_args_is_help=True, help="Create or upgrade the tables of the database.")
cli.add_typer(bundle, name="bundle")
cli.add_typer(feedback, name="feedback")
cli.add_typer(learner, name="learner")
cli.add_typer(keys, name="keys")
cli.add_typer(db, name="db")
cli.command()(backup)
cli.command()(restore)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: SCORELET_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on. Default: SCORELET_PORT.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that share the port. Default: SCORELET_WORKERS.")
    ] = None,
) -> None:
    """Serve the HTTP API, with its documentation at /docs."""
    from app.server.run import run
    from app.service.startup import CannotStart, is_open

    options = {"host": host, "port": port, "workers": workers}
    overrides = {name: value for name, value in options.items() if value is not None}
    settings = settings_or_fail().model_copy(update=overrides)
    engine = engine_of(settings)
    if not schema_problem(engine, head_revision()):
        try:
            is_open(engine, settings.host)
        except CannotStart as error:
            raise WorkFailed(str(error), code=error.code, **error.fields) from None
    engine.dispose()
    if not run(settings):
        raise WorkFailed(
            "the service did not start: the log lines above say why; --port chooses another port", code="not_started"
        )


@cli.command()
def score(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help=f"Responses, with item_id and response: {', '.join(FORMATS)}."),
    ],
    out: Annotated[Path, typer.Option(help="CSV file for the scored rows.")],
    models: ModelsOption = None,
    delimiter: Annotated[
        Delimiter | None, typer.Option(help="Separator of columns in a .csv or .tsv file. Default: detected.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write texts unchanged, even if a spreadsheet would run them as formulas.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Score a file of responses.

    Nothing is written to the database. If any row is bad, no row is scored.
    """
    refuse_to_lose([out], [file], force=force)
    check_name(out)
    registry = Registry.from_folder(models_or_fail(models))
    read = read_file(file, ReadOptions(delimiter=delimiter))
    for note in read.notes:
        say_on_stderr(note)
    require_rows(read)
    check_rows(registry, read.rows)
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(read.rows))
        judgements = judge_rows(registry, read.rows, lambda done: progress.advance(task, done))
    write_table(out, registry, read.rows, judgements, raw=raw)
    say(f"{len(read.rows)} responses scored to {out}")


@cli.command()
def items(models: ModelsOption = None) -> None:
    """List the live version of each item, and the items that are refused."""
    folder = models_or_fail(models)
    registry = Registry.from_folder(folder)
    columns = ("item", "scale", "version", "mode", "gate", "threshold", "QWK", "exact", "parameters", "blanks")
    table = Table(*columns, box=SIMPLE)
    for item_id, live in sorted(registry.live.items()):
        table.add_row(item_id, *_cells(live))
    print_table(table, 190)
    for item_id, reason in registry.refused.items():
        say(f"refused: {item_id}: {reason}")
    ready, refused = len(registry.live), len(registry.refused)
    if refused or not ready:
        sentence = f"{ready} items ready, {refused} refused in {folder}"
        raise WorkFailed(sentence, code="items_refused", ready=ready, refused=refused)


def _cells(live: LiveItem) -> list[str]:
    """Return the cells of an item's row, in the order of the columns of `items`."""
    bundle, active = live.bundle, live.active
    item, agreement = bundle.item, bundle.agreement
    extent = item.extent if item.labels is None else f"{item.choices} labels"
    gate = "overruled" if active.override else "not passed"
    if active.gate.passed:
        gate = "passed"
    qwk, exact = (agreement.qwk, agreement.exact) if agreement else (None, None)
    figures = [figure_cell(figure) for figure in (bundle.threshold, qwk, exact)]
    blanks = "worst score" if active.blank_is_worst else "a person"
    scale = f"{item.scale}, {extent}"
    return [scale, bundle.version, active.mode, gate, *figures, str(bundle.parameters), blanks]


@cli.command()
def doctor() -> None:
    """Check this installation, and say how to fix each problem."""
    findings = examine(settings_or_fail())
    for finding in findings:
        verdict = "ok  " if finding.good else "BAD "
        say(f"{verdict} {finding.sentence}")
        if finding.advice:
            say(f"     → {finding.advice}")
    if codes := [finding.code for finding in findings if not finding.good]:
        problems = "1 problem" if len(codes) == 1 else f"{len(codes)} problems"
        raise WorkFailed(f"{problems} to fix", code="things_to_mend", codes=codes)


@db.command("upgrade")
def db_upgrade() -> None:
    """Create the tables, or upgrade them to this version."""
    try:
        upgrade_schema(engine_of(settings_or_fail()))
    except DatabaseUnusable as error:
        raise failed(error.problem) from None


def main() -> None:
    """Run a command; exit with code 0, 1 (the work failed) or 2 (bad usage) and one message, without a traceback."""
    try:
        cli()
    except (BadUsage, CannotWrite) as error:
        _exit(2, str(error))
    except SQLAlchemyError as error:
        failure = f"the database failed ({type(error).__name__}): run `scorelet doctor`"
        if problem := damage(error):
            failure = str(problem)
        _exit(1, failure)
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _exit(1, reason)
    except (WorkFailed, ScoringError) as error:
        _exit(1, str(error))


def _exit(code: int, message: str) -> None:
    sys.stderr.write(f"scorelet: {message}\n")
    sys.exit(code)
