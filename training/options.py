"""What the commands of `scorelet-train` have in common: their options, and how they speak."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.scoring.bundle import Bundle
from app.scoring.gate import lines
from training.config import TeacherKind

Data = Annotated[Path, typer.Option("--data", help="Folder with items.*, train.*, optional dev.* and unlabelled.*.")]
Items = Annotated[list[str] | None, typer.Option("--item", help="Only this item; may be repeated. Default: all.")]
Models = Annotated[Path, typer.Option("--models", help="Folder of bundles: <item_id>/<version>/.")]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file of settings; docs/training.md lists them.")]
Base = Annotated[
    str | None, typer.Option(help="The teacher's base: minilm, smollm2, a folder, a .gguf file or hub id.")
]
Teacher = Annotated[
    TeacherKind | None,
    typer.Option(help="What of it learns: all, adapters (qlora: beside 4 bits), or nothing (api: docs/training.md)."),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of split, teacher, augmentation and student.")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Where unfinished work is kept.")]


class UsageFailure(Exception):
    """The call cannot be carried out as given: exit code 2."""


@contextmanager
def training_installed() -> Iterator[None]:
    """For the imports of what only the training extra brings."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow each other on shared cores
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageFailure(f"{error.name} is not installed: run `make training` in the project's folder") from None


def print_gate(bundle: Bundle) -> None:
    """What a new bundle shows, rule by rule, and how it went live."""
    gate, item_id = bundle.gate, bundle.item.item_id
    table = Table(f"{item_id}: rule", "measured", "limit", "", box=SIMPLE)
    for row in lines(gate):
        table.add_row(*row)
    print_table(table)
    mode = "its scores may stand" if gate.passed else f"a person looks at every score ({', '.join(gate.failed)})"
    typer.echo(f"{item_id}/{bundle.version}: {bundle.parameters} parameters; {mode}")


def print_table(table: Table) -> None:
    """To a terminal at its width; into a pipe or file whole."""
    Console(width=None if sys.stdout.isatty() else 160).print(table)
