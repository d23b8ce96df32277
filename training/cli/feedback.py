"""`scorelet-train feedback`: a language model that writes feedback, from rows with raters' own."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.scoring.files.output import ORIGIN_MARK
from app.scoring.item import is_name
from training.cli.options import (
    CacheOption,
    DataOption,
    DecimalOption,
    DelimiterOption,
    ForceOption,
    ItemsOption,
    KeepNaOption,
    ModelsOption,
    ScoreColumnOption,
    UsageFailure,
    print_table,
    reading_of,
    to_be_written,
    training_installed,
)
from training.common.cache import work_folder
from training.common.progress import note
from training.config import read_config
from training.feedback.config import FeedbackConfig, Tuning
from training.feedback.data import read_feedback
from training.teacher.base_models import resolve


def feedback(
    data: DataOption,
    models: ModelsOption,
    name: Annotated[str, typer.Option(help="Of the feedback model: models/_feedback/<name>/<version>/.")],
    item: ItemsOption = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file of settings; docs/reference/training-settings.md lists them."),
    ] = None,
    tuning: Annotated[
        Tuning | None, typer.Option(help="Adapters (qlora: beside 4 bits), or none: the base as it is.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="smollm2 (from a wheel), or a .gguf file.")] = None,
    cache: CacheOption = None,
    report: Annotated[
        Path | None, typer.Option("--json", help="Write all figures here: its own, and those it is held against.")
    ] = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    keep_na: KeepNaOption = False,
    score_column: ScoreColumnOption = "",
    force: ForceOption = False,
) -> None:
    """Fine-tune a language model to write feedback, and measure it on dev.  Killed, it goes on when called again.

    It is live only when a person says so: `scorelet feedback activate`.
    """
    if not is_name(name):
        raise UsageFailure(
            f"--name {name!r}: letters, digits, '.', '_' and '-' only, a letter or digit first",
            code="bad_name",
            name=name,
        )
    settings = read_config(config, FeedbackConfig) if config else FeedbackConfig()
    named = {key: value for key, value in (("tuning", tuning), ("base", base)) if value is not None}
    settings = settings.model_copy(update=named)
    to_be_written([report], data, config, force=force)
    reading = reading_of(delimiter, decimal, keep_na, score_column)
    read = read_feedback(data, item or (), reading)
    note(read.notes)
    resolve(settings.base)  # what is missing is said before hours are spent
    with training_installed():
        from training.feedback.figures import COLUMNS, table
        from training.feedback.run import make_feedback
    made = make_feedback(read, models, name, settings, work_folder(cache))
    bundle = made.files.bundle
    for telling, title in ((False, "all dev rows"), (True, "rows with more than a verdict")):
        if rows := table(made.figures, telling):
            shown = Table(title, *COLUMNS, "verdict agrees", box=SIMPLE)
            for row in rows:
                shown.add_row(*row)
            print_table(shown)
    if report:
        found = {own.title: own.as_dict() for own in made.figures}
        report.write_text(json.dumps({ORIGIN_MARK: "feedback"} | found, indent=2) + "\n", encoding="utf-8")
    Console().print(f"{bundle.name}/{bundle.version}: `scorelet feedback activate` makes it live")
