"""`scorelet-train …`: check data, train bundles, evaluate them.  `check` and `evaluate` need no torch."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.scoring.errors import ScoringError
from app.scoring.item import Item
from training.cache import default_folder
from training.config import TeacherKind, TrainingConfig, read_config
from training.datasets import ItemData, read_data
from training.errors import BadConfig, TeacherTooLarge, TrainingError
from training.feedback.command import feedback
from training.options import (
    Base,
    Cache,
    Config,
    Data,
    Items,
    Models,
    Seed,
    Teacher,
    UsageFailure,
    print_gate,
    print_table,
    training_installed,
)
from training.weights import resolve

REPORTS = (".html", ".md", ".json")
cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
cli.command()(feedback)


@cli.command()
def check(
    data: Data, report: Annotated[Path | None, typer.Option("--json", help="Write the summary here too.")] = None
) -> None:
    """Summarise a data set: counts, scores, human agreement, duplicates, conflicting scores, leaks into dev."""
    from training.check import summarise

    summaries = summarise(read_data(data))
    table = Table(box=SIMPLE)
    for name in (
        "item",
        "train",
        "dev",
        "unlabelled",
        "train by score",
        "human QWK",
        "blank",
        "twice",
        "conflicts",
        "leaks",
        "seen",
    ):
        table.add_column(name, overflow="fold")
    for s in summaries:
        scores = ", ".join(f"{name}: {count}" for name, count in s.distribution.items())
        qwk = "-" if s.human_qwk is None else f"{s.human_qwk:.3f}"
        counts = (s.blank, s.duplicates, s.conflicts, s.leaks, s.seen)
        table.add_row(s.item_id, str(s.train), str(s.dev), str(s.unlabelled), scores, qwk, *map(str, counts))
    print_table(table)
    if report:
        report.write_text(json.dumps([s.as_dict() for s in summaries], indent=2) + "\n", encoding="utf-8")


@cli.command()
def run(
    data: Data,
    models: Models,
    item: Items = None,
    config: Config = None,
    teacher: Teacher = None,
    base: Base = None,
    seed: Seed = None,
    cache: Cache = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train nothing: say what memory the teacher needs; takes no weights.")
    ] = False,
    export_teacher: Annotated[
        bool, typer.Option("--export-teacher", help="Write the teachers too, for the service to fall back on.")
    ] = False,
) -> None:
    """Train a teacher, distil a student, export and measure it, item by item.  Killed, it goes on when called again."""
    with training_installed():
        from training.run import train
        from training.teacher_export import export_teachers
    settings = _settings(config, teacher, base, seed)
    chosen = _chosen(data, item)
    if dry_run:
        _say_need(settings, chosen[0].item)
        return
    if export_teacher and (settings.teacher.kind == "api" or settings.distillation.soft_weight == 0):
        raise UsageFailure("--export-teacher needs a teacher that is fine-tuned here")
    if settings.distillation.soft_weight > 0:
        _resolve_teacher(settings, chosen)
    for bundle in train(chosen, models, settings, cache or default_folder()):
        print_gate(bundle)
    if export_teacher:
        for made in export_teachers(chosen, models, settings, cache or default_folder()):
            typer.echo(f"_teachers/{made.name}/{made.version}: {made.members} networks in {made.precision}")


@cli.command()
def compare(
    data: Data,
    results: Annotated[Path, typer.Option(help="Folder of one result file an item; kept ones are not made again.")],
    report: Annotated[
        list[Path] | None, typer.Option(help="Write all results of the folder here: .html, .md or .json; repeatable.")
    ] = None,
    item: Items = None,
    without: Annotated[
        list[str] | None, typer.Option(help="A contestant to leave out, as results name it: tiny_bert; repeatable.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Students of each kind that is seeded.")] = 3,
    config: Config = None,
    teacher: Teacher = None,
    base: Base = None,
    seed: Seed = None,
    cache: Cache = None,
) -> None:
    """Compare distilled students with their teachers, with a TinyBERT, with what needs no teacher, and with raters.

    It takes long, for every item trains all of them; killed, it goes on when called again.
    """
    settings = _settings(config, teacher, base, seed)
    if settings.distillation.soft_weight == 0:
        raise UsageFailure("a comparison needs a teacher: distillation.soft_weight must be above 0")
    for path in report or ():
        if path.suffix not in REPORTS:
            raise UsageFailure(f"{path}: a report's name ends in {', '.join(REPORTS)}")
        if not path.absolute().parent.is_dir():
            raise UsageFailure(f"{path}: there is no such folder")
    chosen = _chosen(data, item)
    _resolve_teacher(settings, chosen)
    if not any(own.dev for own in chosen):
        raise UsageFailure(f"{data} has no dev rows of these items to compare on")
    with training_installed():
        from training.compare.figures import sections
        from training.compare.report import write_report
        from training.compare.results import read_results
        from training.compare.run import CONTESTANTS, STUDENT, TITLES
        from training.compare.run import compare as compared
    may_go = [name for name in TITLES if name != STUDENT]
    if unknown := [name for name in without or () if name not in may_go]:
        raise UsageFailure(f"--without {unknown[0]}: what may be left out is {', '.join(may_go)}")
    contestants = [own for own in CONTESTANTS if own.name not in (without or ())]
    compared(chosen, settings, results, cache or default_folder(), contestants, seeds)
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


@cli.command()
def evaluate(
    models: Models,
    responses: Annotated[Path, typer.Option(help="Marked responses, .jsonl or .csv.")],
    item: Items = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the report here: one .html file that opens offline.")
    ] = None,
    figures: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Write every row as scored here, CSV.")] = None,
    texts: Annotated[
        bool,
        typer.Option("--texts", help="Show in the report what learners wrote where machine and rater differ."),
    ] = False,
) -> None:
    """Measure live bundles against human scores, through the code that serves."""
    from training.evaluate import evaluate as evaluated
    from training.evaluation.report import summary, write_html, write_json

    if report is not None and report.suffix != ".html":
        raise UsageFailure(f"{report}: a report's name ends in .html")
    found = evaluated(models, responses, predictions, item or (), texts=texts)
    head, *rows = summary(found)
    table = Table(*head, box=SIMPLE)
    for row in rows:
        table.add_row(*row)
    print_table(table)
    if figures:
        write_json(figures, found)
    if report:
        with training_installed():
            write_html(report, found, responses.name)


def _settings(config: Path | None, teacher: TeacherKind | None, base: str | None, seed: int | None) -> TrainingConfig:
    settings = read_config(config, TrainingConfig) if config else TrainingConfig()
    named = {name: value for name, value in (("kind", teacher), ("base", base)) if value is not None}
    settings = settings.model_copy(update={"teacher": settings.teacher.model_copy(update=named)})
    return settings if seed is None else settings.model_copy(update={"seed": seed})


def _resolve_teacher(settings: TrainingConfig, chosen: Sequence[ItemData]) -> None:
    """What is missing is said before hours, or calls, are spent."""
    if settings.teacher.kind != "api":
        resolve(settings.teacher.base)
    elif settings.teacher.api is None:
        raise BadConfig("a teacher behind an API needs teacher.api in the settings file: its url and model")
    else:
        from training.api_teacher import codes

        for data in chosen:
            codes(data.item)
        Console(stderr=True).print(f"learners' responses will be sent to {settings.teacher.api.url}")


def _say_need(settings: TrainingConfig, item: Item) -> None:
    from training.memory import available, need

    if settings.teacher.kind == "api" or settings.distillation.soft_weight == 0:
        raise UsageFailure("no teacher is trained under these settings")
    needed, gib = need(settings.teacher, item), 2**30
    table = Table("one teacher in training", "weights", "GiB", box=SIMPLE)
    table.add_row("frozen", f"{needed.frozen:,}", f"{needed.weights / gib:.2f}")
    table.add_row("learnt, with gradients, moments, mean", f"{needed.learnt:,}", f"{needed.learning / gib:.2f}")
    lengths = f"{settings.teacher.batch_size} x {settings.teacher.max_tokens} tokens"
    table.add_row(f"kept of a step of {lengths}", "", f"{needed.activations / gib:.2f}")
    table.add_row("the largest layer, unpacked", "", f"{needed.unpacking / gib:.2f}")
    table.add_row("in all", "", f"{needed.total / gib:.2f}")
    table.add_row("there is", "", f"{available() / gib:.2f}")
    print_table(table)
    if needed.adapted:
        Console().print(f"adapters at {', '.join(f'{count} {name}' for name, count in needed.adapted.items())}")
    if needed.total > available():
        raise TeacherTooLarge("it does not fit: fewer responses a step, or checkpointing, or --teacher qlora need less")


def _chosen(data: Path, items: list[str] | None) -> list[ItemData]:
    read = read_data(data)
    if unknown := set(items or ()) - set(read.items):
        raise UsageFailure(f"no such item in {data}: {', '.join(sorted(unknown))}")
    return [read.of(item_id) for item_id in items or read.items]


def main() -> None:
    """Exit code 0, 1 (the work failed) or 2 (bad usage); what went wrong in one message, no traceback."""
    try:
        cli()
    except (UsageFailure, BadConfig) as error:
        sys.stderr.write(f"scorelet-train: {error}\n")
        sys.exit(2)
    except (ScoringError, TrainingError, OSError) as error:
        sys.stderr.write(f"scorelet-train: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
