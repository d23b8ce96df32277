"""What the commands of `scorelet` have in common: settings, the folder of bundles, how they speak and fail."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from app.scoring.active import item_ids
from app.scoring.errors import CodedError
from app.scoring.gate import Gate, lines
from app.settings import Settings, unknown_names
from app.storage.database import BadUrl, connect, head_revision, schema_problem

Models = Annotated[Path | None, typer.Option("--models", help="Folder of bundles. Default: SCORELET_MODELS_DIR.")]


class WorkFailed(CodedError):
    """Exit code 1, with these words."""


class BadUsage(CodedError):
    """Exit code 2, with these words."""


def settings_or_fail() -> Settings:
    if wrong := unknown_names(os.environ):
        raise BadUsage("; ".join(wrong))
    try:
        return Settings()
    except ValidationError as error:
        wrong = [
            f"SCORELET_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors(include_input=False)
        ]
        raise BadUsage("; ".join(wrong)) from None


def models_or_fail(given: Path | None) -> Path:
    folder = given or settings_or_fail().models_dir
    if not item_ids(folder):
        raise WorkFailed(f"no items in {folder}: name the folder of bundles by --models or SCORELET_MODELS_DIR")
    return folder


def engine_of(settings: Settings) -> Engine:
    try:
        return connect(settings.database_url.get_secret_value())
    except BadUrl as error:
        raise BadUsage(f"SCORELET_DATABASE_URL is {error}") from None


def ready_engine() -> Engine:
    engine = engine_of(settings_or_fail())
    if trouble := schema_problem(engine, head_revision()):
        raise WorkFailed(trouble)
    return engine


def print_gate(gate: Gate) -> None:
    table = Table("rule", "measured", "limit", "", box=SIMPLE)
    for row in lines(gate):
        table.add_row(*row)
    print_table(table)


def print_table(table: Table, width: int = 120) -> None:
    """To a terminal at its width, else so wide.  A name in brackets is a name, not rich's markup."""
    Console(width=None if sys.stdout.isatty() else width, markup=False).print(table)


def say(line: str) -> None:
    typer.echo(line)
