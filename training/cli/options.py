"""What the commands of `scorelet-train` have in common: their options, what these mean, and how they speak."""

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
from app.scoring.files.options import Decimal, Delimiter, ReadOptions
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
        help="Folder with items, train, optional dev and unlabelled; docs/reference/data-files.md has the formats.",
    ),
]
DelimiterOption = Annotated[
    Delimiter | None,
    typer.Option("--delimiter", help="Between the columns of .csv and .tsv files. Default: found out."),
]
DecimalOption = Annotated[
    Decimal | None,
    typer.Option("--decimal", help="Before the decimals of scores in texts. Default: found out where it can be."),
]
KeepNaOption = Annotated[
    bool, typer.Option("--keep-na", help="Read NA, None and the like in group_* as names of groups, not as missing.")
]
ScoreColumnOption = Annotated[
    str,
    typer.Option(
        "--score-column",
        help="Column of the human score or label, in place of score and label: input_score in a file that scorelet "
        "wrote. Labels are in input_label then.",
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Write over a file that scorelet did not write.")]
ItemsOption = Annotated[list[str] | None, typer.Option("--item", help="Only this item; may be repeated. Default: all.")]
ModelsOption = Annotated[Path, typer.Option("--models", help="Folder of bundles: <item_id>/<version>/.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings; docs/reference/training-settings.md lists them.")
]
BaseModelOption = Annotated[
    str | None, typer.Option(help="The teacher's base: minilm, smollm2, a folder, a .gguf file or hub id.")
]
TeacherOption = Annotated[
    TeacherKind | None,
    typer.Option(
        help="What of it learns: all, adapters (qlora: beside 4 bits), or nothing (api); "
        "docs/how-to/use-a-larger-teacher.md."
    ),
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Of split, teacher, augmentation and student.")]
CacheOption = Annotated[Path | None, typer.Option("--cache", help="Where unfinished work is kept.")]


class UsageFailure(CodedError):
    """The call cannot be carried out as given: exit code 2."""


def bad_ending(path: Path, *endings: str) -> UsageFailure:
    """Return the refusal of a report whose name does not say its format."""
    return UsageFailure(
        f"{path}: a report's name ends in {', '.join(endings)}", code="bad_ending", path=path, endings=endings
    )


def reading_of(delimiter: Delimiter | None, decimal: Decimal | None, keep_na: bool, score_column: str) -> ReadOptions:
    return ReadOptions(delimiter, decimal, keep_na, score_column.strip())


def to_be_written(files: Sequence[Path | None], data: Path, config: Path | None = None, *, force: bool) -> None:
    """Refuse before the work to lose a file.  `data`: the folder or file that is read.  Raises CannotWrite."""
    read = data_files(data) if data.is_dir() else [data]
    refuse_to_lose(files, [*read, *([config] if config else [])], force=force)


def noted(read: DataSet) -> DataSet:
    """Say on stderr what the reading found out."""
    note(read.notes)
    return read


def settings_of(config: Path | None, teacher: TeacherKind | None, base: str | None, seed: int | None) -> TrainingConfig:
    settings = read_config(config, TrainingConfig) if config else TrainingConfig()
    named = {name: value for name, value in (("kind", teacher), ("base", base)) if value is not None}
    settings = settings.model_copy(update={"teacher": settings.teacher.model_copy(update=named)})
    return settings if seed is None else settings.model_copy(update={"seed": seed})


def resolve_teacher(settings: TrainingConfig, chosen: Sequence[ItemData]) -> None:
    """What is missing is said before hours, or calls, are spent."""
    if settings.teacher.kind != "api":
        resolve(settings.teacher.base)
    elif settings.teacher.api is None:
        raise BadConfig(
            "a teacher behind an API needs teacher.api in the settings file: its url and model",
            code="api_not_configured",
        )
    else:
        from training.teacher.api import codes

        for data in chosen:
            codes(data.item)
        Console(stderr=True).print(f"learners' responses will be sent to {settings.teacher.api.url}")


def chosen_items(data: Path, items: list[str] | None, reading: ReadOptions) -> list[ItemData]:
    """Return the items named, or all that have a marked response; the others are said."""
    read = noted(read_data(data, reading))
    if unknown := set(items or ()) - set(read.items):
        raise UsageFailure(
            f"no such item in {data}: {', '.join(sorted(unknown))}", code="unknown_items", items=sorted(unknown)
        )
    if items:
        return [read.of(item_id) for item_id in dict.fromkeys(items)]
    marked = {row.item_id for row in read.train}
    if without := [item_id for item_id in read.items if marked and item_id not in marked]:
        note([f"left out, as train has no response to it: {', '.join(without)}"])
    return [read.of(item_id) for item_id in read.items if item_id in marked or not marked]


@contextmanager
def training_installed() -> Iterator[None]:
    """For the imports of what only the training extra brings."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow each other on shared cores
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageFailure(
            f"{error.name} is not installed: run `make training` in the project's folder",
            code="not_installed",
            package=error.name,
        ) from None


def print_gate(bundle: Bundle) -> None:
    """What a new bundle shows, rule by rule, and how it went live."""
    gate, item_id = bundle.gate, bundle.item.item_id
    table = Table(f"{item_id}: rule", "measured", "limit", "", box=SIMPLE)
    for row in gate_table(gate):
        table.add_row(*row)
    print_table(table)
    mode = "its scores may stand" if gate.passed else f"a person looks at every score ({', '.join(gate.failed)})"
    typer.echo(f"{item_id}/{bundle.version}: {bundle.parameters} parameters; {mode}")


def print_table(table: Table) -> None:
    """To a terminal at its width; into a pipe or file whole."""
    Console(width=None if sys.stdout.isatty() else 160, markup=False).print(table)
