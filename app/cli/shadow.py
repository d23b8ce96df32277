"""`scorelet bundle shadow` and `scorelet bundle compare`: try a version beside the live one."""

from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table
from sqlalchemy.orm import Session

from app.cli.console import (
    ByOption,
    ItemId,
    ModelsOption,
    NewestVersion,
    WorkFailed,
    choose_item_version,
    figure_cell,
    models_or_fail,
    print_table,
    ready_engine,
    say,
)
from app.cli.shadow_comparison import Comparison, compare
from app.scoring.live_version import cast_shadow, item_folder, read_active
from app.scoring.student import Student


def bundle_shadow(
    item_id: ItemId,
    by: ByOption,
    version: NewestVersion = None,
    off: Annotated[bool, typer.Option("--off", help="End the shadow.")] = False,
    models: ModelsOption = None,
) -> None:
    """Let another version score in the shadow of the live one: its scores are only logged.

    `scorelet bundle compare` shows both.
    """
    folder = item_folder(models_or_fail(models), item_id)
    chosen = None if off else choose_item_version(folder, item_id, version)
    if chosen is not None:
        Student.load(folder / chosen)
    try:
        active = cast_shadow(folder, chosen, by=by)
    except ValueError as error:
        sentence = f"{item_id}: {error}: name another version"
        raise WorkFailed(sentence, code="shadow_is_live", item_id=item_id, version=chosen) from None
    shadow = f"{chosen} is in its shadow" if chosen else "no version is in its shadow"
    say(f"{item_id}: {active.version} is live, {shadow}")


def bundle_compare(
    item_id: ItemId,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Default: the version in the shadow.")
    ] = None,
    models: ModelsOption = None,
) -> None:
    """Compare the scores of a version in the shadow with the live version's and with human marks."""
    folder = item_folder(models_or_fail(models), item_id)
    active = read_active(folder)
    chosen = version or (active.shadow.version if active.shadow else None)
    if chosen is None:
        raise WorkFailed(
            f"item {item_id!r} has no version in the shadow: run `scorelet bundle shadow {item_id} --by NAME`",
            code="no_shadow",
            item_id=item_id,
        )
    live = Student.load(folder / active.version).bundle
    with Session(ready_engine()) as session:
        comparison = compare(session, live, chosen)
    say(f"{item_id}: {chosen} in the shadow of {active.version}, {comparison.n} responses")
    print_table(_comparison_table(comparison))


def _comparison_table(comparison: Comparison) -> Table:
    table = Table("", "n", "exact", "QWK", "mean abs. difference", "may stand", box=SIMPLE)
    for name, agreement, share in (
        ("live and human marks", comparison.live_with_people, comparison.live_stands),
        ("shadow and human marks", comparison.shadow_with_people, comparison.shadow_stands),
        ("live and shadow", comparison.between, None),
    ):
        figures = (agreement.exact, agreement.qwk, agreement.distance, share)
        table.add_row(name, str(agreement.n), *map(figure_cell, figures))
    return table
