"""`scorelet …`: serve, score files, look after bundles, keys and the database."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.cli.backups import backup, restore
from app.cli.bundles import bundle
from app.cli.console import (
    BadUsage,
    ForceOption,
    ModelsOption,
    WorkFailed,
    engine_of,
    failed,
    models_or_fail,
    print_table,
    ready_engine,
    say,
    say_beside,
    settings_or_fail,
)
from app.cli.doctor import examine
from app.cli.feedback import feedback
from app.cli.learners import learner
from app.scoring.errors import ScoringError
from app.scoring.files.options import Delimiter, ReadOptions
from app.scoring.files.output import CannotWrite, refuse_to_lose
from app.scoring.registry import Registry
from app.scoring.row_files import FORMATS, read_file, require_rows
from app.scoring.score_file import check_name, check_rows, judge_rows, write_table
from app.storage import api_keys
from app.storage.database import head_revision
from app.storage.health import damage, schema_problem
from app.storage.problems import DatabaseUnusable
from app.storage.upgrade import upgrade_schema

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
key = typer.Typer(no_args_is_help=True, help="API keys: shown once, stored as a hash.")
db = typer.Typer(no_args_is_help=True, help="The database.")
cli.add_typer(bundle, name="bundle")
cli.add_typer(feedback, name="feedback")
cli.add_typer(learner, name="learner")
cli.add_typer(key, name="keys")
cli.add_typer(db, name="db")
cli.command()(backup)
cli.command()(restore)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: SCORELET_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: SCORELET_PORT.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that share the port. Default: SCORELET_WORKERS.")
    ] = None,
) -> None:
    """Serve the REST interface; its documentation is at /docs."""
    from app.main import CannotStart, is_open
    from app.server.run import run

    given = {"host": host, "port": port, "workers": workers}
    settings = settings_or_fail().model_copy(update={name: own for name, own in given.items() if own is not None})
    engine = engine_of(settings)
    if not schema_problem(engine, head_revision()):
        try:
            is_open(engine, settings.host)
        except CannotStart as error:
            raise WorkFailed(str(error), code=error.code, **error.fields) from None
    engine.dispose()
    if not run(settings):
        raise WorkFailed("the service did not start; the lines above say why", code="not_started")


@cli.command()
def score(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help=f"Responses, with item_id and response: {', '.join(FORMATS)}."),
    ],
    out: Annotated[Path, typer.Option(help="Where to write the scored rows, CSV.")],
    models: ModelsOption = None,
    delimiter: Annotated[
        Delimiter | None, typer.Option(help="Between the columns of a .csv or .tsv file. Default: found out.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write texts as they are, also those that a spreadsheet would run.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Score a file of responses.  Writes nothing to the database; a bad row stops all before anything is written."""
    refuse_to_lose([out], [file], force=force)
    check_name(out)
    registry = Registry.from_folder(models_or_fail(models))
    read = read_file(file, ReadOptions(delimiter=delimiter))
    for note in read.notes:
        say_beside(note)
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
    """List the items, what is live of each, and which are refused."""
    folder = models_or_fail(models)
    registry = Registry.from_folder(folder)
    columns = ("item", "scale", "version", "mode", "gate", "threshold", "QWK", "exact", "parameters", "blanks")
    table = Table(*columns, box=SIMPLE)
    for item_id, live in sorted(registry.live.items()):
        b, a = live.bundle, live.bundle.agreement
        figures = (b.threshold, a and a.qwk, a and a.exact)
        shown = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        blanks = "worst score" if live.active.blank_is_worst else "a person"
        passed = "passed" if live.active.gate.passed else "overruled" if live.active.override else "not passed"
        scale = b.item.extent if b.item.labels is None else f"{b.item.choices} labels"
        made = (f"{b.item.scale}, {scale}", b.version, live.active.mode, passed)
        table.add_row(item_id, *made, *shown, str(b.parameters), blanks)
    print_table(table, 190)
    for item_id, reason in registry.refused.items():
        say(f"refused: {item_id}: {reason}")
    if registry.refused or not registry.live:
        ready, refused = len(registry.live), len(registry.refused)
        sentence = f"{ready} items ready, {refused} refused in {folder}"
        raise WorkFailed(sentence, code="items_refused", ready=ready, refused=refused)


@cli.command()
def doctor() -> None:
    """Say what is wrong with this installation, and how to fix each problem."""
    findings = examine(settings_or_fail())
    for finding in findings:
        say(
            f"{'ok  ' if finding.good else 'BAD '} {finding.what}"
            + (f"\n     → {finding.advice}" if finding.advice else "")
        )
    if bad := [finding.code for finding in findings if not finding.good]:
        raise WorkFailed(f"{len(bad)} problem(s) to fix", code="things_to_mend", codes=bad)


@key.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="Whose key this is.")],
    scope: Annotated[list[api_keys.Scope], typer.Option(help="What it may do; may be repeated.")],
    days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="Expires after so many days. Default: never.")
    ] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Responses it may have scored a minute. Default: any number.")
    ] = None,
) -> None:
    """Make a key.  It is printed once and cannot be shown again."""
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    with Session(ready_engine()) as session, session.begin():
        made, secret = api_keys.create(session, name, scope, expires_at, rate)
        created = made.id
    _show_once(created, name, secret)


@key.command("rotate")
def keys_rotate(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")],
    overlap: Annotated[
        int, typer.Option(min=0, max=365, help="Days for which the old key works too, to change it everywhere.")
    ] = 7,
) -> None:
    """Make a key that may do what another may, and let the other end."""
    with Session(ready_engine()) as session, session.begin():
        made = api_keys.rotate(session, key_id, timedelta(days=overlap))
        if made is None:
            raise WorkFailed(f"no key {key_id} that works", code="no_working_key", key_id=key_id)
        created, name, secret = made[0].id, made[0].name, made[1]
    _show_once(created, name, secret)


def _show_once(key_id: str, name: str, secret: str) -> None:
    sys.stderr.write(f"key {key_id} for {name}; keep what follows, it is not stored:\n")
    say(secret)


@key.command("list")
def keys_list() -> None:
    """List all keys; none is shown."""
    identity = Column("id", no_wrap=True)
    table = Table(
        identity,
        "name",
        "scopes",
        "created",
        "expires",
        "revoked",
        "rate",
        Column("replaces", no_wrap=True),
        box=SIMPLE,
    )
    with Session(ready_engine()) as session:
        for row in api_keys.all_keys(session):
            times = [f"{t:%Y-%m-%d %H:%M}" if t else "-" for t in (row.created_at, row.expires_at, row.revoked_at)]
            rate = str(row.responses_a_minute) if row.responses_a_minute else "-"
            table.add_row(row.id, row.name, row.scopes, *times, rate, row.replaces or "-")
    print_table(table, 200)


@key.command("revoke")
def keys_revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")]) -> None:
    """Revoke a key at once."""
    with Session(ready_engine()) as session, session.begin():
        if not api_keys.revoke(session, key_id):
            raise WorkFailed(f"no key {key_id}", code="no_key", key_id=key_id)


@db.command("upgrade")
def db_upgrade() -> None:
    """Make the tables, or bring them to this version."""
    try:
        upgrade_schema(engine_of(settings_or_fail()))
    except DatabaseUnusable as error:
        raise failed(error.problem) from None


def main() -> None:
    """Exit code 0, 1 (the work failed) or 2 (bad usage); what went wrong in one message, no traceback."""
    try:
        cli()
    except (BadUsage, CannotWrite) as error:
        _exit(2, str(error))
    except SQLAlchemyError as error:
        _exit(1, str(damage(error) or f"the database failed ({type(error).__name__}): see `scorelet doctor`"))
    except (WorkFailed, ScoringError, OSError) as error:
        _exit(1, str(error))


def _exit(code: int, message: str) -> None:
    sys.stderr.write(f"scorelet: {message}\n")
    sys.exit(code)
