"""What is wrong with this installation, and how to mend it, in words for whoever runs it."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from app.feedback.desk import live_feedback
from app.scoring.registry import Registry
from app.settings import Settings, is_loopback
from app.storage import keys
from app.storage.database import connect, head_revision, schema_problem


@dataclass(frozen=True, slots=True)
class Finding:
    good: bool
    what: str
    mend: str | None = None


def examine(settings: Settings) -> list[Finding]:
    """Every finding, the good ones too."""
    return [*_bundles(settings), *_feedback(settings), *_database(settings), *_privacy(settings)]


def _bundles(settings: Settings) -> Iterator[Finding]:
    folder = settings.models_dir
    if not folder.is_dir():
        yield Finding(False, f"no folder of bundles at {folder.absolute()}", "set SCORELET_MODELS_DIR")
        return
    registry = Registry.from_folder(folder)
    yield Finding(
        bool(registry.live),
        f"{len(registry.live)} items ready in {folder}",
        None if registry.live else "train some with `scorelet-train run`, or set SCORELET_MODELS_DIR",
    )
    for item_id, reason in registry.refused.items():
        mend = f"see `scorelet bundle check {item_id}`; copy the bundle again, or activate it again or another"
        yield Finding(False, f"item {item_id} is refused: {reason}", mend)
    for item_id, reason in registry.without_teacher.items():
        mend = f"scorelet bundle activate {item_id} --by NAME --fall-back unsure; until then a person looks instead"
        yield Finding(False, f"item {item_id} falls back on no teacher: {reason}", mend)
    for item_id, live in sorted(registry.live.items()):
        if live.active.mode == "auto" and live.bundle.threshold is None:
            yield Finding(True, f"item {item_id} is in mode auto but has no threshold: every score goes to a reviewer")


def _feedback(settings: Settings) -> Iterator[Finding]:
    live, refused = live_feedback(settings.models_dir)
    for files, active in live:
        yield Finding(True, f"feedback model {files.bundle.name} writes for {len(files.items)} items, by {active.by}")
    for name, reason in refused.items():
        mend = f"scorelet feedback check {name}; until then the bank speaks"
        yield Finding(False, f"feedback model {name} is refused: {reason}", mend)


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        engine = connect(settings.database_url.get_secret_value())
    except (ArgumentError, ImportError):  # ImportError: of a driver that is not installed
        yield Finding(False, "SCORELET_DATABASE_URL is no URL of SQLite or PostgreSQL", "say sqlite:///scorelet.db")
        return
    name = engine.dialect.name
    try:
        if trouble := schema_problem(engine, head_revision()):
            mend = "scorelet db upgrade" if "upgrade" in trouble else "check SCORELET_DATABASE_URL and the server"
            yield Finding(False, f"{name}: {trouble}", mend)
            return
        yield Finding(True, f"{name} answers and its tables are up to date")
        with Session(engine) as session:
            made = keys.any_made(session)
    finally:
        engine.dispose()
    if made:
        yield Finding(True, "keys are made: every call needs one")
    elif is_loopback(settings.host):
        yield Finding(True, "no key is made: the service is open, to this machine only")
    else:
        mend = "scorelet keys create NAME --scope score"
        yield Finding(False, f"no key is made, so the service will not start on {settings.host}", mend)


def _privacy(settings: Settings) -> Iterator[Finding]:
    if settings.learner_key is None:
        yield Finding(True, "SCORELET_LEARNER_KEY is not set: learner ids are not stored, not even as pseudonyms")
    else:
        yield Finding(True, "learner ids are stored as pseudonyms")
    kept = "kept for review" if settings.store_responses else "not kept"
    yield Finding(True, f"responses are {kept} (SCORELET_STORE_RESPONSES)")
