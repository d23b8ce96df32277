"""`scorelet learner …`: learners' rows, exported or erased."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from app.cli.console import BadUsage, ready_database, say, say_beside, settings_or_fail, write_privately
from app.storage.erasure import rewrite
from app.storage.learners import erase, expire, pseudonym, rows_of

HASH = re.compile("[0-9a-f]{64}", re.IGNORECASE)
NO_ROW = (
    "no row has this pseudonym: either all were erased before, or the id is not as the callers send it, or "
    "SCORELET_LEARNER_KEY is not the key that it was made with"
)
KEPT = (
    "scores, confidences, decisions and marks, with their times and prediction ids, for agreement to be measured on; "
    "a caller that noted a prediction id beside the learner must erase its own note"
)

learner = typer.Typer(no_args_is_help=True, help="Learners' rows: export or erase them.")
LearnerOption = Annotated[
    str,
    typer.Argument(
        metavar="ID|HASH",
        help="The id that callers send as learner_id (needs SCORELET_LEARNER_KEY), or the pseudonym, 64 hex digits.",
    ),
]
IsId = Annotated[bool, typer.Option("--id", help="It is an id, although it looks like a pseudonym.")]


@learner.command("erase")
def learner_erase(learner: LearnerOption, is_id: IsId = False) -> None:
    """Erase a learner's words and pseudonym from every table and file of the database; print a receipt.

    Scores and marks stay, as nobody's. A running service waits while the tables are written anew. Erasing again does no
    harm.
    """
    learner_hash = _pseudonym(learner, is_id)
    if not any(_erased("erase", {"pseudonym": learner_hash}, lambda engine: erase(engine, learner_hash)).values()):
        say_beside(NO_ROW)


@learner.command("expire")
def learner_expire(
    days: Annotated[int, typer.Argument(metavar="DAYS", min=1, max=36500, help="Age from which words are erased.")],
) -> None:
    """Erase the words and pseudonyms of all learners in rows older than so many days, as `erase` does."""
    before = datetime.now(UTC) - timedelta(days=days)
    which = {"before": before.isoformat(timespec="seconds")}
    _erased("expire", which, lambda engine: expire(engine, before))


def _erased(command: str, which: dict[str, str], work: Callable[[Engine], dict[str, int]]) -> dict[str, int]:
    """Erase rows, write their tables anew, and print a receipt; return how many rows of each table were erased."""
    with ready_database() as engine:
        counts = work(engine)
        remains = rewrite(engine, sorted(counts))
    receipt = {
        "receipt": f"scorelet learner {command}",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **which,
        "database": engine.dialect.name,
        "erased": counts,
        "kept": KEPT,
        "remains": remains,
    }
    say(json.dumps(receipt, indent=2))
    return counts


@learner.command("export")
def learner_export(
    learner: LearnerOption,
    out: Annotated[Path, typer.Option(help="Where to write the rows, JSON; you alone can read the file.")],
    is_id: IsId = False,
) -> None:
    """Write every row of a learner to one JSON document, with the texts."""
    learner_hash = _pseudonym(learner, is_id)
    with ready_database() as engine:
        tables = rows_of(engine, learner_hash)
    exported = {
        "export": "scorelet learner export",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "pseudonym": learner_hash,
        "tables": tables,
    }
    write_privately(out, json.dumps(exported, indent=2, ensure_ascii=False, default=datetime.isoformat) + "\n")
    counts = ", ".join(f"{len(rows)} {name}" for name, rows in tables.items())
    say(f"{counts} written to {out}")
    if not any(tables.values()):
        say_beside(NO_ROW)


def _pseudonym(learner: str, is_id: bool) -> str:
    """Return the pseudonym that is meant.  Raises BadUsage for an id without the key that pseudonyms are made with."""
    if HASH.fullmatch(learner.strip()) and not is_id:
        return learner.strip().lower()  # as the log has it, however it was copied
    try:
        learner.encode()
    except UnicodeEncodeError:
        raise BadUsage("the learner's id is not UTF-8: send it as the callers do", code="bad_learner_id") from None
    key = settings_or_fail().learner_key
    if key is None:
        sentence = (
            "a learner's id needs SCORELET_LEARNER_KEY, with which its pseudonym was made: set it, or say the HASH"
        )
        raise BadUsage(sentence, code="no_learner_key")
    return pseudonym(key.get_secret_value(), learner)
