"""`scorelet-train compare`: the contestants on a user's own data, and reports of what was found."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from training.cli.options import (
    BaseModelOption,
    CacheOption,
    ConfigOption,
    DataOption,
    DecimalOption,
    DelimiterOption,
    ForceOption,
    ItemsOption,
    KeepNaOption,
    ScoreColumnOption,
    SeedOption,
    TeacherOption,
    UsageFailure,
    bad_ending,
    chosen_items,
    print_table,
    reading_of,
    resolve_teacher,
    settings_of,
    to_be_written,
    training_installed,
)
from training.common.cache import work_folder


def compare(
    data: DataOption,
    results: Annotated[Path, typer.Option(help="Folder of one result file an item; kept ones are not made again.")],
    report: Annotated[
        list[Path] | None, typer.Option(help="Write all results of the folder here: .html, .md or .json; repeatable.")
    ] = None,
    item: ItemsOption = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="A contestant to leave out, as results name it (docs/explanation/distillation.md); repeatable."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Students of each kind that is seeded.")] = 3,
    times: Annotated[
        bool, typer.Option(help="Milliseconds a response too: on a machine that does nothing else, or they mislead.")
    ] = True,
    config: ConfigOption = None,
    teacher: TeacherOption = None,
    base: BaseModelOption = None,
    seed: SeedOption = None,
    cache: CacheOption = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    keep_na: KeepNaOption = False,
    score_column: ScoreColumnOption = "",
    force: ForceOption = False,
) -> None:
    """Compare distilled students with their teachers, with a TinyBERT, with what needs no teacher, and with raters.

    It takes long, for every item trains all of them; killed, it goes on when called again.
    """
    settings = settings_of(config, teacher, base, seed)
    if settings.distillation.soft_weight == 0:
        raise UsageFailure(
            "a comparison needs a teacher: distillation.soft_weight must be above 0", code="no_teacher_to_compare"
        )
    to_be_written(report or (), data, config, force=force)
    chosen = chosen_items(data, item, reading_of(delimiter, decimal, keep_na, score_column))
    if not any(own.dev for own in chosen):
        raise UsageFailure(
            f"{data} has no dev rows of these items to compare on: add dev.jsonl or dev.csv",
            code="no_dev_rows",
            data=data,
        )
    with training_installed():
        from training.compare.figures import STUDENT, sections
        from training.compare.report import FORMATS, write_report
        from training.compare.results import read_results
        from training.compare.run import CONTESTANTS, TITLES
        from training.compare.run import compare as compared
    for path in report or ():
        if path.suffix not in FORMATS:
            raise bad_ending(path, *FORMATS)
    resolve_teacher(settings, chosen)
    may_go = [name for name in TITLES if name != STUDENT]
    if unknown := [name for name in without or () if name not in may_go]:
        raise UsageFailure(
            f"--without {unknown[0]}: what may be left out is {', '.join(may_go)}",
            code="unknown_contestant",
            name=unknown[0],
            known=may_go,
        )
    here = [own for own in CONTESTANTS if own.name not in (without or ())]
    contestants = [replace(own, timed=own.timed and times) for own in here]
    compared(chosen, settings, results, work_folder(cache), contestants, seeds)
    found = sections(read_results(results), TITLES)
    for section in found:
        table = Table("", section.metric, "95 % interval", "weights", "ms alone", box=SIMPLE)
        for row in section.contestants:
            alone = next((f"{cost.alone_ms:.3g}" for cost in row.costs.values()), "-")
            weights = "-" if row.parameters is None else f"{row.parameters:,.0f}"
            low, high = row.interval
            table.add_row(row.title, f"{row.figure:.3f}", f"{low:.3f} to {high:.3f}", weights, alone)
        print_table(table)
    for path in report or ():
        write_report(path, found)
