"""Start the service on tiny bundles and a fresh database, and read the database without the service."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Engine, NullPool, create_engine, select, text
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.concurrency.time_limits import TimeLimits
from app.main import create_app
from app.settings import Settings
from app.storage import api_keys
from app.storage.database import connect
from app.storage.tables import LoggedPrediction
from tests.app.commands import Commands
from tests.tiny import write_tiny_bundle
from tests.waiting import HANGS

LEARNER_KEY = "this school's own secret"
PATIENT = TimeLimits(lock=HANGS, database=HANGS, probe=HANGS, end=HANGS)  # no wait ends early
ITEMS: dict[str, dict[str, Any]] = {
    "heat-1": {},  # 0..3 points by the number of words, confidence .91 for 1 and 2
    "plants-2": {"item": {"scale": "ordinal", "labels": ["missing", "partial", "complete"]}},
    "belief-3": {"item": {"scale": "nominal", "labels": ["no idea", "heat is a thing", "air moves"]}},
    "tides-4": {"mode": "suggest"},
    "moon-5": {"threshold": 0.99},  # above any confidence of a tiny student
    "shade-6": {"item": {"scale": "continuous", "min_score": 1, "max_score": 6}},  # 1.25 a word, 4 words at most
}


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name in os.environ if name.startswith("SCORELET_")]
    for name in names:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for item_id, differs in ITEMS.items():
        write_tiny_bundle(folder, item_id, **differs)
    return folder


@pytest.fixture
def models(tiny_models: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny bundles that the test may change."""
    return Path(shutil.copytree(tiny_models, tmp_path / "models"))


@pytest.fixture
def served_models(tiny_models: Path, request: pytest.FixtureRequest) -> Path:
    """Return the folder that the service reads: `models` for a test that names it, else the shared folder uncopied."""
    models: Path = request.getfixturevalue("models") if "models" in request.fixturenames else tiny_models
    return models


class Serve(Protocol):
    def __call__(
        self,
        *,
        caller: str = "127.0.0.1",
        base_url: str = "http://127.0.0.1",
        time_limits: TimeLimits = PATIENT,
        **settings: Any,
    ) -> TestClient: ...


@pytest.fixture
def serve(served_models: Path, database_url: str) -> Iterator[Serve]:
    """Yield a function that starts the service on the current content of `models` and the database."""
    with ExitStack() as stack:

        def start(
            *,
            caller: str = "127.0.0.1",
            base_url: str = "http://127.0.0.1",
            time_limits: TimeLimits = PATIENT,
            **settings: Any,
        ) -> TestClient:
            given = {"models_dir": served_models, "database_url": database_url, "feedback_timeout": HANGS} | settings
            app = create_app(Settings.model_validate(given), time_limits)
            client = TestClient(
                app,
                base_url=base_url,
                client=(caller, 50000),
                raise_server_exceptions=False,
                backend_options={"use_uvloop": True},  # as `scorelet serve` runs
            )
            return stack.enter_context(client)

        yield start


@pytest.fixture
def client(serve: Serve) -> TestClient:
    """Return a client on the same machine, while there is no key."""
    return serve()


@pytest.fixture
def settings(models: Path, database_url: str) -> dict[str, Any]:
    """Return the environment of commands on the test's bundles and database."""
    return {
        "SCORELET_MODELS_DIR": models,
        "SCORELET_DATABASE_URL": database_url,
        "SCORELET_LEARNER_KEY": LEARNER_KEY,
    }


@pytest.fixture
def commands(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(monkeypatch, capsys, **settings)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Yield an engine like the service's."""
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def outside(database_url: str) -> Iterator[Engine]:
    """Yield an engine on the service's database with other connections than the service's."""
    engine = create_engine(database_url, poolclass=NullPool)
    yield engine
    engine.dispose()


class Sql(Protocol):
    def __call__(self, statement: str) -> list[dict[str, Any]]: ...


@pytest.fixture
def sql(outside: Engine) -> Sql:
    def run(statement: str) -> list[dict[str, Any]]:
        with outside.begin() as connection:
            result = connection.execute(text(statement))
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    return run


class Locked(Protocol):
    def __call__(self, table: str) -> AbstractContextManager[None]: ...


@pytest.fixture
def locked(outside: Engine) -> Locked:
    """Return a context that locks a table against reading and writing; on SQLite, the database against writing."""

    @contextmanager
    def lock(table: str) -> Iterator[None]:
        statement = f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"
        if outside.dialect.name == "sqlite":
            statement = "BEGIN IMMEDIATE"
        with outside.connect() as connection:
            connection.exec_driver_sql(statement)
            yield

    return lock


class Logged(Protocol):
    def __call__(self) -> list[LoggedPrediction]: ...


@pytest.fixture
def logged(outside: Engine) -> Logged:
    """Return a function that reads every committed prediction, oldest first."""

    def read() -> list[LoggedPrediction]:
        with Session(outside) as session:
            return list(session.scalars(select(LoggedPrediction).order_by(LoggedPrediction.created_at)))

    return read


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}


class MakeKey(Protocol):
    def __call__(
        self,
        *scopes: str,
        expires_at: datetime | None = None,
        revoked: bool = False,
        responses_a_minute: int | None = None,
        replaces: str | None = None,
    ) -> Key: ...


@pytest.fixture
def make_key(outside: Engine) -> MakeKey:
    def make(
        *scopes: str,
        expires_at: datetime | None = None,
        revoked: bool = False,
        responses_a_minute: int | None = None,
        replaces: str | None = None,
    ) -> Key:
        valid_scopes = map(api_keys.Scope, scopes)
        with Session(outside) as session, session.begin():
            key, secret = api_keys.create(session, "a school", valid_scopes, expires_at, responses_a_minute, replaces)
            session.flush()
            if revoked:
                api_keys.revoke(session, key.id)
            return Key(key.id, secret)

    return make
