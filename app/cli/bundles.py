"""`scorelet bundle`: check versions of an item, make one live, and roll back."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli.console import (
    BadUsage,
    ByOption,
    ItemId,
    ModelsOption,
    NewestVersion,
    ReasonOption,
    WorkFailed,
    choose_item_version,
    models_or_fail,
    print_gate,
    say,
)
from app.cli.shadow import bundle_compare, bundle_shadow
from app.scoring.errors import BadBundle
from app.scoring.item import Item
from app.scoring.live_version import (
    Active,
    BlankIsWorst,
    Fallback,
    Mode,
    activate,
    item_folder,
    read_active,
    versions,
)
from app.scoring.registry import fallback_on, load_item
from app.scoring.student import Student

bundle = typer.Typer(no_args_is_help=True, help="Check bundles and their release gates, make one live, or roll back.")
FallbackPolicy = Literal["never", "unsure", "shadow"]
AutoOption = Annotated[
    bool | None,
    typer.Option("--auto/--suggest", help="Overrule the gate. Default: auto if the version passes its gate."),
]
FallbackOption = Annotated[
    FallbackPolicy | None,
    typer.Option(
        metavar="WHEN",
        help="When to ask the newest exported teacher: never, unsure (only if the student is unsure) or shadow "
        "(always, but only for the log). Default: unchanged.",
    ),
]
BlankOption = Annotated[
    bool | None,
    typer.Option(
        "--blank-is-worst/--blank-to-person",
        help="Give blank responses and refusals the worst score without a review, in either mode. Default: unchanged.",
    ),
]


@bundle.command("check")
def bundle_check(item_id: ItemId, models: ModelsOption = None) -> None:
    """Load every version of an item as the service would, and report which are sound."""
    home = models_or_fail(models)
    folder = item_folder(home, item_id)
    refused = 0
    for version in versions(folder):
        try:
            Student.load(folder / version)
            say(f"sound    {item_id}/{version}")
        except BadBundle as error:
            refused += 1
            say(f"refused  {item_id}/{version}: {error}")
    try:
        load_item(home, item_id)
        say(f"active   {read_active(folder).version}")
    except BadBundle as error:
        sentence = f"the active version of {item_id} is refused: {error}"
        raise WorkFailed(sentence, code="active_refused", cause=error.code) from None
    if refused:
        sentence = f"{refused} of {len(versions(folder))} versions refused"
        raise WorkFailed(sentence, code="bundles_refused", count=refused)


@bundle.command("gate")
def bundle_gate(item_id: ItemId, version: NewestVersion = None, models: ModelsOption = None) -> None:
    """Show a version's release gate: each rule, its limit and the measured value.

    Exit code 1 if the version fails a rule.
    """
    folder = item_folder(models_or_fail(models), item_id)
    chosen = choose_item_version(folder, item_id, version)
    gate = Student.load(folder / chosen).bundle.gate
    print_gate(gate)
    if not gate.passed:
        sentence = f"{item_id}/{chosen} does not pass its gate: {', '.join(gate.failed)}"
        raise WorkFailed(sentence, code="gate_refuses", rules=gate.failed)


@bundle.command("activate")
def bundle_activate(
    item_id: ItemId,
    by: ByOption,
    version: NewestVersion = None,
    reason: Annotated[str, typer.Option(help="Reason; required with --auto and --blank-is-worst.")] = "",
    auto: AutoOption = None,
    fall_back: FallbackOption = None,
    blank_is_worst: BlankOption = None,
    models: ModelsOption = None,
) -> None:
    """Make a version live, after loading and testing it.

    A running service loads it within seconds. If the version passes its gate, its confident scores stand; otherwise
    every score is a suggestion to a reviewer.
    """
    for option, value in (("--auto", auto), ("--blank-is-worst", blank_is_worst)):
        if value and not (by.strip() and reason.strip()):
            raise BadUsage(
                f"{option} needs a named person and a reason: --by NAME --reason TEXT",
                code="reason_needed",
                option=option,
            )
    modes: dict[bool | None, Mode | None] = {None: None, True: "auto", False: "suggest"}
    why = reason or "activated by hand"
    _activate(
        models, item_id, version, mode=modes[auto], by=by, reason=why, policy=fall_back, blank_is_worst=blank_is_worst
    )


@bundle.command("rollback")
def bundle_rollback(item_id: ItemId, by: ByOption, reason: ReasonOption, models: ModelsOption = None) -> None:
    """Make the previous version live again, with the same checks as `activate`."""
    previous = read_active(item_folder(models_or_fail(models), item_id)).previous
    if previous is None:
        raise WorkFailed(f"item {item_id!r} has no previous version", code="no_previous", item_id=item_id)
    _activate(models, item_id, previous, mode=None, by=by, reason=reason)


bundle.command("shadow")(bundle_shadow)
bundle.command("compare")(bundle_compare)


def _activate(
    models: Path | None,
    item_id: str,
    version: str | None,
    *,
    mode: Mode | None,
    by: str,
    reason: str,
    policy: FallbackPolicy | None = None,
    blank_is_worst: bool | None = None,
) -> None:
    if not by.strip():
        raise BadUsage("--by needs a name", code="name_needed", option="--by")
    if not reason.strip():
        raise BadUsage("--reason needs a text", code="reason_needed", option="--reason")
    home = models_or_fail(models)
    folder = item_folder(home, item_id)
    chosen = choose_item_version(folder, item_id, version)
    item = Student.load(folder / chosen).bundle.item
    fallback = _fallback(home, folder, item, policy)
    rule = _blank_rule(folder, item, blank_is_worst, by, reason)
    active = activate(folder, chosen, mode=mode, by=by, reason=reason, fallback=fallback, blank_is_worst=rule)
    print_gate(active.gate)
    _report(item_id, active)


def _report(item_id: str, active: Active) -> None:
    verdict = "passed its gate"
    if not active.gate.passed:
        verdict = f"did not pass its gate ({', '.join(active.gate.failed)})"
    if active.override:
        verdict += f", which {active.by} overruled: {active.reason}"
    say(f"{item_id}: {active.version} {verdict}")
    teacher = ""
    if fallback := active.fallback:
        teacher = f", with teacher {fallback.teacher}/{fallback.version} ({fallback.policy})"
    say(f"It is live in mode {active.mode}{teacher}. A running service loads it within seconds.")
    if active.mode == "auto" and not fallback and "threshold" in active.gate.failed:
        say("A person still looks at every score, because this version has no threshold for its confidence.")
    if rule := active.blank_is_worst:
        say(f"Blank responses and refusals get the worst score without a review, by {rule.by}: {rule.reason}")


def _live(folder: Path) -> Active | None:
    """Return the content of ACTIVE, or None if it is missing or refused."""
    try:
        return read_active(folder)
    except BadBundle:
        return None


def _blank_rule(folder: Path, item: Item, wanted: bool | None, by: str, reason: str) -> BlankIsWorst | None:
    """Return the rule for blank responses: the new decision, else the rule in ACTIVE.

    Raise BadUsage for nominal items, which have no worst label.
    """
    if wanted is None:
        live = _live(folder)
        return live.kept_for(item) if live else None
    if wanted and not item.is_ordered:
        raise BadUsage(
            f"--blank-is-worst needs a worst label, but item {item.item_id!r} is nominal: its labels have no order",
            code="no_worst_label",
            item_id=item.item_id,
        )
    return BlankIsWorst(by=by, at=datetime.now(UTC), reason=reason) if wanted else None


def _fallback(home: Path, folder: Path, item: Item, policy: FallbackPolicy | None) -> Fallback | None:
    """Load and return the newest teacher of the item; without a policy return ACTIVE's teacher.  Raise BadBundle."""
    if policy == "never":
        return None
    if policy is None:
        live = _live(folder)
        return live.fallback if live else None
    return fallback_on(home, item, policy)
