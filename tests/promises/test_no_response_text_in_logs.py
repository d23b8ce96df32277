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


def test_marker_in_every_field_of_failing_calls_appears_nowhere(service: Service) -> None:
    call, errors = service.call, list[Reply]()

    def failed(status: int, reply: Reply) -> None:
        assert reply.status == status, reply.text
        errors.append(reply)

    scored = call("POST", "/score", body(), Idempotency_Key="quiz-7")
    assert scored.status == 200
    review = f"/predictions/{json.loads(scored.text)['prediction_id']}/review"
    assert call("POST", review, {"reviewer": MARKER, "score": 1, "reason": MARKER}).status == 201
    for status, content in SCORES:
        failed(status, call("POST", "/score", content))
        failed(status, call("POST", "/score", content, Idempotency_Key=f"once-{len(errors)}"))
    for status, content in MARKS:
        failed(status, call("POST", review, content))
    for path in ("/score", "/score/batch", review):
        failed(415, call("POST", path, body(), Content_Type=MARKER))
        failed(415, call("POST", path, MARKER.encode(), Content_Type=f"text/plain; charset={MARKER}"))
        failed(401, call("POST", path, body(), Authorization=f"Bearer {MARKER}"))
        failed(401, call("POST", path, body(), Authorization=MARKER))
        failed(405, call("PUT", path, body()))
    for path in ("/score", "/score/batch", review):
        failed(403, call("POST", path, body(), Authorization=f"Bearer {service.metrics_key}"))
    for host in (MARKER_WORDS[0], f"{MARKER}.example"):
        failed(400, call("POST", "/score", body(), Host=host))
    assert call("POST", "/score", body(), Authorization=f"Bearer {service.slow_key}").status == 200
    failed(429, call("POST", "/score", body(), Authorization=f"Bearer {service.slow_key}"))
    assert "431" in service.raw(f"GET /livez HTTP/1.1\r\n{MARKER_WORDS[0]}: {MARKER * 3000}\r\n".encode())
    failed(409, call("POST", "/score", body(response=f"{MARKER}!"), Idempotency_Key="quiz-7"))
    failed(422, call("POST", "/score", body(), Idempotency_Key=MARKER))
    failed(422, call("POST", "/score", body(), Idempotency_Key=MARKER * 20))
    failed(422, call("POST", "/score/batch", {"responses": MARKER, MARKER: MARKER}))
    failed(500, call("POST", "/score/batch", {"responses": [SCORES[-1][1]]}))
    batch = call("POST", "/score/batch", {"responses": [content for status, content in SCORES[:8] if status == 422]})
    assert batch.status == 200
    errors.append(batch)  # its results are all errors
    spelt = quote(MARKER)
    for path in ("/items/{}", "/{}", "/static/{}", "/score/{}"):
        failed(404, call("GET", path.format(spelt)))
    failed(422, call("GET", f"/predictions/{spelt}"))
    failed(404, call("GET", f"/predictions/00000000-0000-0000-0000-000000000000?{spelt}={spelt}"))
    for name in ("item_id", "decision", "marked", "cursor", "limit"):
        failed(422, call("GET", f"/predictions?{name}={spelt}"))
    failed(422, call("GET", f"/predictions?item_id=heat-1&{spelt}={spelt}"))
    service.raw(f"{MARKER} /{MARKER} HTTP/9\r\n{MARKER}\r\n\r\n{MARKER}".encode())
    service.raw(f"POST /score HTTP/1.1\r\nHost: {MARKER_WORDS[0]}\r\nContent-Length: {MARKER}\r\n\r\n{MARKER}".encode())
    service.raw(
        f"POST /score HTTP/1.1\r\nHost: x\r\nUpgrade: {MARKER_WORDS[0]}\r\nConnection: upgrade\r\n\r\n".encode()
    )
    assert call("GET", "/metrics").status == 200
    metrics = call("GET", "/metrics")

    with sqlite3.connect(service.database) as database:
        database.execute("ALTER TABLE predictions RENAME TO gone")
    failed(503, call("POST", "/score", body()))
    failed(503, call("POST", "/score", body(), Idempotency_Key="another"))
    failed(503, call("POST", "/score/batch", {"responses": [body()]}))
    failed(503, call("POST", review, {"reviewer": MARKER, "score": 1}))
    failed(503, call("GET", f"/predictions?attempt_id={spelt}"))

    with sqlite3.connect(service.database) as database:
        assert {text for (text,) in database.execute("SELECT response FROM gone")} == {MARKER}  # the log keeps it
    said = service.said.read_text()
    codes = {json.loads(line).get("code") for line in said.splitlines() if line.startswith("{")}
    assert codes >= {"unforeseen", "database_failed"}  # so the errors were logged
    assert found_in(said) == []
    assert found_in(metrics.text) == []
    assert [reply for reply in errors if found_in(reply.text)] == []
    assert {reply.status for reply in errors} >= {400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503}


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
