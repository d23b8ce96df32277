"""`scorelet bundle …`: which version of an item is live, in which mode, and why."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.box import SIMPLE
from rich.table import Table
from sqlalchemy.orm import Session

from app.cli.console import (
    BadUsage,
    ModelsOption,
    WorkFailed,
    models_or_fail,
    print_gate,
    print_table,
    ready_engine,
    say,
)
from app.cli.shadow_comparison import compare
from app.scoring.errors import BadBundle
from app.scoring.item import Item
from app.scoring.registry import fallback_on, load_item
from app.scoring.release import (
    Active,
    BlankIsWorst,
    Fallback,
    Mode,
    activate,
    cast_shadow,
    item_folder,
    read_active,
    versions,
)
from app.scoring.student import Student

bundle = typer.Typer(no_args_is_help=True, help="Check bundles and their gates; make one live; go back.")
ItemId = Annotated[str, typer.Argument(metavar="ITEM", help="The item's id.")]


@bundle.command("check")
def bundle_check(item_id: ItemId, models: ModelsOption = None) -> None:
    """Load every version of an item as the service would, and say which are sound."""
    folder = item_folder(models_or_fail(models), item_id)
    bad = 0
    for version in versions(folder):
        try:
            Student.load(folder / version)
            say(f"sound    {item_id}/{version}")
        except BadBundle as error:
            bad += 1
            say(f"refused  {item_id}/{version}: {error}")
    try:
        load_item(models_or_fail(models), item_id)
        say(f"active   {read_active(folder).version}")
    except BadBundle as error:
        raise WorkFailed(f"what is active is refused: {error}", code="active_refused", cause=error.code) from None
    if bad:
        raise WorkFailed(f"{bad} bundle(s) refused", code="bundles_refused", count=bad)


@bundle.command("gate")
def bundle_gate(
    item_id: ItemId,
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Default: the newest.")] = None,
    models: ModelsOption = None,
) -> None:
    """Show what a version must show before its scores may stand, and what it does show.  Exit code 1 if it fails."""
    folder = item_folder(models_or_fail(models), item_id)
    found = Student.load(folder / _version(folder, item_id, version)).bundle.gate
    print_gate(found)
    if not found.passed:
        raise WorkFailed(f"the gate refuses it: {', '.join(found.failed)}", code="gate_refuses", rules=found.failed)


@bundle.command("activate")
def bundle_activate(
    item_id: ItemId,
    by: Annotated[str, typer.Option(help="Who decides this.")],
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Default: the newest.")] = None,
    reason: Annotated[str, typer.Option(help="Why; needed with --auto and --blank-is-worst.")] = "",
    auto: Annotated[
        bool | None,
        typer.Option("--auto/--suggest", help="Overrule the gate, either way. Default: auto if it passes the gate."),
    ] = None,
    fall_back: Annotated[
        Literal["never", "unsure", "shadow"] | None,
        typer.Option(
            help="Ask the newest exported teacher: where the student is unsure; or always, only to log it. "
            "Default: as it is."
        ),
    ] = None,
    blank_is_worst: Annotated[
        bool | None,
        typer.Option(
            "--blank-is-worst/--blank-to-person",
            help="Give blank responses and refusals the worst score, without a person and in either mode. "
            "Default: as it is.",
        ),
    ] = None,
    models: ModelsOption = None,
) -> None:
    """Make a version live, after loading and probing it; a running service takes it up within seconds.

    If it passes its gate its confident scores stand; else all are suggestions to a reviewer.
    """
    for option, wanted in (("--auto", auto), ("--blank-is-worst", blank_is_worst)):
        if wanted and not (by.strip() and reason.strip()):
            raise BadUsage(
                f"{option} needs a named person and a reason: --by NAME --reason TEXT",
                code="reason_needed",
                option=option,
            )
    mode: Mode | None = None if auto is None else "auto" if auto else "suggest"
    why = reason if reason else "activated by hand"
    _activate(models, item_id, version, mode=mode, by=by, reason=why, policy=fall_back, blank_is_worst=blank_is_worst)


@bundle.command("rollback")
def bundle_rollback(
    item_id: ItemId,
    by: Annotated[str, typer.Option(help="Who decides this.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    models: ModelsOption = None,
) -> None:
    """Go back to the version that was live before, as `activate` would."""
    previous = read_active(item_folder(models_or_fail(models), item_id)).previous
    if previous is None:
        raise WorkFailed(f"item {item_id!r} has no version to go back to", code="no_previous", item_id=item_id)
    _activate(models, item_id, previous, mode=None, by=by, reason=reason)


@bundle.command("shadow")
def bundle_shadow(
    item_id: ItemId,
    by: Annotated[str, typer.Option(help="Who decides this.")],
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Default: the newest.")] = None,
    off: Annotated[bool, typer.Option("--off", help="No version any more.")] = False,
    models: ModelsOption = None,
) -> None:
    """Let another version score beside the live one, only to be logged; `compare` shows what came of it."""
    folder = item_folder(models_or_fail(models), item_id)
    chosen = None if off else _version(folder, item_id, version)
    if chosen is not None:
        Student.load(folder / chosen)
    try:
        active = cast_shadow(folder, chosen, by=by)
    except ValueError as error:
        raise WorkFailed(f"{item_id}: {error}", code="shadow_is_live", item_id=item_id, version=chosen) from None
    say(f"{item_id}: {active.version} is live, {f'{chosen} in its shadow' if chosen else 'nothing in its shadow'}.")


@bundle.command("compare")
def bundle_compare(
    item_id: ItemId,
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Default: the one in the shadow.")] = None,
    models: ModelsOption = None,
) -> None:
    """Show how a version in the shadow scores beside the live one, and how both agree with people's marks."""
    folder = item_folder(models_or_fail(models), item_id)
    active = read_active(folder)
    chosen = version or (active.shadow.version if active.shadow else None)
    if chosen is None:
        raise WorkFailed(
            f"item {item_id!r} has no version in the shadow: `scorelet bundle shadow {item_id} --by NAME`",
            code="no_shadow",
            item_id=item_id,
        )
    live = Student.load(folder / active.version).bundle
    engine = ready_engine()
    with Session(engine) as session:
        found = compare(session, live, chosen)
    table = Table("", "n", "same", "QWK", "distance", "may stand", box=SIMPLE)
    for name, close, stands in (
        ("live, with people's marks", found.live_with_people, found.live_stands),
        ("shadow, with people's marks", found.shadow_with_people, found.shadow_stands),
        ("live and shadow", found.between, None),
    ):
        figures = (close.same, close.qwk, close.distance, stands)
        table.add_row(name, str(close.n), *("-" if own is None else f"{own:.3f}" for own in figures))
    say(f"{item_id}: {chosen} in the shadow of {active.version}, {found.n} responses")
    print_table(table)


def _activate(
    models: Path | None,
    item_id: str,
    version: str | None,
    *,
    mode: Mode | None,
    by: str,
    reason: str,
    policy: Literal["never", "unsure", "shadow"] | None = None,
    blank_is_worst: bool | None = None,
) -> None:
    if not by.strip():
        raise BadUsage("--by needs a name", code="name_needed", option="--by")
    if not reason.strip():
        raise BadUsage("--reason needs words", code="reason_needed", option="--reason")
    home = models_or_fail(models)
    folder = item_folder(home, item_id)
    chosen = _version(folder, item_id, version)
    item = Student.load(folder / chosen).bundle.item
    fallback = _fallback(home, folder, item, policy)
    rule = _rule(folder, item, blank_is_worst, by, reason)
    active = activate(folder, chosen, mode=mode, by=by, reason=reason, fallback=fallback, blank_is_worst=rule)
    print_gate(active.gate)
    verdict = "passed its gate" if active.gate.passed else f"did not pass its gate ({', '.join(active.gate.failed)})"
    overruled = f"; it scores alone all the same, by {by}: {reason}" if active.override else ""
    say(f"{item_id}: {active.version} {verdict}{overruled}")
    behind = f", teacher {fallback.teacher}/{fallback.version} ({fallback.policy})" if fallback else ""
    say(f"It is live in mode {active.mode}{behind}; a running service takes it up within seconds.")
    if rule is not None:
        say(f"Blank responses and refusals are given the worst score, and it stands, by {rule.by}: {rule.reason}")


def _version(folder: Path, item_id: str, version: str | None) -> str:
    """The one named, or the newest.  Raises WorkFailed where there is none such."""
    chosen = version or "".join(versions(folder)[-1:])
    if chosen not in versions(folder):
        raise WorkFailed(
            f"item {item_id!r} has no version {chosen!r}; it has {', '.join(versions(folder)) or 'none'}",
            code="no_such_version",
            item_id=item_id,
            version=chosen,
        )
    return chosen


def _live(folder: Path) -> Active | None:
    """Return the item's ACTIVE, or None where it has none that can be read."""
    try:
        return read_active(folder)
    except BadBundle:
        return None


def _rule(folder: Path, item: Item, wanted: bool | None, by: str, reason: str) -> BlankIsWorst | None:
    """Return the decision on blank responses: this one, or that in ACTIVE, which every later version keeps.

    Raise BadUsage for an item whose labels have no worst.
    """
    if wanted is None:
        live = _live(folder)
        return live.kept_for(item) if live else None
    if wanted and not item.is_ordered:
        raise BadUsage(
            f"item {item.item_id!r} is nominal: none of its labels is the worst, so --blank-is-worst has none to give",
            code="no_worst_label",
            item_id=item.item_id,
        )
    return BlankIsWorst(by=by, at=datetime.now(UTC), reason=reason) if wanted else None


def _fallback(
    home: Path, folder: Path, item: Item, policy: Literal["never", "unsure", "shadow"] | None
) -> Fallback | None:
    """The newest teacher of the item, loaded once; with no policy given what ACTIVE has.  Raises BadBundle."""
    if policy == "never":
        return None
    if policy is None:
        live = _live(folder)
        return live.fallback if live else None
    return fallback_on(home, item, policy)
