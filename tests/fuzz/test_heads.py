"""Send odd headers, queries, paths and bodies: no reply is a 5xx, and every refusal is a problem document."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.fuzz.cases import TEXTS, VALUES, altered, cases, damaged
from tests.tiny import write_tiny_bundle

BODY = {"item_id": "heat-1", "response": "warm air", "learner_id": "x", "gradebook_max": 10, "feedback": True}
MARK = {"score": 2, "reviewer": "A. Teacher", "reason": "It is."}
SOME_ID = "0197a3c2-5e1b-7c44-9a57-3d1f6f0f2b11"
# HTTP servers refuse line ends and NUL in headers.
WILD = st.binary(max_size=60).map(lambda raw: raw.translate(None, b"\0\r\n").strip())
HEADERS: dict[str, list[bytes]] = {
    "authorization": [b"Bearer sk", b"bearer  x", b"Bearer", b"Basic eDp5", b"Bearer \xff", b"Bearer " + b"9" * 5000],
    "idempotency-key": [b"quiz-7", b"", b" ", b"a b", b"\xff", b"k" * 255, b"k" * 256, b"9" * 5000],
    "prefer": [b"wait=0", b"wait=-1", b"wait=" + b"9" * 5000, b"wait", b'wait="0"', b"respond-async, wait=0;x"],
    "content-type": [b"application/json", b"application/json;charset=utf-16", b"text/json", b"application/x+json", b""],
    "content-length": [b"0", b"-1", b"1e3", b"9" * 5000, b"\xb2"],
    "host": [b"127.0.0.1", b"127.0.0.1:x", b"[::1", b"", b"a" * 5000, b"127.0.0.1\xff"],
    "accept": [b"text/html", b"*/*;q=x"],
    "content-encoding": [b"gzip"],
    "expect": [b"100-continue"],
    "x-forwarded-for": [b"127.0.0.1"],
    "traceparent": [b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00"],
}  # fmt: skip
HEADS = st.lists(
    st.sampled_from(list(HEADERS)).flatmap(
        lambda name: st.tuples(st.just(name.encode()), st.sampled_from(HEADERS[name]) | WILD)
    ),
    max_size=4,
)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(["item_id", "decision", "marked", "cursor", "limit"]) | TEXTS,
        st.sampled_from(["heat-1", "auto", "true", SOME_ID, "500", "501", "0", "-1", "9" * 5000, "1.0", "null", "²"])
        | TEXTS,
    ),
    max_size=5,
).map(lambda pairs: [(_sendable(name), _sendable(value)) for name, value in pairs])
SEGMENTS = st.sampled_from([SOME_ID, SOME_ID.upper(), SOME_ID.replace("-", ""), "heat-1", "..", "%2e%2e", "%00", "%"])
PATHS = SEGMENTS | TEXTS.map(lambda text: quote(_sendable(text), safe=""))


def _sendable(text: str) -> str:
    return text.encode(errors="replace").decode()


@pytest.fixture(scope="module")
def client(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("heads")
    write_tiny_bundle(folder / "models")
    (folder / "log.db").write_bytes(migrated_sqlite.read_bytes())
    app = create_app(Settings(models_dir=folder / "models", database_url=f"sqlite:///{folder / 'log.db'}"))
    caller = ("127.0.0.1", 50000)
    with TestClient(app, base_url="http://127.0.0.1", client=caller, raise_server_exceptions=False) as client:
        yield client


def answered(reply: Any) -> None:
    assert reply.status_code < 500, reply.text
    if reply.status_code >= 400:
        assert reply.headers["content-type"] == "application/problem+json"
        assert {*reply.json()} <= {"type", "code", "title", "status", "detail", "errors"}
        assert len(reply.content) < 5000


@given(heads=HEADS, path=st.sampled_from(["/score", "/score/batch", f"/predictions/{SOME_ID}/review", "/items"]))
@cases(150)
def test_odd_headers_cause_no_server_error(client: TestClient, heads: list[tuple[bytes, bytes]], path: str) -> None:
    body: object = {"responses": [BODY]} if path == "/score/batch" else MARK if "review" in path else BODY
    headers = dict(heads)

    answered(client.request("GET" if path == "/items" else "POST", path, content=json.dumps(body), headers=headers))


@given(queries=QUERIES, path=st.sampled_from(["/predictions", "/items", "/metrics", "/readyz"]))
@cases(100)
def test_odd_queries_cause_no_server_error(
    client: TestClient, queries: list[tuple[str, str | int | float | bool | None]], path: str
) -> None:
    answered(client.get(path, params=queries))


@given(path=PATHS, template=st.sampled_from(["/items/{}", "/predictions/{}", "/static/{}", "/{}", "/score/{}"]))
@cases(100)
def test_odd_paths_cause_no_server_error(client: TestClient, path: str, template: str) -> None:
    answered(client.get(template.format(path)))


@given(
    content=(altered(MARK) | VALUES).map(lambda mark: json.dumps(mark).encode()) | damaged(json.dumps(MARK).encode()),
    exists=st.booleans(),
)
@cases(100)
def test_odd_marks_cause_no_server_error(client: TestClient, content: bytes, exists: bool) -> None:
    """FastAPI reads this body; tests/app/api/test_schemas.py covers the bodies of scores."""
    marked = client.post("/score", json=BODY).json()["prediction_id"] if exists else str(uuid.uuid4())
    headers = {"Content-Type": "application/json"}

    answered(client.post(f"/predictions/{marked}/review", content=content, headers=headers))


@given(body=altered(BODY), batch=st.booleans(), once=st.none() | WILD)
@cases(100)
def test_nearly_right_bodies_cause_no_server_error(
    client: TestClient, body: Any, batch: bool, once: bytes | None
) -> None:
    headers = {} if once is None else {b"Idempotency-Key": once}

    reply = client.post(
        "/score/batch" if batch else "/score",
        content=json.dumps({"responses": [body, BODY]} if batch else body),
        headers={b"Content-Type": b"application/json"} | headers,
    )

    answered(reply)
    if batch and reply.status_code == 200:
        assert [result.get("status", 200) < 500 for result in reply.json()["results"]] == [True, True]
