"""`scorelet-train compare`: the student beside its alternatives on a user's own data, with reports."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions
from training.cli.options import (
    BaseModelOption,
    CacheOption,
    ConfigOption,
    DataOption,
    ForceOption,
    ItemsOption,
    SeedOption,
    TeacherOption,
    UsageFailure,
    bad_ending,
    chosen_items,
    print_table,
    resolve_teacher,
    settings_of,
    to_be_written,
    training_installed,
)
from training.cli.reading import with_reading_options
from training.common.cache import work_folder
from training.config import TrainingConfig
from training.data import ItemData

if TYPE_CHECKING:
    from training.compare.contest import Contestant
    from training.compare.section import Section, TableRow

ResultsOption = Annotated[
    Path, typer.Option(help="Folder of results, one file an item; finished items are not computed again.")
]
ReportsOption = Annotated[
    list[Path] | None,
    typer.Option("--report", help="Write all results of the folder to this file: .html, .md or .json; repeatable."),
]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Leave out this contestant, named as in the results (docs/explanation/distillation.md); repeatable."
    ),
]
SeedsOption = Annotated[int, typer.Option(min=1, max=20, help="Trainings of each contestant that depends on a seed.")]
TimesOption = Annotated[
    bool, typer.Option(help="Measure milliseconds a response too. Needs an otherwise idle machine.")
]


@with_reading_options
def compare(
    data: DataOption,
    results: ResultsOption,
    report: ReportsOption = None,
    item: ItemsOption = None,
    without: WithoutOption = None,
    seeds: SeedsOption = 3,
    times: TimesOption = True,
    config: ConfigOption = None,
    teacher: TeacherOption = None,
    base: BaseModelOption = None,
    seed: SeedOption = None,
    cache: CacheOption = None,
    reading: ReadOptions = DEFAULT_OPTIONS,
    force: ForceOption = False,
) -> None:
    """Compare distilled students with their teachers, a TinyBERT, models without a teacher, and raters.

    Every item trains all of them, which takes long.  A killed comparison resumes when called again.
    """
    settings = settings_of(config, teacher, base, seed)
    _require_teacher(settings)
    to_be_written(report or (), data, config, force=force)
    chosen = chosen_items(data, item, reading)
    _require_dev_rows(data, chosen)
    with training_installed():
        from training.compare.report import FORMATS
        from training.compare.run import compare as compare_contestants
    if wrong := [path for path in report or () if path.suffix not in FORMATS]:
        raise bad_ending(wrong[0], *FORMATS)
    resolve_teacher(settings, chosen)
    compare_contestants(chosen, settings, results, work_folder(cache), _contestants(without or (), times), seeds)
    _report(results, report or ())


def _require_teacher(settings: TrainingConfig) -> None:
    if settings.distillation.soft_weight == 0:
        raise UsageFailure(
            "these settings train no teacher to compare with: set distillation.soft_weight above 0",
            code="no_teacher_to_compare",
        )


def _require_dev_rows(data: Path, chosen: Sequence[ItemData]) -> None:
    if not any(item_data.dev for item_data in chosen):
        raise UsageFailure(
            f"{data} has no dev rows of these items to compare on: add dev.jsonl or dev.csv",
            code="no_dev_rows",
            data=data,
        )


def _contestants(without: Collection[str], times: bool) -> "list[Contestant]":
    """Return the contestants that are not left out.  Raises UsageFailure for an unknown name."""
    from training.compare.run import CONTESTANTS, TITLES
    from training.compare.section import STUDENT

    optional = [name for name in TITLES if name != STUDENT]
    if unknown := [name for name in without if name not in optional]:
        raise UsageFailure(
            f"--without {unknown[0]} names no contestant: choose from {', '.join(optional)}",
            code="unknown_contestant",
            name=unknown[0],
            known=optional,
        )
    chosen = [contestant for contestant in CONTESTANTS if contestant.name not in without]
    return [replace(contestant, timed=contestant.timed and times) for contestant in chosen]


def _report(results: Path, reports: Sequence[Path]) -> None:
    """Print all results of the folder, and write them to each report."""
    from training.compare.figures import sections
    from training.compare.report import write_report
    from training.compare.results import read_results
    from training.compare.run import TITLES

    written = sections(read_results(results), TITLES)
    for section in written:
        _print_section(section)
    for path in reports:
        write_report(path, written)


def _print_section(section: "Section") -> None:
    table = Table("", section.metric, "95 % interval", "weights", "ms alone", box=SIMPLE)
    for entry in section.contestants:
        low, high = entry.interval
        weights = "-" if entry.parameters is None else f"{entry.parameters:,.0f}"
        table.add_row(entry.title, f"{entry.figure:.3f}", f"{low:.3f} to {high:.3f}", weights, _milliseconds(entry))
    print_table(table)


def _milliseconds(entry: "TableRow") -> str:
    """Return the milliseconds of a response alone, if they were measured."""
    times = [f"{cost.alone_ms:.3g}" for cost in entry.costs.values()]
    return times[0] if times else "-"
