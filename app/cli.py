"""`scorelet …`: serve, score files, look after bundles, keys and the database."""

import contextlib
import gc
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from app.cli_bundle import bundle
from app.cli_feedback import feedback
from app.console import BadUsage, Models, WorkFailed, models_or_fail, say, settings_or_fail
from app.doctor import examine
from app.scoring.errors import ScoringError
from app.scoring.registry import Registry
from app.scoring.rows import read_rows
from app.scoring.table import check_rows, judge_rows, write_table
from app.settings import Settings
from app.storage import keys
from app.storage.database import connect, head_revision, schema_problem, upgrade

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
key = typer.Typer(no_args_is_help=True, help="API keys: shown once, stored as a hash.")
db = typer.Typer(no_args_is_help=True, help="The database.")
cli.add_typer(bundle, name="bundle")
cli.add_typer(feedback, name="feedback")
cli.add_typer(key, name="keys")
cli.add_typer(db, name="db")


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: SCORELET_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: SCORELET_PORT.")] = None,
) -> None:
    """Serve the REST interface; its documentation is at /docs."""
    import uvicorn

    from app.main import OpenToTheNetwork, create_app, refuse_to_be_open

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings_or_fail().model_copy(update=given)
    engine = _engine(settings)
    if not schema_problem(engine, head_revision()):
        try:
            refuse_to_be_open(engine, settings.host)
        except OpenToTheNetwork as error:
            raise WorkFailed(str(error)) from None
    engine.dispose()
    config = uvicorn.Config(
        create_app(settings), host=settings.host, port=settings.port, server_header=False, access_log=False
    )
    server = uvicorn.Server(config)
    gc.freeze()  # the program itself need not be looked through for garbage, and requests leave little:
    gc.set_threshold(50_000, 20, 20)  # by Python's own rule that took a fifth of the time
    with contextlib.suppress(SystemExit):  # uvicorn has exit codes of its own
        server.run()
    if not server.started:
        raise WorkFailed("the service did not start; what is above says why")


@cli.command()
def score(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Responses: .csv or .jsonl with item_id and response.")],
    out: Annotated[Path, typer.Option(help="Where to write the scored rows, CSV.")],
    models: Models = None,
) -> None:
    """Score a file of responses.  Writes nothing to the database; a bad row stops all before anything is written."""
    registry = Registry.from_folder(models_or_fail(models))
    rows = read_rows(file)
    check_rows(registry, rows)
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(rows))
        judgements = judge_rows(registry, rows, lambda done: progress.advance(task, done))
    write_table(out, registry, rows, judgements)
    say(f"{len(rows)} responses scored to {out}")


@cli.command()
def items(models: Models = None) -> None:
    """List the items, what is live of each, and which are refused."""
    folder = models_or_fail(models)
    registry = Registry.from_folder(folder)
    table = Table("item", "version", "mode", "gate", "threshold", "QWK", "exact", "parameters", box=SIMPLE)
    for item_id, live in sorted(registry.live.items()):
        b, a = live.bundle, live.bundle.agreement
        figures = (b.threshold, a and a.qwk, a and a.exact)
        shown = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        passed = "passed" if live.active.gate.passed else "overruled" if live.active.override else "not passed"
        table.add_row(item_id, b.version, live.active.mode, passed, *shown, str(b.parameters))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for item_id, reason in registry.refused.items():
        say(f"refused: {item_id}: {reason}")
    if registry.refused or not registry.live:
        raise WorkFailed(f"{len(registry.live)} items ready, {len(registry.refused)} refused in {folder}")


@cli.command()
def doctor() -> None:
    """Say what is wrong with this installation, and how to mend it."""
    findings = examine(settings_or_fail())
    for finding in findings:
        say(
            f"{'ok  ' if finding.good else 'BAD '} {finding.what}"
            + (f"\n     → {finding.mend}" if finding.mend else "")
        )
    if bad := sum(not finding.good for finding in findings):
        raise WorkFailed(f"{bad} thing(s) to mend")


@key.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="Whose key this is.")],
    scope: Annotated[list[keys.Scope], typer.Option(help="What it may do; may be repeated.")],
    days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="Expires after so many days. Default: never.")
    ] = None,
) -> None:
    """Make a key.  It is printed once and cannot be shown again."""
    with Session(_ready_engine()) as session, session.begin():
        made, secret = keys.create(session, name, scope, datetime.now(UTC) + timedelta(days=days) if days else None)
        created = made.id
    sys.stderr.write(f"key {created} for {name}; keep what follows, it is not stored:\n")
    say(secret)


@key.command("list")
def keys_list() -> None:
    """List all keys; none is shown."""
    table = Table("id", "name", "scopes", "created", "expires", "revoked", box=SIMPLE)
    with Session(_ready_engine()) as session:
        for row in keys.every(session):
            times = [f"{t:%Y-%m-%d %H:%M}" if t else "-" for t in (row.created_at, row.expires_at, row.revoked_at)]
            table.add_row(row.id, row.name, row.scopes, *times)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@key.command("revoke")
def keys_revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")]) -> None:
    """Revoke a key at once."""
    with Session(_ready_engine()) as session, session.begin():
        if not keys.revoke(session, key_id):
            raise WorkFailed(f"no key {key_id}")


@db.command("upgrade")
def db_upgrade() -> None:
    """Make the tables, or bring them to this version."""
    upgrade(_engine(settings_or_fail()))


def _engine(settings: Settings) -> Engine:
    try:
        return connect(settings.database_url.get_secret_value())
    except (ArgumentError, ImportError):  # ImportError: of a driver that is not installed
        raise BadUsage("SCORELET_DATABASE_URL is no URL of SQLite or PostgreSQL") from None


def _ready_engine() -> Engine:
    engine = _engine(settings_or_fail())
    if trouble := schema_problem(engine, head_revision()):
        raise WorkFailed(trouble)
    return engine


def main() -> None:
    """Exit code 0, 1 (the work failed) or 2 (bad usage); what went wrong in one message, no traceback."""
    try:
        cli()
    except BadUsage as error:
        _exit(2, str(error))
    except SQLAlchemyError as error:
        _exit(1, f"the database failed ({type(error).__name__}): see `scorelet doctor`")
    except (WorkFailed, ScoringError, OSError) as error:
        _exit(1, str(error))


def _exit(code: int, message: str) -> None:
    sys.stderr.write(f"scorelet: {message}\n")
    sys.exit(code)
