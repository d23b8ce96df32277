"""`scorelet feedback`: language models that write feedback, which a person must release first."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import (
    BadUsage,
    ByOption,
    ModelsOption,
    NewestVersion,
    ReasonOption,
    WorkFailed,
    choose_version,
    models_or_fail,
    say,
)
from app.scoring.errors import BadBundle
from app.scoring.feedback.bundle import feedback_folder, feedback_names, load_feedback
from app.scoring.live_version import ACTIVE, Release, read_release, release_ungated, versions

feedback = typer.Typer(no_args_is_help=True, help="Check, release or withdraw language models that write feedback.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model: its folder in models/_feedback.")]


@feedback.command("list")
def feedback_list(models: ModelsOption = None) -> None:
    """List the versions of each feedback model, and mark the live one."""
    folder = models_or_fail(models)
    for name in feedback_names(folder):
        home = feedback_folder(folder, name)
        live, problem = _live(home)
        for version in versions(home):
            mark = "  live" if version == live else problem
            say(f"{name}/{version}{mark}")


@feedback.command("check")
def feedback_check(name: NameArgument, models: ModelsOption = None) -> None:
    """Load every version as the service would, and report which are sound."""
    home = feedback_folder(models_or_fail(models), name)
    refused = 0
    for version in versions(home):
        try:
            files = load_feedback(home / version)
            items = ", ".join(item.item_id for item in files.bundle.items)
            say(f"sound    {name}/{version}: {items}")
        except BadBundle as error:
            refused += 1
            say(f"refused  {name}/{version}: {error}")
    if refused:
        sentence = f"{refused} of {len(versions(home))} versions refused"
        raise WorkFailed(sentence, code="bundles_refused", count=refused)


@feedback.command("activate")
def feedback_activate(
    name: NameArgument,
    by: ByOption,
    reason: ReasonOption,
    version: NewestVersion = None,
    models: ModelsOption = None,
) -> None:
    """Let a model write to learners, after checking its files.

    Read its card.md first. Restart a running service afterwards.
    """
    if not (by.strip() and reason.strip()):
        raise BadUsage("a named person and a reason are needed: --by NAME --reason TEXT", code="reason_needed")
    home = feedback_folder(models_or_fail(models), name)
    chosen = choose_version(home, f"feedback model {name!r}", version, found=versions(home))
    load_feedback(home / chosen)
    release_ungated(home, chosen, by=by, reason=reason)
    say(f"{name}/{chosen} is live. Restart a running service to use it.")


@feedback.command("off")
def feedback_off(name: NameArgument, models: ModelsOption = None) -> None:
    """Withdraw a model: learners get feedback from the bank again.

    Restart a running service afterwards.
    """
    home = feedback_folder(models_or_fail(models), name)
    (home / ACTIVE).unlink(missing_ok=True)
    say(f"{name} is withdrawn. Restart a running service.")


def _live(home: Path) -> tuple[str | None, str]:
    """Return the live version, and words about an ACTIVE file that is refused."""
    if not (home / ACTIVE).exists():
        return None, ""
    try:
        return read_release(home, Release).version, ""
    except BadBundle as error:
        return None, f"  refused: {error}"
