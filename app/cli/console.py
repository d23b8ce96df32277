"""Share options, settings, the database, output and errors between the commands of `scorelet`."""

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
from app.scoring.live_version import item_ids, versions
from app.settings import PREFIX, Settings, unknown_names
from app.storage.database import BadUrl, connect, head_revision
from app.storage.health import schema_problem
from app.storage.problems import DatabaseProblem, DatabaseUnusable

ByOption = Annotated[str, typer.Option(metavar="NAME", help="Name of the person who decides.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite a file that scorelet did not write.")]
ItemId = Annotated[str, typer.Argument(metavar="ITEM", help="Id of the item.")]
ModelsOption = Annotated[Path | None, typer.Option("--models", help="Folder of bundles. Default: SCORELET_MODELS_DIR.")]
NewestVersion = Annotated[str | None, typer.Argument(metavar="VERSION", help="Default: the newest version.")]
ReasonOption = Annotated[str, typer.Option(help="Reason for the decision.")]


class WorkFailed(CodedError):
    """A command failed: exit code 1 and a sentence."""


class BadUsage(CodedError):
    """A command or a setting is wrong: exit code 2 and a sentence."""


def settings_or_fail() -> Settings:
    """Return the settings.  Raise BadUsage for a misspelt name or a bad value."""
    check_names()
    try:
        return Settings()
    except ValidationError as error:
        messages = {_variable(details["loc"]): details["msg"] for details in error.errors(include_input=False)}
        sentence = "; ".join(f"{name}: {message}" for name, message in messages.items())
        raise BadUsage(sentence, code="bad_setting", settings=sorted(messages)) from None


def _variable(location: tuple[int | str, ...]) -> str:
    field = "_".join(map(str, location))
    return f"{PREFIX}{field}".upper()


def check_names() -> None:
    """Raise BadUsage if the environment has an unknown SCORELET_ variable."""
    if unknown := unknown_names(os.environ):
        raise BadUsage("; ".join(unknown.values()), code="unknown_setting", settings=sorted(unknown))


def models_folder(path: Path | None) -> Path:
    """Return the folder of bundles, which may not exist.  Raise BadUsage for a misspelt setting."""
    check_names()
    return path or settings_or_fail().models_dir


def models_or_fail(path: Path | None) -> Path:
    """Return the folder of bundles.  Raise WorkFailed if it has no item."""
    folder = models_folder(path)
    if not item_ids(folder):
        sentence = f"no items in {folder}: set --models or SCORELET_MODELS_DIR to the folder of bundles"
        raise WorkFailed(sentence, code="no_items", folder=folder)
    return folder


def choose_version(folder: Path, subject: str, version: str | None, **fields: object) -> str:
    """Return the given version, or the newest in the folder.  Raise WorkFailed with the fields if it is not there."""
    existing = versions(folder)
    newest = existing[-1] if existing else ""
    chosen = version or newest
    if chosen not in existing:
        names = ", ".join(existing) or "none"
        sentence = f"{subject} has no version {chosen!r}; its versions: {names}"
        raise WorkFailed(sentence, code="no_such_version", version=chosen, **fields)
    return chosen


def choose_item_version(folder: Path, item_id: str, version: str | None) -> str:
    """Return the given version of an item, or the newest.  Raise WorkFailed if the item does not have it."""
    return choose_version(folder, f"item {item_id!r}", version, item_id=item_id)


def engine_of(settings: Settings) -> Engine:
    """Return an engine.  Raise BadUsage for a URL of another database."""
    try:
        return connect(settings.database_url.get_secret_value())
    except BadUrl as error:
        raise BadUsage(f"SCORELET_DATABASE_URL is {error}", code="bad_database_url") from None


def ready_engine() -> Engine:
    """Return an engine of a database that this version can use.  Raise WorkFailed."""
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
    """Return the error of a command that a problem of the database stops."""
    return WorkFailed(str(problem), code=problem.code, **problem.fields)


def write_privately(path: Path, content: str) -> None:
    """Write a new file that only this user can read.  Raise WorkFailed if it exists or its folder does not."""
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        sentence = f"{path} exists already: choose another name, or delete it first"
        raise WorkFailed(sentence, code="file_exists", path=path) from None
    except (FileNotFoundError, NotADirectoryError):
        sentence = f"cannot write {path}: its folder does not exist"
        raise WorkFailed(sentence, code="no_folder", path=path) from None


def print_gate(gate: Gate) -> None:
    table = Table("rule", "measured", "limit", "", box=SIMPLE)
    for row in gate_table(gate):
        table.add_row(*row)
    print_table(table)


def print_table(table: Table, width: int = 120) -> None:
    """Print at the width of the terminal, or at `width` to a file.  Names in brackets are not read as markup."""
    columns = None if sys.stdout.isatty() else width
    Console(width=columns, markup=False).print(table)


def figure_cell(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.3f}"


def say(line: str) -> None:
    typer.echo(line)


def say_on_stderr(note: str) -> None:
    """Write a note to standard error, which keeps it out of results."""
    typer.echo(f"scorelet: {note}", err=True)
