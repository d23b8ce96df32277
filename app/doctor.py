"""What is wrong with this installation, and how to mend it, in words for whoever runs it."""

import ipaddress
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.feedback.desk import live_feedback
from app.scoring.registry import Registry
from app.settings import Settings, is_loopback
from app.storage import keys
from app.storage.database import BadUrl, connect, head_revision, schema_problem, write_problem

LEAST_FREE = 256 * 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Finding:
    good: bool
    what: str
    mend: str | None = None


def examine(settings: Settings) -> list[Finding]:
    """Every finding, the good ones too."""
    return [
        *_bundles(settings),
        *_feedback(settings),
        *_database(settings),
        *_network(settings),
        *_privacy(settings),
    ]


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
    if (needed := registry.shelf.bytes) > settings.students_mib * 2**20:
        what = f"students need about {needed // 2**20} MiB, and may have {settings.students_mib}: some are read again"
        yield Finding(True, f"{what} when they are asked for (SCORELET_STUDENTS_MIB)")
    for item_id, reason in registry.refused.items():
        mend = f"see `scorelet bundle check {item_id}`; copy the bundle again, or activate it again or another"
        yield Finding(False, f"item {item_id} is refused: {reason}", mend)
    for item_id, reason in registry.without_teacher.items():
        mend = f"scorelet bundle activate {item_id} --by NAME --fall-back unsure; until then a person looks instead"
        yield Finding(False, f"item {item_id} falls back on no teacher: {reason}", mend)
    for item_id, live in sorted(registry.live.items()):
        if live.without_shadow:
            mend = f"scorelet bundle shadow {item_id} --by NAME, or --off"
            yield Finding(False, f"item {item_id} has nothing in its shadow: {live.without_shadow}", mend)
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
    except BadUrl as error:
        yield Finding(False, f"SCORELET_DATABASE_URL is {error}", "say sqlite:///scorelet.db")
        return
    name = engine.dialect.name
    try:
        if trouble := schema_problem(engine, head_revision()) or write_problem(engine):
            file = "file and its folder" if name == "sqlite" else "server"
            mend = "scorelet db upgrade" if "upgrade" in trouble else f"check SCORELET_DATABASE_URL and the {file}"
            yield Finding(False, f"{name}: {trouble}", mend)
            return
        yield Finding(True, f"{name} answers and its tables are up to date")
        yield from _durability(engine, settings)
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


def _durability(engine: Engine, settings: Settings) -> Iterator[Finding]:
    if engine.dialect.name == "sqlite":
        free = shutil.disk_usage(Path(engine.url.database or ".").absolute().parent).free
        mend = "make room: without it no score is given"
        yield Finding(free >= LEAST_FREE, f"{free // 2**20} MiB are free for it", None if free >= LEAST_FREE else mend)
        if settings.sqlite_synchronous == "NORMAL":
            yield Finding(True, "a power cut may lose the last scores (SCORELET_SQLITE_SYNCHRONOUS is NORMAL)")
        return
    with engine.connect() as connection:
        commit = connection.execute(text("SHOW synchronous_commit")).scalar()
    if commit == "off":
        yield Finding(False, "a crash may lose acknowledged scores: synchronous_commit is off", "set it to on")


def _network(settings: Settings) -> Iterator[Finding]:
    for name in filter(None, map(str.strip, settings.trusted_proxies.split(","))):
        try:
            ipaddress.ip_network(name)
        except ValueError:
            mend = "name addresses or networks in SCORELET_TRUSTED_PROXIES"
            yield Finding(False, f"{name!r} is no address of a proxy", mend)
    if not is_loopback(settings.host) and not settings.allowed_hosts:
        yield Finding(True, "any name it is asked for by is answered (SCORELET_ALLOWED_HOSTS)")


def _privacy(settings: Settings) -> Iterator[Finding]:
    if settings.learner_key is None:
        yield Finding(True, "SCORELET_LEARNER_KEY is not set: learner ids are not stored, not even as pseudonyms")
    else:
        yield Finding(True, "learner ids are stored as pseudonyms")
    kept = "kept for review" if settings.store_responses else "not kept"
    yield Finding(True, f"responses are {kept} (SCORELET_STORE_RESPONSES)")
