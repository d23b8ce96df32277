"""The options that commands of `scorelet-train` share, and the checks and tables that they share."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.scoring.bundle import Bundle
from app.scoring.errors import CodedError
from app.scoring.files.options import ReadOptions
from app.scoring.files.output import refuse_to_lose
from app.scoring.gate import gate_table
from training.common.progress import note
from training.config import TeacherKind, TrainingConfig, read_config
from training.data import DataSet, ItemData, data_files, read_data
from training.errors import BadConfig
from training.teacher.base_models import resolve

DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        help="Folder of data: items, train, optional dev and unlabelled; docs/reference/data-files.md has the formats.",
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite files that scorelet did not write.")]
ItemsOption = Annotated[
    list[str] | None, typer.Option("--item", help="Only this item; repeatable. Default: all items.")
]
ModelsOption = Annotated[Path, typer.Option("--models", help="Folder of bundles: <item_id>/<version>/.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings; docs/reference/training-settings.md lists them.")
]
BaseModelOption = Annotated[
    str | None, typer.Option(help="Base model of the teacher: minilm, smollm2, a folder, a .gguf file or a hub id.")
]
TeacherOption = Annotated[
    TeacherKind | None,
    typer.Option(
        help="How to train the teacher: full (all weights), lora (adapters), qlora (adapters on 4-bit weights), or api "
        "(a language model behind an API, not trained; docs/how-to/use-a-larger-teacher.md)."
    ),
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of split, teacher, augmentation and student.")]
CacheOption = Annotated[Path | None, typer.Option("--cache", help="Folder for unfinished work.")]


class UsageFailure(CodedError):
    """A command that cannot run as given: exit code 2."""


def bad_ending(path: Path, *endings: str) -> UsageFailure:
    """Return the error for a report whose name does not end in one of its formats."""
    return UsageFailure(
        f"{path} names no known format of a report: end the name in {', '.join(endings)}",
        code="bad_ending",
        path=path,
        endings=endings,
    )


def to_be_written(files: Sequence[Path | None], data: Path, config: Path | None = None, *, force: bool) -> None:
    """Raise CannotWrite if writing would lose a file.  `data`: the folder or file that the command reads."""
    read = data_files(data) if data.is_dir() else [data]
    inputs = [*read, config] if config else read
    refuse_to_lose(files, inputs, force=force)


def with_notes(data: DataSet) -> DataSet:
    """Write the notes on a data set to stderr, and return the data set."""
    note(data.notes)
    return data


def settings_of(config: Path | None, teacher: TeacherKind | None, base: str | None, seed: int | None) -> TrainingConfig:
    """Return the settings of the file, or the defaults, with the options that were given in their place."""
    settings = read_config(config, TrainingConfig) if config else TrainingConfig()
    options = {name: value for name, value in (("kind", teacher), ("base", base)) if value is not None}
    settings = settings.model_copy(update={"teacher": settings.teacher.model_copy(update=options)})
    return settings if seed is None else settings.model_copy(update={"seed": seed})


def resolve_teacher(settings: TrainingConfig, chosen: Sequence[ItemData]) -> None:
    """Raise before any training, or any call of an API, if the teacher is not available."""
    if settings.teacher.kind != "api":
        resolve(settings.teacher.base)
    elif settings.teacher.api is None:
        raise BadConfig(
            "the settings name no API for the teacher: add [teacher.api] with url and model to the settings file",
            code="api_not_configured",
        )
    else:
        from training.teacher.api_question import codes

        for data in chosen:
            codes(data.item)
        Console(stderr=True).print(f"scorelet-train sends learners' responses to {settings.teacher.api.url}")


def chosen_items(data: Path, items: list[str] | None, reading: ReadOptions) -> list[ItemData]:
    """Return the named items, or all items with a marked response, and note the items left out."""
    read = with_notes(read_data(data, reading))
    if unknown := set(items or ()) - set(read.items):
        raise UsageFailure(
            f"{data} has no item {', '.join(sorted(unknown))}: `scorelet-train check --data {data}` lists its items",
            code="unknown_items",
            items=sorted(unknown),
        )
    if items:
        return [read.of(item_id) for item_id in dict.fromkeys(items)]
    marked = {row.item_id for row in read.train}
    if without := [item_id for item_id in read.items if marked and item_id not in marked]:
        note([f"left out, because train has no response to them: {', '.join(without)}"])
    return [read.of(item_id) for item_id in read.items if item_id in marked or not marked]


@contextmanager
def training_installed() -> Iterator[None]:
    """Raise UsageFailure if an import inside needs the training extra and the extra is not installed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow each other down
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageFailure(
            f"{error.name} is not installed: run `make training` in the project folder",
            code="not_installed",
            package=error.name,
        ) from None


def print_gate(bundle: Bundle) -> None:
    """Print the gate of a new bundle, rule by rule, and its verdict."""
    gate, item_id = bundle.gate, bundle.item.item_id
    table = Table(f"{item_id}: rule", "measured", "limit", "", box=SIMPLE)
    for row in gate_table(gate):
        table.add_row(*row)
    print_table(table)
    verdict = "gate passed: its scores may stand" if gate.passed else f"gate not passed: {', '.join(gate.failed)}"
    typer.echo(f"{item_id}/{bundle.version}: {bundle.parameters} parameters; {verdict}")


def print_table(table: Table, width: int = 160) -> None:
    """Print at the width of the terminal, or at `width` to a file."""
    columns = None if sys.stdout.isatty() else width
    Console(width=columns, markup=False).print(table)
