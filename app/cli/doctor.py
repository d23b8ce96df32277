"""Examine an installation: every finding, and for a bad one how to fix it."""

import ipaddress
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.scoring.registry import Registry
from app.service.feedback.model_pool import live_feedback
from app.settings import Settings, is_loopback
from app.storage import api_keys
from app.storage.database import BadUrl, connect, file_of, head_revision
from app.storage.health import exposed_files, schema_problem, write_problem
from app.storage.problems import DatabaseProblem
from app.storage.upgrade import rehearse

LEAST_FREE = 256 * 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.  `advice`: a command or words; a bad finding always has it."""

    code: str
    good: bool
    what: str
    advice: str | None = None


def examine(settings: Settings, *, least_free: int = LEAST_FREE) -> list[Finding]:
    """Return every finding, the good ones too.  `least_free`: bytes that the disk of a SQLite file shall have free."""
    return [
        *_bundles(settings),
        *_feedback(settings),
        *_database(settings, least_free),
        *_network(settings),
        *_privacy(settings),
    ]


def _good(code: str, what: str) -> Finding:
    return Finding(code, True, what)


def _bad(code: str, what: str, advice: str) -> Finding:
    return Finding(code, False, what, advice)


def _bundles(settings: Settings) -> Iterator[Finding]:
    folder = settings.models_dir
    if not folder.is_dir():
        yield _bad("no_models_folder", f"no folder of bundles at {folder.absolute()}", "set SCORELET_MODELS_DIR")
        return
    registry = Registry.from_folder(folder)
    what = f"{len(registry.live)} items ready in {folder}"
    if registry.live:
        yield _good("items_ready", what)
    else:
        yield _bad("no_items_ready", what, "train some with `scorelet-train run`, or set SCORELET_MODELS_DIR")
    if (needed := registry.shelf.bytes) > settings.students_mib * 2**20:
        what = f"students need about {needed // 2**20} MiB, and may have {settings.students_mib}"
        yield _good("students_read_again", f"{what}: some are read again when asked for (SCORELET_STUDENTS_MIB)")
    for item_id, reason in registry.refused.items():
        command = f"`scorelet bundle activate {item_id} VERSION --by NAME`"
        advice = f"copy its bundle again, or make a sound version live: {command}"
        yield _bad("item_refused", f"item {item_id} is refused: {reason}", advice)
    for item_id, reason in registry.without_teacher.items():
        advice = (
            f"`scorelet bundle activate {item_id} --by NAME --fall-back unsure`, or "
            f"`scorelet bundle activate {item_id} --by NAME --fall-back never`; until then a person looks instead"
        )
        yield _bad("item_without_teacher", f"item {item_id} falls back on no teacher: {reason}", advice)
    for item_id, live in sorted(registry.live.items()):
        if live.without_shadow:
            advice = (
                f"`scorelet bundle shadow {item_id} --by NAME`, or `scorelet bundle shadow {item_id} --by NAME --off`"
            )
            yield _bad(
                "item_without_shadow", f"item {item_id} has nothing in its shadow: {live.without_shadow}", advice
            )
        if (rule := live.active.blank_is_worst) is not None:
            what = f"item {item_id} gives blank responses and refusals the worst score, by {rule.by}: {rule.reason}"
            yield _good("item_blank_is_worst", what)
        if live.active.mode == "auto" and live.bundle.threshold is None:
            what = f"item {item_id} is in mode auto but has no threshold: every score goes to a reviewer"
            yield _good("item_without_threshold", what)


def _feedback(settings: Settings) -> Iterator[Finding]:
    live, refused = live_feedback(settings.models_dir)
    for files, active in live:
        what = f"feedback model {files.bundle.name} writes for {len(files.items)} items, by {active.by}"
        yield _good("feedback_model", what)
    for name, reason in refused.items():
        advice = (
            f"copy it again, or make a sound version live: `scorelet feedback activate {name} VERSION --by NAME "
            f"--reason TEXT`, or `scorelet feedback off {name}`; until then the bank speaks"
        )
        yield _bad("feedback_model_refused", f"feedback model {name} is refused: {reason}", advice)


def _database(settings: Settings, least_free: int) -> Iterator[Finding]:
    try:
        engine = connect(settings.database_url.get_secret_value())
    except BadUrl as error:
        yield _bad("bad_database_url", f"SCORELET_DATABASE_URL is {error}", "say sqlite:///scorelet.db")
        return
    name = engine.dialect.name
    try:
        if problem := _problem_of(engine):
            yield _bad(problem.code, f"{name}: {problem.sentence}", problem.advice)
            return
        yield _good("database_ready", f"{name} answers and its tables are up to date")
        yield from _durability(engine, settings, least_free)
        with Session(engine) as session:
            made = api_keys.any_exist(session)
    finally:
        engine.dispose()
    if made:
        yield _good("keys_made", "keys are made: every call needs one")
    elif is_loopback(settings.host):
        yield _good("service_open", "no key is made: the service is open, to this machine only")
    else:
        what = f"no key is made, so the service will not start on {settings.host}"
        yield _bad("no_key_made", what, "run `scorelet keys create NAME --scope score`")


def _problem_of(engine: Engine) -> DatabaseProblem | None:
    """Return what keeps the database from being used.  An upgrade is advised only where it would succeed."""
    problem = schema_problem(engine, head_revision())
    if problem is None:
        return write_problem(engine)
    if problem.code in ("database_empty", "database_older"):
        return rehearse(engine) or problem
    return problem


def _durability(engine: Engine, settings: Settings, least_free: int) -> Iterator[Finding]:
    if engine.dialect.name == "sqlite":
        if exposed := exposed_files(engine):
            names = " ".join(map(str, exposed))
            what = f"any user of this machine can read what learners wrote: {names}"
            yield _bad("database_readable_by_others", what, f"chmod 600 {names}")
        free = shutil.disk_usage(file_of(engine).parent).free
        what = f"{free // 2**20} MiB are free for it"
        if free >= least_free:
            yield _good("disk_free", what)
        else:
            yield _bad("disk_full", what, "make room: without it no score is given")
        if settings.sqlite_synchronous == "NORMAL":
            what = "a power cut may lose the last scores (SCORELET_SQLITE_SYNCHRONOUS is NORMAL)"
            yield _good("synchronous_normal", what)
        return
    with engine.connect() as connection:
        commit = connection.execute(text("SHOW synchronous_commit")).scalar()
    if commit == "off":
        what = "a crash may lose acknowledged scores: synchronous_commit is off"
        yield _bad("synchronous_commit_off", what, "set it to on")


def _network(settings: Settings) -> Iterator[Finding]:
    for name in filter(None, map(str.strip, settings.trusted_proxies.split(","))):
        try:
            ipaddress.ip_network(name)
        except ValueError:
            advice = "name addresses or networks in SCORELET_TRUSTED_PROXIES"
            yield _bad("bad_proxy", f"{name!r} is no address of a proxy", advice)
    if not is_loopback(settings.host) and not settings.allowed_hosts:
        yield _good("any_host", "any name it is asked for by is answered (SCORELET_ALLOWED_HOSTS)")


def _privacy(settings: Settings) -> Iterator[Finding]:
    if settings.learner_key is None:
        what = "SCORELET_LEARNER_KEY is not set: learner ids are not stored, not even as pseudonyms"
        yield _good("learners_not_stored", what)
    else:
        yield _good("learners_as_pseudonyms", "learner ids are stored as pseudonyms")
    if settings.store_responses:
        yield _good("responses_kept", "responses are kept for review (SCORELET_STORE_RESPONSES)")
    else:
        yield _good("responses_not_kept", "responses are not kept (SCORELET_STORE_RESPONSES)")
