"""`scorelet learner`: export or erase the data of learners."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from app.cli.console import BadUsage, ready_database, say, say_on_stderr, settings_or_fail, write_privately
from app.storage.erasure import rewrite
from app.storage.learners import erase, expire, pseudonym, rows_of

HASH = re.compile("[0-9a-f]{64}", re.IGNORECASE)
NO_ROW = (
    "no row has this pseudonym: its rows were erased before, callers send another id, or SCORELET_LEARNER_KEY has "
    "changed"
)
KEPT = (
    "scores, confidences, decisions and marks, with times and prediction ids, to measure agreement; a caller that "
    "stored prediction ids with the learner must erase them itself"
)

learner = typer.Typer(no_args_is_help=True, help="Export or erase the data of learners.")
LearnerArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID|HASH",
        help="The learner_id that callers send (needs SCORELET_LEARNER_KEY), or the pseudonym, 64 hex digits.",
    ),
]
IsId = Annotated[bool, typer.Option("--id", help="Read the argument as an id, even if it looks like a pseudonym.")]


@learner.command("erase")
def learner_erase(learner: LearnerArgument, is_id: IsId = False) -> None:
    """Erase a learner's texts and pseudonym from every table and file of the database; print a receipt.

    Scores and marks stay anonymously. A running service waits while the tables are rewritten. You may run the command
    again.
    """
    learner_hash = _pseudonym(learner, is_id)
    counts = _erase("erase", {"pseudonym": learner_hash}, lambda engine: erase(engine, learner_hash))
    if not any(counts.values()):
        say_on_stderr(NO_ROW)


@learner.command("expire")
def learner_expire(
    days: Annotated[int, typer.Argument(metavar="DAYS", min=1, max=36500, help="Age of the rows to erase.")],
) -> None:
    """Erase the texts and pseudonyms of all learners in rows older than DAYS, as `erase` does."""
    before = datetime.now(UTC) - timedelta(days=days)
    selection = {"before": before.isoformat(timespec="seconds")}
    _erase("expire", selection, lambda engine: expire(engine, before))


def _erase(command: str, selection: dict[str, str], work: Callable[[Engine], dict[str, int]]) -> dict[str, int]:
    """Erase rows, rewrite their tables and print a receipt; return the number of erased rows by table."""
    with ready_database() as engine:
        counts = work(engine)
        remains = rewrite(engine, sorted(counts))
    receipt = {
        "receipt": f"scorelet learner {command}",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **selection,
        "database": engine.dialect.name,
        "erased": counts,
        "kept": KEPT,
        "remains": remains,
    }
    say(json.dumps(receipt, indent=2))
    return counts


@learner.command("export")
def learner_export(
    learner: LearnerArgument,
    out: Annotated[Path, typer.Option(help="New JSON file, which only you can read.")],
    is_id: IsId = False,
) -> None:
    """Export every row of a learner, with the texts, to a JSON file."""
    learner_hash = _pseudonym(learner, is_id)
    with ready_database() as engine:
        tables = rows_of(engine, learner_hash)
    document = {
        "export": "scorelet learner export",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "pseudonym": learner_hash,
        "tables": tables,
    }
    content = json.dumps(document, indent=2, ensure_ascii=False, default=datetime.isoformat)
    write_privately(out, f"{content}\n")
    counts = [f"{len(rows)} {name}" for name, rows in tables.items()]
    say(f"{', '.join(counts)} written to {out}")
    if not any(tables.values()):
        say_on_stderr(NO_ROW)


def _pseudonym(learner: str, is_id: bool) -> str:
    """Return the pseudonym of a learner, given the id or the pseudonym.  Raise BadUsage for an id without a key."""
    if HASH.fullmatch(learner.strip()) and not is_id:
        return learner.strip().lower()  # the log has lower case
    try:
        learner.encode()
    except UnicodeEncodeError:
        raise BadUsage("the learner's id is not UTF-8: type it as the callers send it", code="bad_learner_id") from None
    key = settings_or_fail().learner_key
    if key is None:
        sentence = (
            "SCORELET_LEARNER_KEY is not set, so the pseudonym of an id is unknown: set it, or give the HASH instead"
        )
        raise BadUsage(sentence, code="no_learner_key")
    return pseudonym(key.get_secret_value(), learner)
