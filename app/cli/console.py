"""Parts that all commands of `scorelet` share: settings, the folder of bundles, output and errors."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from app.scoring.errors import CodedError
from app.scoring.gate import Gate, gate_table
from app.scoring.release import item_ids
from app.settings import PREFIX, Settings, unknown_names
from app.storage.database import BadUrl, connect, head_revision
from app.storage.health import schema_problem
from app.storage.problems import DatabaseProblem, DatabaseUnusable

ModelsOption = Annotated[Path | None, typer.Option("--models", help="Folder of bundles. Default: SCORELET_MODELS_DIR.")]


ForceOption = Annotated[bool, typer.Option("--force", help="Write over a file that scorelet did not write.")]


class WorkFailed(CodedError):
    """The command could not do its work: exit code 1, and the sentence."""


class BadUsage(CodedError):
    """The command was called in a way that cannot be carried out: exit code 2, and the sentence."""


def settings_or_fail() -> Settings:
    """Read the settings.  Raises BadUsage for a misspelt name or a bad value."""
    check_names()
    try:
        return Settings()
    except ValidationError as error:
        bad = {f"{PREFIX}{'_'.join(map(str, e['loc'])).upper()}": e["msg"] for e in error.errors(include_input=False)}
        said = "; ".join(f"{name}: {reason}" for name, reason in bad.items())
        raise BadUsage(said, code="bad_setting", settings=sorted(bad)) from None


def check_names() -> None:
    """Raise BadUsage where the environment has a SCORELET_ variable that is no setting."""
    if wrong := unknown_names(os.environ):
        raise BadUsage("; ".join(wrong.values()), code="unknown_setting", settings=sorted(wrong))


def models_folder(given: Path | None) -> Path:
    """Return the folder of bundles, which need not exist.  Raises BadUsage for a misspelt setting."""
    check_names()
    return given or settings_or_fail().models_dir


def models_or_fail(given: Path | None) -> Path:
    """Return the folder of bundles.  Raises WorkFailed where it has no item."""
    folder = models_folder(given)
    if not item_ids(folder):
        sentence = f"no items in {folder}: name the folder of bundles by --models or SCORELET_MODELS_DIR"
        raise WorkFailed(sentence, code="no_items", folder=folder)
    return folder


def engine_of(settings: Settings) -> Engine:
    """Return an engine.  Raises BadUsage for a URL that is none of ours."""
    try:
        return connect(settings.database_url.get_secret_value())
    except BadUrl as error:
        raise BadUsage(f"SCORELET_DATABASE_URL is {error}", code="bad_database_url") from None


def ready_engine() -> Engine:
    """Return an engine of a database that this version can use.  Raises WorkFailed."""
    engine = engine_of(settings_or_fail())
    if problem := schema_problem(engine, head_revision()):
        raise failed(problem)
    return engine


@contextmanager
def ready_database() -> Iterator[Engine]:
    """Yield `ready_engine()` and close its connections at the end.  Turn DatabaseUnusable into WorkFailed."""
    engine = ready_engine()
    try:
        yield engine
    except DatabaseUnusable as error:
        raise failed(error.problem) from None
    finally:
        engine.dispose()


def failed(problem: DatabaseProblem) -> WorkFailed:
    """Return the error of a command that cannot go on because of a problem with the database."""
    return WorkFailed(str(problem), code=problem.code, **problem.fields)


def write_privately(path: Path, content: str) -> None:
    """Write a new file that this user alone can read.  Raises WorkFailed where there is one already, or no folder."""
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        sentence = f"{path} is there already: name another file, or delete it first"
        raise WorkFailed(sentence, code="file_exists", path=path) from None
    except (FileNotFoundError, NotADirectoryError):
        raise WorkFailed(f"{path}: there is no such folder", code="no_folder", path=path) from None


def print_gate(gate: Gate) -> None:
    table = Table("rule", "measured", "limit", "", box=SIMPLE)
    for row in gate_table(gate):
        table.add_row(*row)
    print_table(table)


def print_table(table: Table, width: int = 120) -> None:
    """Print to a terminal at its width, else at `width`.  A name in brackets is a name, not rich's markup."""
    Console(width=None if sys.stdout.isatty() else width, markup=False).print(table)


def say(line: str) -> None:
    typer.echo(line)


def say_beside(note: str) -> None:
    """Write a note to stderr, so that it is in no result."""
    typer.echo(f"scorelet: {note}", err=True)
