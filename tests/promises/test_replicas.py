"""Two services of two processes each, on one PostgreSQL and one folder of bundles, behave like a single service."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from app.scoring.live_version import activate
from app.storage.database import connect
from tests.conftest import MIGRATED, Postgres
from tests.programs import NO_TLS, run, serving
from tests.tiny import write_tiny_bundle
from tests.waiting import HANGS, until

OLD, NEW = "20260101T000000Z-00000001", "20260202T000000Z-00000002"
BODY = {"item_id": "heat-1", "response": "warm air"}
TRIES = 16  # with a connection each: every one of the four processes is met


class Replicas:
    def __init__(self, addresses: list[str], settings: dict[str, Any], database_url: str, models: Path) -> None:
        self.settings, self.models = settings, models
        self._addresses, self._engine = addresses, connect(database_url)
        self.key_id, self.secret = self.make_key("score", "review")

    def make_key(self, *scopes: str) -> tuple[str, str]:
        named = [word for scope in scopes for word in ("--scope", scope)]
        created = run("scorelet", "keys", "create", "a school", *named, **self.settings)
        return created.stderr.split()[1], created.stdout.strip()

    def ask(self, number: int, method: str, path: str, secret: str = "", **more: Any) -> httpx2.Response:
        """Send a request to one of the two services, by number, on a new connection."""
        headers = {"Authorization": f"Bearer {secret or self.secret}"} | more.pop("headers", {})
        with httpx2.Client(trust_env=False, timeout=HANGS, verify=NO_TLS) as client:
            url = self._addresses[number % len(self._addresses)] + path
            return client.request(method, url, headers=headers, **more)

    def all(self, method: str, path: str, secret: str = "", **more: Any) -> list[httpx2.Response]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda number: self.ask(number, method, path, secret, **more), range(TRIES)))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def close(self) -> None:
        self._engine.dispose()


@pytest.fixture(scope="module")
def replicas(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    models = tmp_path_factory.mktemp("replicas") / "models"
    write_tiny_bundle(models)
    url = postgres.create("replicas", MIGRATED)
    settings: dict[str, Any] = {"SCORELET_MODELS_DIR": models, "SCORELET_DATABASE_URL": url}
    settings |= {"SCORELET_WORKERS": 2, "SCORELET_RELOAD_SECONDS": 0.2}
    with ExitStack() as stack:
        addresses = [stack.enter_context(serving(**settings))[1] for _ in range(2)]
        started = Replicas(addresses, settings, url, models)
        stack.callback(started.close)
        until(lambda: all(reply.status_code == 200 for reply in started.all("GET", "/items")))
        yield started
    postgres.drop("replicas")


def test_idempotency_key_is_done_once_on_all_replicas(replicas: Replicas) -> None:
    replies = replicas.all("POST", "/score", json=BODY, headers={"Idempotency-Key": "quiz-7"})

    assert {reply.status_code for reply in replies} == {200}
    [prediction_id] = {reply.json()["prediction_id"] for reply in replies}
    assert replicas.rows("SELECT prediction_id FROM predictions") == [(prediction_id,)]
    conflicting = replicas.all(
        "POST", "/score", json=BODY | {"response": "cold"}, headers={"Idempotency-Key": "quiz-7"}
    )
    assert {reply.status_code for reply in conflicting} == {409}


def test_revoked_key_ends_on_all_replicas(replicas: Replicas) -> None:
    key_id, secret = replicas.make_key("score")
    assert {reply.status_code for reply in replicas.all("GET", "/items", secret)} == {200}
    asked = time.monotonic()

    assert run("scorelet", "keys", "revoke", key_id, **replicas.settings).returncode == 0

    time.sleep(max(0.0, asked + 1.1 - time.monotonic()))  # the second for which a key may be known
    statuses = {reply.status_code for reply in replicas.all("GET", "/items", secret)}
    assert statuses == {401}


def test_human_mark_is_seen_on_all_replicas(replicas: Replicas) -> None:
    scored = replicas.ask(0, "POST", "/score", json=BODY).json()
    path = f"/predictions/{scored['prediction_id']}"

    marked = replicas.ask(1, "POST", f"{path}/review", json={"score": 1, "reviewer": "Ana"})

    assert marked.status_code == 201
    finals = [reply.json()["final"] for reply in replicas.all("GET", path)]
    assert [(final["by"], final["score"]) for final in finals] == [("human", 1)] * TRIES


def test_marked_attempt_is_for_review_on_all_replicas(replicas: Replicas) -> None:
    attempt = BODY | {"attempt_id": "quiz-8"}
    scored = replicas.ask(0, "POST", "/score", json=attempt).json()
    replicas.ask(1, "POST", f"/predictions/{scored['prediction_id']}/review", json={"score": 1, "reviewer": "Ana"})

    newer = [reply.json() for reply in replicas.all("POST", "/score", json=attempt)]

    assert {(reply["decision"], *reply["flags"]) for reply in newer} == {("review", "marked_before")}


def test_new_version_goes_live_on_all_replicas_and_is_recorded_once(replicas: Replicas) -> None:
    def versions() -> set[str]:
        return {reply.json()["bundle_version"] for reply in replicas.all("POST", "/score", json=BODY)}

    assert versions() == {OLD}
    write_tiny_bundle(replicas.models, version=NEW)
    until(lambda: versions() == {NEW})
    activate(replicas.models / "heat-1", OLD, by="Ana", reason="worse")
    until(lambda: versions() == {OLD})

    noted = replicas.rows("SELECT version, by FROM seen_activations ORDER BY at")
    assert [version for version, _ in noted] == [OLD, NEW, OLD]
    assert noted[-1] == (OLD, "Ana")


def test_counts_cover_all_processes(replicas: Replicas) -> None:
    """The metrics page of a service is the same from each of its processes."""
    _, secret = replicas.make_key("metrics")

    def scored(number: int) -> float:
        page = replicas.ask(number, "GET", "/metrics", secret).text
        [line] = [
            line
            for line in page.splitlines()
            if line.startswith('scorelet_requests_total{route="/score",status="200"}')
        ]
        return float(line.split()[-1])

    for number in (0, 1):
        assert len({scored(number) for _ in range(6)}) == 1
    before = scored(0) + scored(1)
    replicas.all("POST", "/score", json=BODY)
    assert scored(0) + scored(1) == before + TRIES
