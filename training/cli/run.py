"""`scorelet-train run`: bundles from a folder of data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions
from app.scoring.item import Item
from training.cli.options import (
    BaseModelOption,
    CacheOption,
    ConfigOption,
    DataOption,
    ItemsOption,
    ModelsOption,
    SeedOption,
    TeacherOption,
    UsageFailure,
    chosen_items,
    print_gate,
    print_table,
    resolve_teacher,
    settings_of,
    training_installed,
)
from training.cli.reading import with_reading_options
from training.common.cache import work_folder
from training.config import TrainingConfig
from training.errors import TeacherTooLarge

GIB = 2**30
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Train nothing; print the memory that the teacher needs. Loads no weights."),
]
ExportTeacherOption = Annotated[
    bool, typer.Option("--export-teacher", help="Write the teachers too, as a fallback for the service.")
]


@with_reading_options
def run(
    data: DataOption,
    models: ModelsOption,
    item: ItemsOption = None,
    config: ConfigOption = None,
    teacher: TeacherOption = None,
    base: BaseModelOption = None,
    seed: SeedOption = None,
    cache: CacheOption = None,
    dry_run: DryRunOption = False,
    export_teacher: ExportTeacherOption = False,
    reading: ReadOptions = DEFAULT_OPTIONS,
) -> None:
    """Train a teacher, distil a student, export and measure it, item by item.

    A killed run resumes when called again.
    """
    settings = settings_of(config, teacher, base, seed)
    chosen = chosen_items(data, item, reading)
    with training_installed():
        from training.pipeline.export_teacher import export_teachers
        from training.pipeline.run import train
    if dry_run:
        _print_memory(settings, chosen[0].item)
        return
    if export_teacher:
        _require_export(settings)
    if settings.distillation.soft_weight > 0:
        resolve_teacher(settings, chosen)
    _make_folder(models)
    for bundle in train(chosen, models, settings, work_folder(cache)):
        print_gate(bundle)
    if export_teacher:
        for exported in export_teachers(chosen, models, settings, work_folder(cache)):
            networks = f"{exported.members} networks in {exported.precision}"
            typer.echo(f"_teachers/{exported.name}/{exported.version}: {networks}")


def _has_teacher(settings: TrainingConfig) -> bool:
    """Return whether these settings fine-tune a teacher here."""
    return settings.teacher.kind != "api" and settings.distillation.soft_weight > 0


def _require_export(settings: TrainingConfig) -> None:
    if not _has_teacher(settings):
        raise UsageFailure(
            "these settings fine-tune no teacher: leave out --export-teacher, or choose another --teacher",
            code="no_teacher_to_export",
        )


def _make_folder(models: Path) -> None:
    try:
        models.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageFailure(
            f"{models} is a file: --models needs a folder for bundles", code="models_is_a_file", path=models
        ) from None


def _print_memory(settings: TrainingConfig, item: Item) -> None:
    """Print the memory that a teacher needs; raise TeacherTooLarge if there is less."""
    from training.teacher.memory_estimate import available, need

    if not _has_teacher(settings):
        raise UsageFailure("these settings fine-tune no teacher: leave out --dry-run", code="no_teacher_trained")
    needed, there_is = need(settings.teacher, item), available()
    lengths = f"{settings.teacher.batch_size} x {settings.teacher.max_tokens} tokens"
    table = Table("training of one teacher", "weights", "GiB", box=SIMPLE)
    for name, weights, size in (
        ("frozen", f"{needed.frozen:,}", needed.weights),
        ("trained, with gradients, moments, mean", f"{needed.learnt:,}", needed.learning),
        (f"activations of a step of {lengths}", "", needed.activations),
        ("largest layer, unpacked", "", needed.unpacking),
        ("total", "", needed.total),
        ("available", "", there_is),
    ):
        table.add_row(name, weights, f"{size / GIB:.2f}")
    print_table(table)
    if needed.adapted:
        counts = [f"{count} {name}" for name, count in needed.adapted.items()]
        Console().print(f"adapters on {', '.join(counts)}")
    if needed.total > there_is:
        raise TeacherTooLarge(
            "the teacher does not fit into memory: lower teacher.batch_size, set teacher.checkpointing, or use "
            "--teacher qlora",
            needed=needed.total,
            available=there_is,
        )
