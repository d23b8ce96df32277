"""Promise 5: a response's text never reaches logs or errors.

Calls that succeed and calls that fail in every way hold a marker in every field and header.  The marker must appear
neither in the process's output, nor in an error reply, nor in the metrics.
"""

import http.client
import json
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from onnx import TensorProto, helper

from app.scoring.errors import BadRows
from app.scoring.registry import Registry
from app.scoring.row_files import read_rows
from app.scoring.score_file import check_rows
from tests.programs import run, serving
from tests.tiny import of_words, write_tiny_bundle
from tests.waiting import HANGS

MARKER = "zebra quagga okapi"
MARKER_WORDS = ("zebra", "quagga", "okapi")  # none may appear, however the rest is escaped
MAX_WORDS = 40  # of a response to the item `frail`
JSON = {"Content-Type": "application/json"}
MARKED = {
    "User-Agent": MARKER,
    "Prefer": f"wait={MARKER}",
    "X-Request-Id": MARKER,
    "Cookie": MARKER,
    MARKER.split()[0]: "1",
}
SCOPES = ("--scope", "score", "--scope", "review", "--scope", "metrics")
MAX_BYTES = 30_000


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Service:
    host: str
    port: int
    key: str
    slow_key: str  # limited to one response a minute
    metrics_key: str
    said: Path
    database: Path

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send a request with the key and marked headers; `headers` override them (`_` for `-`)."""
        given = MARKED | JSON | {"Authorization": f"Bearer {self.key}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=HANGS)
        try:
            connection.request(method, path, content, given)
            reply = connection.getresponse()
            return Reply(reply.status, reply.read().decode())
        finally:
            connection.close()

    def raw(self, content: bytes) -> str:
        with socket.create_connection((self.host, self.port), timeout=HANGS) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    write_tiny_bundle(tmp_path / "models")
    write_tiny_bundle(tmp_path / "models", "frail", student=frail_onnx())
    settings: dict[str, Any] = {
        "SCORELET_MODELS_DIR": tmp_path / "models",
        "SCORELET_DATABASE_URL": f"sqlite:///{tmp_path / 'log.db'}",
        "SCORELET_MAX_BODY_BYTES": MAX_BYTES,
        "SCORELET_LEARNER_KEY": "sixteen characters or more",
    }
    assert run("scorelet", "db", "upgrade", **settings).returncode == 0
    settings["SCORELET_ALLOWED_HOSTS"] = "scores.example"
    key, slow, metrics = (
        run("scorelet", "keys", "create", "x", *options, **settings).stdout.strip()
        for options in (SCOPES, ("--scope", "score", "--rate", "1"), ("--scope", "metrics"))
    )
    said = tmp_path / "said.txt"
    with serving(said=said, **settings) as (_, address):
        host, _, port = address.removeprefix("http://").rpartition(":")
        yield Service(host, int(port), key, slow, metrics, said, tmp_path / "log.db")


def frail_onnx() -> bytes:
    """Return a student that fails beyond MAX_WORDS words."""
    nodes = [
        helper.make_node("Cast", ["words"], ["count"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "count"], ["found"], axis=0),
        helper.make_node("Reshape", ["found", "shape"], ["logits"]),
    ]
    constants = {"table": np.zeros((MAX_WORDS, 4), np.float32), "shape": np.array([-1, 4], np.int64)}
    return of_words(nodes, constants, [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])])


def body(**changes: Any) -> dict[str, Any]:
    return {"item_id": "heat-1", "response": MARKER, "learner_id": MARKER, "attempt_id": MARKER} | changes


SCORES: list[tuple[int, object]] = [
    (422, body(**{MARKER: MARKER})),
    (422, body(response=f"{MARKER}\0")),
    (422, body(response=[MARKER])),
    (422, body(response={MARKER: MARKER})),
    (422, body(response=MARKER * 1200)),
    (422, body(learner_id=[MARKER], attempt_id={MARKER: 1}, gradebook_max=MARKER, feedback=MARKER)),
    (422, body(item_id=[MARKER])),
    (422, body(item_id=MARKER * 20)),
    (422, [MARKER]),
    (422, MARKER),
    (422, json.dumps(body()).encode()[:-3]),
    (400, json.dumps(body()).encode() + b"\xff"),
    (400, b"[" * 20_000 + MARKER.encode()),
    (413, body(response=MARKER * 2000)),
    (404, body(item_id=MARKER)),
    (404, body(item_id=f"heat-1/{MARKER}")),
    (500, body(item_id="frail", response=" ".join([MARKER] * MAX_WORDS))),
]  # fmt: skip
MARKS: list[tuple[int, object]] = [
    (422, {"reviewer": MARKER, "score": 99, "reason": MARKER}),
    (422, {"reviewer": MARKER, "label": MARKER}),
    (422, {"reviewer": [MARKER], "score": MARKER, "reason": {MARKER: MARKER}, MARKER: MARKER}),
    (422, {"reviewer": f"{MARKER}\0", "score": 1}),
    (422, json.dumps({"reviewer": MARKER}).encode()[:-1]),
    (400, json.dumps({"reviewer": MARKER}).encode() + b"\xff"),
    (413, {"reviewer": MARKER, "reason": MARKER * 2000}),
]


class Failures:
    """Calls that must fail, and their replies."""

    def __init__(self, service: Service) -> None:
        self.call = service.call
        self.replies: list[Reply] = []

    def expect(self, status: int, method: str, path: str, content: object = None, **headers: str) -> None:
        reply = self.call(method, path, content, **headers)
        assert reply.status == status, reply.text
        self.replies.append(reply)


def test_marker_in_every_field_of_failing_calls_appears_nowhere(service: Service) -> None:
    failures = Failures(service)
    review = scored_and_reviewed(service)

    send_bad_bodies(failures, review)
    send_bad_headers(failures, review, service)
    send_bad_batches(failures)
    send_bad_addresses(failures)
    send_bad_http(service)
    assert service.call("GET", "/metrics").status == 200
    metrics = service.call("GET", "/metrics")
    break_the_database(failures, review, service)

    with sqlite3.connect(service.database) as database:
        assert {text for (text,) in database.execute("SELECT response FROM gone")} == {MARKER}  # the log keeps it
    output = service.said.read_text()
    codes = {json.loads(line).get("code") for line in output.splitlines() if line.startswith("{")}
    assert codes >= {"unforeseen", "database_failed"}  # so the errors were logged
    assert found_in(output) == []
    assert found_in(metrics.text) == []
    assert [reply for reply in failures.replies if found_in(reply.text)] == []
    statuses = {reply.status for reply in failures.replies}
    assert statuses >= {400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503}


def scored_and_reviewed(service: Service) -> str:
    """Score and mark a response; return the path of its review."""
    scored = service.call("POST", "/score", body(), Idempotency_Key="quiz-7")
    assert scored.status == 200
    review = f"/predictions/{json.loads(scored.text)['prediction_id']}/review"
    mark = {"reviewer": MARKER, "score": 1, "reason": MARKER}
    assert service.call("POST", review, mark).status == 201
    return review


def send_bad_bodies(failures: Failures, review: str) -> None:
    for number, (status, content) in enumerate(SCORES):
        failures.expect(status, "POST", "/score", content)
        failures.expect(status, "POST", "/score", content, Idempotency_Key=f"once-{number}")
    for status, content in MARKS:
        failures.expect(status, "POST", review, content)


def send_bad_headers(failures: Failures, review: str, service: Service) -> None:
    for path in ("/score", "/score/batch", review):
        failures.expect(415, "POST", path, body(), Content_Type=MARKER)
        failures.expect(415, "POST", path, MARKER.encode(), Content_Type=f"text/plain; charset={MARKER}")
        failures.expect(401, "POST", path, body(), Authorization=f"Bearer {MARKER}")
        failures.expect(401, "POST", path, body(), Authorization=MARKER)
        failures.expect(405, "PUT", path, body())
        failures.expect(403, "POST", path, body(), Authorization=f"Bearer {service.metrics_key}")
    for host in (MARKER_WORDS[0], f"{MARKER}.example"):
        failures.expect(400, "POST", "/score", body(), Host=host)
    slow = f"Bearer {service.slow_key}"
    assert service.call("POST", "/score", body(), Authorization=slow).status == 200
    failures.expect(429, "POST", "/score", body(), Authorization=slow)
    failures.expect(409, "POST", "/score", body(response=f"{MARKER}!"), Idempotency_Key="quiz-7")
    failures.expect(422, "POST", "/score", body(), Idempotency_Key=MARKER)
    failures.expect(422, "POST", "/score", body(), Idempotency_Key=MARKER * 20)


def send_bad_batches(failures: Failures) -> None:
    failures.expect(422, "POST", "/score/batch", {"responses": MARKER, MARKER: MARKER})
    failures.expect(500, "POST", "/score/batch", {"responses": [SCORES[-1][1]]})
    invalid = [content for status, content in SCORES[:8] if status == 422]
    failures.expect(200, "POST", "/score/batch", {"responses": invalid})  # its results are all errors


def send_bad_addresses(failures: Failures) -> None:
    quoted = quote(MARKER)
    for path in ("/items/{}", "/{}", "/static/{}", "/score/{}"):
        failures.expect(404, "GET", path.format(quoted))
    failures.expect(422, "GET", f"/predictions/{quoted}")
    failures.expect(404, "GET", f"/predictions/00000000-0000-0000-0000-000000000000?{quoted}={quoted}")
    for name in ("item_id", "decision", "marked", "cursor", "limit"):
        failures.expect(422, "GET", f"/predictions?{name}={quoted}")
    failures.expect(422, "GET", f"/predictions?item_id=heat-1&{quoted}={quoted}")


def send_bad_http(service: Service) -> None:
    word = MARKER_WORDS[0]
    assert "431" in service.raw(f"GET /livez HTTP/1.1\r\n{word}: {MARKER * 3000}\r\n".encode())
    service.raw(f"{MARKER} /{MARKER} HTTP/9\r\n{MARKER}\r\n\r\n{MARKER}".encode())
    service.raw(f"POST /score HTTP/1.1\r\nHost: {word}\r\nContent-Length: {MARKER}\r\n\r\n{MARKER}".encode())
    service.raw(f"POST /score HTTP/1.1\r\nHost: x\r\nUpgrade: {word}\r\nConnection: upgrade\r\n\r\n".encode())


def break_the_database(failures: Failures, review: str, service: Service) -> None:
    with sqlite3.connect(service.database) as database:
        database.execute("ALTER TABLE predictions RENAME TO gone")
    failures.expect(503, "POST", "/score", body())
    failures.expect(503, "POST", "/score", body(), Idempotency_Key="another")
    failures.expect(503, "POST", "/score/batch", {"responses": [body()]})
    failures.expect(503, "POST", review, {"reviewer": MARKER, "score": 1})
    failures.expect(503, "GET", f"/predictions?attempt_id={quote(MARKER)}")


def found_in(text: str) -> list[str]:
    return [word for word in MARKER_WORDS if word in text.lower()]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"item_id,response\n{MARKER},heat-1\n"),  # columns exchanged
        ("a.csv", f"heat-1,{MARKER}\nheat-1,{MARKER}\n"),  # without column names
        ("a.csv", f"item_id,response\nheat-1,{MARKER},{MARKER}\n"),
        ("a.csv", f'item_id,response\nheat-1,"{MARKER}\n'),
        ("a.csv", f'item_id,response\nheat-1,"{MARKER}"{MARKER}\n'),
        ("a.jsonl", f'{{"item_id": "{MARKER}", "response": "{MARKER}"}}\n'),
        ("a.jsonl", f'{{"item_id": "heat-1", "response": ["{MARKER}"]}}\n'),
        ("a.jsonl", f'{{"item_id": "heat-1", "response": "{MARKER}\\u0000"}}\n'),
        ("a.jsonl", f'{{"item_id": "heat-1", "response": "{MARKER}}}\n'),
        ("a.jsonl", f'"{MARKER}"\n'),
        ("a.jsonl", f"{MARKER}\n"),
    ],
)
def test_marker_in_an_invalid_file_is_not_printed(tmp_path: Path, name: str, content: str) -> None:
    write_tiny_bundle(tmp_path / "models")
    (tmp_path / name).write_text(content)

    registry = Registry.from_folder(tmp_path / "models")

    with pytest.raises(BadRows) as refused:
        check_rows(registry, read_rows(tmp_path / name))

    assert found_in(str(refused.value)) == []
