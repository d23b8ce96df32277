import json
import logging
import re
import sys

import pytest
from starlette.testclient import TestClient

from app.api.request_log import SECURITY_HEADERS
from app.logs import JsonFormatter, config, request_id
from tests.app.api.assertions import CANARY, assert_problem, body
from tests.app.conftest import MakeKey, Serve


def logged_fields(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [record.fields for record in caplog.records if record.name == "scorelet.request"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/livez", "/items", f"/{CANARY}"])
def test_every_reply_has_the_security_headers(client: TestClient, path: str) -> None:
    reply = client.get(path)

    for name, value in SECURITY_HEADERS:
        assert reply.headers[name.decode()] == value.decode()


def test_page_keeps_its_own_content_security_policy(client: TestClient) -> None:
    reply = client.get("/docs")

    assert "script-src 'self'" in reply.headers["content-security-policy"]
    assert reply.headers["x-frame-options"] == "DENY"


def test_request_id_of_the_caller_is_returned(client: TestClient) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "quiz-7.2_a"}).headers["x-request-id"] == "quiz-7.2_a"


@pytest.mark.parametrize("name", [b"", b"two words", b"a" * 65, "ü".encode()])
def test_invalid_request_id_is_replaced(client: TestClient, name: bytes) -> None:
    first, second = (client.get("/livez", headers={b"X-Request-ID": name}).headers["x-request-id"] for _ in range(2))

    assert re.fullmatch("[0-9a-f]{16}", first)
    assert first != second


def test_request_is_logged_in_one_line_without_its_content(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="scorelet.request")

    client.post("/score", json=body())
    client.get(f"/{CANARY}?{CANARY}")
    client.request("BREW", "/score")

    scored, unmatched, other = logged_fields(caplog)
    assert scored | {"ms": 0} == {"method": "POST", "route": "/score", "status": 200, "ms": 0}
    assert unmatched["route"] == "unmatched"
    assert (other["method"], other["status"]) == ("OTHER", 405)
    assert CANARY not in caplog.text


def test_successful_probes_are_not_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="scorelet.request")

    client.get("/livez")
    client.get("/readyz")

    assert logged_fields(caplog) == []


def test_log_line_is_json_with_the_request_id_and_without_exception_messages() -> None:
    record = logging.LogRecord("scorelet", logging.ERROR, "", 0, "failed %s", ("here",), None)
    try:
        raise ValueError(CANARY)
    except ValueError:
        record.exc_info = sys.exc_info()
    token = request_id.set("quiz-7")
    line = JsonFormatter().format(record)
    request_id.reset(token)

    fields = json.loads(line)
    assert "\n" not in line
    assert (fields["level"], fields["logger"], fields["message"]) == ("error", "scorelet", "failed here")
    assert fields["request_id"] == "quiz-7"
    assert re.match(r"ValueError at .*test_request_log\.py:\d+", fields["exception"])
    assert CANARY not in line
    assert "request_id" not in json.loads(JsonFormatter().format(record))


def test_uvicorn_logs_json() -> None:
    assert {name: logger["handlers"] for name, logger in config("INFO")["loggers"].items()} == {
        "scorelet": ["stderr"],
        "uvicorn": ["stderr"],
    }


def test_only_allowed_hosts_are_answered(serve: Serve, make_key: MakeKey) -> None:
    key = make_key("score").headers
    client = serve(allowed_hosts="scores.school.example, *.lan")

    for host in (
        "scores.school.example",
        "Scores.School.Example:8000",
        "a.lan",
        "127.0.0.1",
        "[::1]:8000",
        "localhost",
    ):
        assert client.get("/items", headers=key | {"Host": host}).status_code == 200, host
    for host in ("school.example", "lan", "evil.example", "scores.school.example.evil.example", ""):
        assert_problem(client.get("/items", headers=key | {"Host": host}), 400, "unknown-host")
