"""`scorelet feedback …`: language models that write feedback; nobody is told anything by one until a person says so."""

from typing import Annotated

import typer

from app.cli.console import BadUsage, ModelsOption, WorkFailed, models_or_fail, say
from app.scoring.errors import BadBundle
from app.scoring.feedback.bundle import feedback_folder, feedback_names, load_feedback
from app.scoring.release import ACTIVE, Release, read_release, release_ungated, versions

feedback = typer.Typer(
    no_args_is_help=True, help="Language models that write feedback: check one, make it live, end it."
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Of the folder models/_feedback/NAME.")]


@feedback.command("list")
def feedback_list(models: ModelsOption = None) -> None:
    """List the feedback models, their versions, and which is live."""
    folder = models_or_fail(models)
    for name in feedback_names(folder):
        home = feedback_folder(folder, name)
        live, problem = None, ""
        try:
            live = read_release(home, Release).version if (home / ACTIVE).exists() else None
        except BadBundle as error:
            problem = f"  refused: {error}"
        for version in versions(home):
            say(f"{name}/{version}{'  live' if version == live else problem}")


@feedback.command("check")
def feedback_check(name: NameArgument, models: ModelsOption = None) -> None:
    """Read every version as the service would, and say which are sound."""
    home = feedback_folder(models_or_fail(models), name)
    bad = 0
    for version in versions(home):
        try:
            files = load_feedback(home / version)
            items = ", ".join(item.item_id for item in files.bundle.items)
            say(f"sound    {name}/{version}: {items}")
        except BadBundle as error:
            bad += 1
            say(f"refused  {name}/{version}: {error}")
    if bad:
        raise WorkFailed(f"{bad} version(s) refused", code="bundles_refused", count=bad)


@feedback.command("activate")
def feedback_activate(
    name: NameArgument,
    by: Annotated[str, typer.Option(help="Who decides this.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Default: the newest.")] = None,
    models: ModelsOption = None,
) -> None:
    """Let a model write to learners, after checking it.  Read its card.md first; restart a running service."""
    if not (by.strip() and reason.strip()):
        raise BadUsage("a named person and a reason are needed: --by NAME --reason TEXT", code="reason_needed")
    home = feedback_folder(models_or_fail(models), name)
    chosen = version or "".join(versions(home)[-1:])
    if chosen not in versions(home):
        raise WorkFailed(
            f"{name} has no version {chosen!r}; it has {', '.join(versions(home)) or 'none'}",
            code="no_such_version",
            version=chosen,
            found=versions(home),
        )
    load_feedback(home / chosen)
    release_ungated(home, chosen, by=by, reason=reason)
    say(f"{name}/{chosen} writes feedback; restart a running service to use it")


@feedback.command("off")
def feedback_off(name: NameArgument, models: ModelsOption = None) -> None:
    """The bank speaks again; restart a running service."""
    home = feedback_folder(models_or_fail(models), name)
    (home / ACTIVE).unlink(missing_ok=True)
    say(f"{name} writes no more; restart a running service")
