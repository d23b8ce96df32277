import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, NullPool, create_engine, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.api.problems import BadRequest
from app.api.score import _canonical
from app.main import create_app
from app.settings import Settings
from app.storage.tables import LoggedPrediction
from tests.app.api.assertions import CANARY, assert_problem, body
from tests.app.conftest import PATIENT, Logged
from tests.refusals import refused

JSON = {"Content-Type": "application/json"}
HUGE = "9" * 5000
NOT_ITEMS = [
    "asap-99",
    "../heat-1",
    "../../etc/passwd",
    "%2e%2e%2fheat-1",
    "/etc/passwd",
    "C:\\models\\heat-1",
    "heat-1/20260101T000000Z-00000001",
    ".",
    "..",
    "_teachers",
    "heat-1\0",
    "heat-1\n",
    "HEAT-1",
    "темп-1",
]


@pytest.fixture(scope="module")
def refusing_database(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Return the database of `refusing_client`."""
    engine = create_engine(
        f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path_factory.mktemp('refusing'))}", poolclass=NullPool
    )
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def refusing_client(tiny_models: Path, refusing_database: Engine) -> Iterator[TestClient]:
    """Return a client of one service for all bodies that it refuses, since none of these leaves a trace."""
    with a_client(tiny_models, str(refusing_database.url)) as client:
        yield client


def a_client(models: Path, database_url: str) -> TestClient:
    app = create_app(Settings(models_dir=models, database_url=database_url), PATIENT)
    return TestClient(
        app,
        base_url="http://127.0.0.1",
        client=("127.0.0.1", 50000),
        raise_server_exceptions=False,
        backend_options={"use_uvloop": True},
    )


def short(value: object) -> str | None:
    """Return a test id of readable length."""
    return repr(value[:40]) if isinstance(value, bytes) else None


def raw(text: str) -> bytes:
    """Return a body in bytes; `text` stands for the response, quotes included."""
    return f'{{"item_id": "heat-1", "response": {text}}}'.encode()


@pytest.mark.parametrize(
    ("sent", "status", "kind"),
    [
        (b"", 422, "invalid-request"),
        (CANARY.encode(), 422, "invalid-request"),  # not JSON
        (raw(f'"{CANARY}')[:-1], 422, "invalid-request"),  # cut off
        (f'"{CANARY}"'.encode(), 422, "invalid-request"),
        (f'["{CANARY}"]'.encode(), 422, "invalid-request"),
        (b"null", 422, "invalid-request"),
        (b"{}", 422, "invalid-request"),
        (raw(f'["{CANARY}"]'), 422, "invalid-request"),
        (raw(f'{{"text": "{CANARY}"}}'), 422, "invalid-request"),
        (raw("1"), 422, "invalid-request"),
        (raw("null"), 422, "invalid-request"),
        (raw(f'"{CANARY}\\u0000"'), 422, "invalid-request"),
        (raw(f'"{CANARY}\\ud800"'), 422, "invalid-request"),  # half a surrogate pair
        (raw(f'"\\udc00{CANARY}"'), 422, "invalid-request"),
        (raw(f'"{CANARY * 35_000}"'), 422, "invalid-request"),  # 1 MB
        (raw(f'"{CANARY}", "{CANARY}": 1'), 422, "invalid-request"),  # a field's name may be a learner's text
        (raw(f'"{CANARY}", "\\ud800": 1'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "gradebook_max": NaN'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "gradebook_max": Infinity'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "gradebook_max": -Infinity'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "gradebook_max": 1e999'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "gradebook_max": 0'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "gradebook_max": -1'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "gradebook_max": "{CANARY}"'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "gradebook_max": {HUGE[:400]}'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "gradebook_max": {HUGE}'), 400, "bad-request"),  # more digits than Python converts
        (raw(f'"{CANARY}", "learner_id": "\\ud800"'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "learner_id": ""'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "learner_id": " "'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "attempt_id": "  \\t"'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "attempt_id": "{CANARY * 10}"'), 422, "invalid-request"),
        (raw(f'"{CANARY}", "attempt_id": "\\u0000"'), 422, "invalid-request"),
        (raw(f'"{CANARY}"').replace(b"sings", b"\xff\xfe"), 400, "bad-request"),  # not UTF-8
        (raw("[" * 100_000), 400, "bad-request"),
        (raw("[" * 5_000 + f'"{CANARY}"' + "]" * 5_000), 400, "bad-request"),
        (b'{"item_id": "\\ud800", "response": "' + CANARY.encode() + b'"}', 422, "invalid-request"),
        (json.dumps(body(item_id="a" * 10_000)).encode(), 422, "invalid-request"),
        (json.dumps(body(item_id="")).encode(), 422, "invalid-request"),
        (json.dumps(body(item_id=None)).encode(), 422, "invalid-request"),
        *((json.dumps(body(item_id=item_id)).encode(), 404, "unknown-item") for item_id in NOT_ITEMS),
    ],
    ids=short,
)
@pytest.mark.parametrize("once", [False, True])
def test_invalid_body_gets_its_problem_and_is_not_echoed(
    refusing_client: TestClient, refusing_database: Engine, sent: bytes, status: int, kind: str, once: bool
) -> None:
    headers = JSON | ({"Idempotency-Key": str(uuid.uuid4())} if once else {})

    reply = refusing_client.post("/score", content=sent, headers=headers)

    assert_problem(reply, status, kind)
    assert len(reply.content) < 1000
    with Session(refusing_database) as session:
        assert session.scalars(select(LoggedPrediction)).all() == []


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
@pytest.mark.parametrize("path", ["/score", "/score/batch", f"/predictions/{uuid.UUID(int=0)}/review"])
def test_body_with_another_content_type_is_refused(refusing_client: TestClient, content_type: str, path: str) -> None:
    reply = refusing_client.post(path, content=json.dumps(body()), headers={"Content-Type": content_type})

    assert_problem(reply, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "sent",
    [
        {"responses": CANARY},
        {"responses": {CANARY: CANARY}},
        {"responses": None},
        {"responses": [body()], CANARY: 1},
        [body()],
        {},
    ],
)
def test_invalid_batch_gets_its_problem_and_is_not_echoed(refusing_client: TestClient, sent: object) -> None:
    assert_problem(refusing_client.post("/score/batch", json=sent), 422, "invalid-request")


def test_faults_are_named_by_place_and_code(client: TestClient) -> None:
    reply = client.post("/score", json={"item_id": "heat-1", "gradebook_max": 0, CANARY: 1})

    problem = assert_problem(reply, 422, "invalid-request")
    assert sorted((error["where"], error["code"]) for error in problem["errors"]) == [
        ("body.(an unknown field)", "extra_forbidden"),
        ("body.gradebook_max", "greater_than"),
        ("body.response", "missing"),
    ]
    assert all(error["reason"] for error in problem["errors"])


def test_deep_nesting_is_never_a_5xx(client: TestClient) -> None:
    """Parsing, hashing and validation have a bound each, and no depth may slip between them."""
    statuses = {
        client.post(
            "/score/batch",
            content='{"responses": [' + "[" * depth + "]" * depth + "]}",
            headers=JSON | {"Idempotency-Key": f"depth-{depth}"},
        ).status_code
        for depth in range(880, 1010, 2)
    }

    assert statuses == {200, 400}


def test_body_too_deep_to_hash_is_a_client_error() -> None:
    """The bound depends on the depth of the stack; 5,000 levels are over it in any case."""
    body: list[object] = []
    for _ in range(5000):
        body = [body]

    with refused(BadRequest, "nested_too_deep"):
        _canonical(body, set())

    assert BadRequest.status == 400


def test_every_script_and_the_longest_response_are_accepted(client: TestClient, logged: Logged) -> None:
    texts = ["warme Luft steigt auf", "热空气上升", "الهواء الساخن يرتفع", "🔥⬆️", "é\u0301\u202e", "ы" * 20_000]

    replies = [client.post("/score", json=body(response=text)) for text in texts]

    assert [reply.status_code for reply in replies] == [200] * len(texts)
    assert [row.response for row in logged()] == texts


@pytest.fixture(scope="module")
def shared_client(
    tiny_models: Path, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """Return a client for Hypothesis, which runs a test many times with the fixture."""
    database = shutil.copy(migrated_sqlite, tmp_path_factory.mktemp("hypothesis"))
    with a_client(tiny_models, f"sqlite:///{database}") as client:
        yield client


TEXTS = st.text(st.characters(), max_size=40)  # lone surrogates included
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {"item_id": st.sampled_from(["heat-1", "plants-2", "belief-3", "shade-6"]) | VALUES, "response": TEXTS | VALUES},
    optional={
        "learner_id": VALUES,
        "attempt_id": TEXTS | VALUES,
        "gradebook_max": st.floats() | st.integers() | VALUES,
        "feedback": VALUES,
    },
)
PATHS = st.sampled_from(["/score", "/score/batch"])


@given(sent=st.binary(max_size=200), path=PATHS)
@settings(max_examples=100, deadline=None, database=None)
def test_random_bytes_are_never_a_5xx(shared_client: TestClient, sent: bytes, path: str) -> None:
    reply = shared_client.post(path, content=sent, headers=JSON)

    assert 400 <= reply.status_code < 500
    assert reply.headers["content-type"] == "application/problem+json"


@given(
    sent=VALUES | NEARLY | st.fixed_dictionaries({"responses": VALUES | st.lists(VALUES | NEARLY, max_size=4)}),
    path=PATHS,
    once=st.booleans(),
)
@settings(max_examples=200, deadline=None, database=None)
def test_random_json_is_never_a_5xx(shared_client: TestClient, sent: object, path: str, once: bool) -> None:
    headers = JSON | ({"Idempotency-Key": str(uuid.uuid4())} if once else {})

    reply = shared_client.post(path, content=json.dumps(sent), headers=headers)

    assert reply.status_code < 500
    if path == "/score/batch" and reply.status_code == 200:
        assert all(result.get("status", 200) < 500 for result in reply.json()["results"])
