"""Examine an installation, and say how to fix each problem."""

import ipaddress
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.scoring.decision import LiveItem
from app.scoring.registry import Registry
from app.service.feedback.model_pool import live_feedback
from app.settings import Settings, is_loopback
from app.storage import api_keys
from app.storage.database import BadUrl, connect, file_of, head_revision
from app.storage.health import exposed_files, schema_problem, write_problem
from app.storage.problems import DatabaseProblem
from app.storage.upgrade import rehearse

MIN_FREE = 256 * 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact about the installation, good or bad.  A bad finding has advice: a command or words."""

    code: str
    good: bool
    sentence: str
    advice: str | None = None


def examine(settings: Settings, *, min_free: int = MIN_FREE) -> list[Finding]:
    """Return every finding, good or bad.  A SQLite file needs `min_free` bytes on its disk."""
    return [
        *_bundles(settings),
        *_feedback(settings),
        *_database(settings, min_free),
        *_network(settings),
        *_privacy(settings),
    ]


def _good(code: str, sentence: str) -> Finding:
    return Finding(code, True, sentence)


def _bad(code: str, sentence: str, advice: str) -> Finding:
    return Finding(code, False, sentence, advice)


def _bundles(settings: Settings) -> Iterator[Finding]:
    folder = settings.models_dir
    if not folder.is_dir():
        sentence = f"the folder of bundles {folder.absolute()} does not exist"
        yield _bad("no_models_folder", sentence, "set SCORELET_MODELS_DIR to the folder of bundles")
        return
    registry = Registry.from_folder(folder)
    sentence = f"{len(registry.live)} items ready in {folder}"
    if registry.live:
        yield _good("items_ready", sentence)
    else:
        yield _bad("no_items_ready", sentence, "train items with `scorelet-train run`, or set SCORELET_MODELS_DIR")
    needed = registry.student_cache.bytes // 2**20
    if registry.student_cache.bytes > settings.students_mib * 2**20:
        sentence = f"students need about {needed} MiB, but SCORELET_STUDENTS_MIB is {settings.students_mib}"
        yield _good("students_read_again", f"{sentence}: some are loaded again when requested")
    yield from _refused(registry)
    for item_id, live in sorted(registry.live.items()):
        yield from _live_item(item_id, live)


def _refused(registry: Registry) -> Iterator[Finding]:
    for item_id, reason in registry.refused.items():
        command = f"`scorelet bundle activate {item_id} VERSION --by NAME`"
        advice = f"copy its bundle again, or make a sound version live: {command}"
        yield _bad("item_refused", f"item {item_id} is refused: {reason}", advice)
    for item_id, reason in registry.without_teacher.items():
        advice = (
            f"`scorelet bundle activate {item_id} --by NAME --fall-back unsure` for the newest teacher, or "
            f"`scorelet bundle activate {item_id} --by NAME --fall-back never` for none; until then unsure responses "
            "go to a reviewer"
        )
        yield _bad("item_without_teacher", f"item {item_id} has no teacher to fall back on: {reason}", advice)


def _live_item(item_id: str, live: LiveItem) -> Iterator[Finding]:
    if live.without_shadow:
        sentence = f"item {item_id} has no version in its shadow: {live.without_shadow}"
        advice = f"`scorelet bundle shadow {item_id} --by NAME`, or `scorelet bundle shadow {item_id} --by NAME --off`"
        yield _bad("item_without_shadow", sentence, advice)
    if (rule := live.active.blank_is_worst) is not None:
        sentence = f"item {item_id} gives blank responses and refusals the worst score, by {rule.by}: {rule.reason}"
        yield _good("item_blank_is_worst", sentence)
    if live.active.mode == "auto" and live.bundle.threshold is None:
        sentence = f"item {item_id} is in mode auto without a threshold: every score goes to a reviewer"
        yield _good("item_without_threshold", sentence)


def _feedback(settings: Settings) -> Iterator[Finding]:
    live, refused = live_feedback(settings.models_dir)
    for files, active in live:
        sentence = f"feedback model {files.bundle.name} writes for {len(files.items)} items, by {active.by}"
        yield _good("feedback_model", sentence)
    for name, reason in refused.items():
        advice = (
            f"copy it again, make a sound version live (`scorelet feedback activate {name} VERSION --by NAME "
            f"--reason TEXT`), or withdraw it (`scorelet feedback off {name}`); until then the feedback bank is used"
        )
        yield _bad("feedback_model_refused", f"feedback model {name} is refused: {reason}", advice)


def _database(settings: Settings, min_free: int) -> Iterator[Finding]:
    try:
        engine = connect(settings.database_url.get_secret_value())
    except BadUrl as error:
        advice = "set it to a URL like sqlite:///scorelet.db"
        yield _bad("bad_database_url", f"SCORELET_DATABASE_URL is {error}", advice)
        return
    name = engine.dialect.name
    try:
        if problem := _problem_of(engine):
            yield _bad(problem.code, f"{name}: {problem.sentence}", problem.advice)
            return
        yield _good("database_ready", f"{name} answers, and its tables are up to date")
        yield from _durability(engine, settings, min_free)
        with Session(engine) as session:
            any_key = api_keys.any_exist(session)
    finally:
        engine.dispose()
    yield _access(settings, any_key)


def _access(settings: Settings, any_key: bool) -> Finding:
    if any_key:
        return _good("keys_made", "API keys exist: every call needs a key")
    if is_loopback(settings.host):
        return _good("service_open", "there is no API key: the service is open, to this machine only")
    sentence = f"there is no API key, so the service will not start on {settings.host}"
    return _bad("no_key_made", sentence, "run `scorelet keys create NAME --scope score`")


def _problem_of(engine: Engine) -> DatabaseProblem | None:
    """Return the problem that keeps the database from being used.  Advise an upgrade only if it would succeed."""
    problem = schema_problem(engine, head_revision())
    if problem is None:
        return write_problem(engine)
    if problem.code in ("database_empty", "database_older"):
        return rehearse(engine) or problem
    return problem


def _durability(engine: Engine, settings: Settings, min_free: int) -> Iterator[Finding]:
    if engine.dialect.name == "sqlite":
        yield from _sqlite_file(engine, min_free)
        if settings.sqlite_synchronous == "NORMAL":
            sentence = "a power cut may lose the last scores (SCORELET_SQLITE_SYNCHRONOUS is NORMAL)"
            yield _good("synchronous_normal", sentence)
        return
    with engine.connect() as connection:
        commit = connection.execute(text("SHOW synchronous_commit")).scalar()
    if commit == "off":
        sentence = "a crash may lose acknowledged scores (synchronous_commit is off)"
        yield _bad("synchronous_commit_off", sentence, "set synchronous_commit to on")


def _sqlite_file(engine: Engine, min_free: int) -> Iterator[Finding]:
    if exposed := exposed_files(engine):
        names = " ".join(map(str, exposed))
        sentence = f"every user of this machine can read learners' responses: {names}"
        yield _bad("database_readable_by_others", sentence, f"chmod 600 {names}")
    free = shutil.disk_usage(file_of(engine).parent).free
    sentence = f"the disk of the database has {free // 2**20} MiB free"
    if free >= min_free:
        yield _good("disk_free", sentence)
    else:
        yield _bad("disk_full", sentence, "free some space: a full disk stops scoring")


def _network(settings: Settings) -> Iterator[Finding]:
    for name in filter(None, map(str.strip, settings.trusted_proxies.split(","))):
        try:
            ipaddress.ip_network(name)
        except ValueError:
            sentence = f"{name!r} in SCORELET_TRUSTED_PROXIES is neither an address nor a network"
            yield _bad("bad_proxy", sentence, "list IP addresses or networks, separated by commas")
    if not is_loopback(settings.host) and not settings.allowed_hosts:
        yield _good("any_host", "requests for any host name are answered (SCORELET_ALLOWED_HOSTS)")


def _privacy(settings: Settings) -> Iterator[Finding]:
    if settings.learner_key is None:
        sentence = "learner ids are not stored, not even as pseudonyms (SCORELET_LEARNER_KEY is not set)"
        yield _good("learners_not_stored", sentence)
    else:
        yield _good("learners_as_pseudonyms", "learner ids are stored as pseudonyms")
    if settings.store_responses:
        yield _good("responses_kept", "responses are stored for review (SCORELET_STORE_RESPONSES)")
    else:
        yield _good("responses_not_kept", "responses are not stored (SCORELET_STORE_RESPONSES)")
