import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from app.storage.tables import Base
from tests.app.api.assertions import BOTH, assert_problem, body
from tests.app.conftest import Logged, MakeKey, Serve, Sql

CALLS = [
    ("POST", "/score"),
    ("POST", "/score/batch"),
    ("GET", "/items"),
    ("GET", "/items/heat-1"),
    ("GET", "/predictions"),
    ("GET", f"/predictions/{uuid.UUID(int=0)}"),
]
OPEN_TO_ALL = ["/livez", "/readyz", "/docs", "/redoc", "/openapi.json"]


@pytest.mark.parametrize(("caller", "base_url"), [
    ("127.0.0.1", "http://127.0.0.1"),
    ("127.0.0.1", "http://localhost:8000"),
    ("::1", "http://[::1]:8000"),
])  # fmt: skip
def test_without_keys_local_calls_are_answered(serve: Serve, caller: str, base_url: str) -> None:
    client = serve(caller=caller, base_url=base_url)

    assert client.post("/score", json=body()).status_code == 200
    assert client.get("/predictions").status_code == 200
    assert client.get("/readyz").json()["open"] is True


@pytest.mark.parametrize(
    ("caller", "base_url", "host"),
    [
        ("10.0.0.7", "http://127.0.0.1", "127.0.0.1"),  # a learner's tablet
        ("127.0.0.1", "http://192.168.1.5", "127.0.0.1"),  # the machine's address in the school's network
        ("127.0.0.1", "http://127.0.0.1", "scorelet.school.example"),  # through a proxy, or a rebound name
        ("127.0.0.1", "http://127.0.0.1", "localhost.school.example"),
        ("127.0.0.1", "http://127.0.0.1", "192.168.1.5:8000"),
        ("127.0.0.1", "http://127.0.0.1", "0.0.0.0"),  # noqa: S104
        ("127.0.0.1", "http://127.0.0.1", "a name?"),  # an unreadable name does not count as ours
        ("127.0.0.1", "http://127.0.0.1", "school.example:80:80"),
        ("127.0.0.1", "http://127.0.0.1", "[::1"),
        ("127.0.0.1", "http://127.0.0.1", "school@localhost"),
        ("not-an-address", "http://127.0.0.1", "127.0.0.1"),
    ],
)
def test_without_keys_remote_calls_are_refused(
    serve: Serve, logged: Logged, caller: str, base_url: str, host: str
) -> None:
    client = serve(caller=caller, base_url=base_url)

    reply = client.post("/score", json=body(), headers={"Host": host})

    assert_problem(reply, 401, "unauthorized", "open_to_this_machine_only")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert logged() == []


@pytest.mark.parametrize("header", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"])
def test_without_keys_proxied_calls_are_refused(client: TestClient, logged: Logged, header: str) -> None:
    """The header alone shows that a proxy passed the call on, whatever its value."""
    reply = client.post("/score", json=body(), headers={header: "127.0.0.1"})

    assert_problem(reply, 401, "unauthorized", "open_to_this_machine_only")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert logged() == []


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_call_needs_a_key_once_a_key_exists(
    client: TestClient, make_key: MakeKey, method: str, path: str
) -> None:
    make_key("score", "review")

    reply = client.request(method, path, json=body() if method == "POST" else None)

    assert_problem(reply, 401, "unauthorized", "key_needed")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@BOTH
def test_revoking_the_only_key_does_not_open_the_service(client: TestClient, make_key: MakeKey) -> None:
    before = client.post("/score", json=body())
    make_key("score", revoked=True)

    after = client.post("/score", json=body())

    assert before.status_code == 200
    assert_problem(after, 401, "unauthorized")
    assert client.get("/readyz").json()["open"] is False


@pytest.mark.parametrize("path", OPEN_TO_ALL)
def test_probes_and_documentation_need_no_key(serve: Serve, make_key: MakeKey, path: str) -> None:
    make_key("score")

    assert serve(caller="10.0.0.7").get(path).status_code == 200


@BOTH
def test_key_admits_remote_callers(serve: Serve, make_key: MakeKey, logged: Logged) -> None:
    key = make_key("score", expires_at=datetime.now(UTC) + timedelta(hours=1))

    reply = serve(caller="10.0.0.7", base_url="https://scorelet.school.example").post(
        "/score", json=body(), headers=key.headers
    )

    assert reply.status_code == 200
    assert [row.key_id for row in logged()] == [key.id]


@BOTH
def test_revoked_key_is_refused(client: TestClient, make_key: MakeKey) -> None:
    reply = client.post("/score", json=body(), headers=make_key("score", revoked=True).headers)

    assert_problem(reply, 401, "unauthorized", "key_revoked")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@BOTH
def test_expired_key_is_refused(client: TestClient, make_key: MakeKey) -> None:
    key = make_key("score", expires_at=datetime.now(UTC) - timedelta(seconds=1))

    reply = client.post("/score", json=body(), headers=key.headers)

    assert_problem(reply, 401, "unauthorized", "key_expired")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("key_exists", [True, False])
@pytest.mark.parametrize("secret", ["wrong", "é", "x" * 5000, "a b"])
def test_unknown_key_is_refused(client: TestClient, make_key: MakeKey, *, key_exists: bool, secret: str) -> None:
    """Refuse a wrong key also while the service is open."""
    if key_exists:
        make_key("score")

    reply = client.get("/items", headers={b"Authorization": f"Bearer {secret}".encode("latin-1")})

    problem = assert_problem(reply, 401, "unauthorized", "key_unknown")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert secret not in problem["detail"].split()


@pytest.mark.parametrize("authorization", ["Basic c2Nob29sOnNlY3JldA==", "Bearer", "{secret}", "Token {secret}"])
def test_key_is_accepted_as_bearer_token_only(client: TestClient, make_key: MakeKey, authorization: str) -> None:
    key = make_key("score")

    reply = client.get("/items", headers={"Authorization": authorization.format(secret=key.secret)})

    assert_problem(reply, 401, "unauthorized")


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("score", {"/score", "/score/batch", "/items", "/items/heat-1"}),
        ("review", {"/predictions", "/items", "/items/heat-1"}),
    ],
)
@pytest.mark.parametrize(("method", "path"), CALLS[:5])
def test_key_is_confined_to_its_scope(
    client: TestClient, make_key: MakeKey, scope: str, allowed: set[str], method: str, path: str
) -> None:
    sent = {"/score": body(), "/score/batch": {"responses": [body()]}}.get(path)

    reply = client.request(method, path, json=sent, headers=make_key(scope).headers)

    if path in allowed:
        assert reply.status_code == 200
    else:
        assert_problem(reply, 403, "forbidden", "scope_lacking")


@pytest.mark.parametrize("path", ["/score", "/score/batch", f"/predictions/{uuid.UUID(int=0)}/review"])
def test_body_of_an_unauthorized_caller_is_not_read(serve: Serve, make_key: MakeKey, path: str) -> None:
    """Parsing megabytes costs seconds, and the rest of an aborted body stayed in memory."""
    metrics = make_key("metrics")
    client = serve()
    read: list[bytes] = []

    def pieces() -> Iterator[bytes]:
        read.append(b"{}")
        yield b"{}"

    for headers in ({}, metrics.headers):
        reply = client.post(path, content=pieces(), headers={"Content-Type": "application/json"} | headers)
        assert reply.status_code in (401, 403)

    assert read == []


@BOTH
def test_score_key_reads_its_own_predictions_and_review_key_reads_all(client: TestClient, make_key: MakeKey) -> None:
    in_the_open = client.post("/score", json=body()).json()["prediction_id"]
    owner, other, reviewer = make_key("score"), make_key("score"), make_key("review")
    scored = client.post("/score", json=body(), headers=owner.headers).json()["prediction_id"]

    assert client.get(f"/predictions/{scored}", headers=owner.headers).json()["prediction_id"] == scored
    for prediction_id in (scored, in_the_open):
        refused = client.get(f"/predictions/{prediction_id}", headers=other.headers)
        assert_problem(refused, 404, "unknown-prediction")
        assert client.get(f"/predictions/{prediction_id}", headers=reviewer.headers).status_code == 200


@BOTH
def test_prediction_of_another_caller_looks_like_an_unknown_prediction(client: TestClient, make_key: MakeKey) -> None:
    owner, other = make_key("score"), make_key("score")
    scored, none = client.post("/score", json=body(), headers=owner.headers).json()["prediction_id"], str(uuid.uuid4())

    refused, missing = (client.get(f"/predictions/{each}", headers=other.headers) for each in (scored, none))

    assert refused.status_code == missing.status_code == 404
    assert refused.text.replace(scored, none) == missing.text


@BOTH
def test_database_holds_only_the_hash_of_a_key(client: TestClient, make_key: MakeKey, sql: Sql) -> None:
    key = make_key("score")
    client.post("/score", json=body(), headers=key.headers | {"Idempotency-Key": "quiz-7"})

    held = {table: sql(f"SELECT * FROM {table}") for table in Base.metadata.tables}  # noqa: S608

    assert key.secret not in repr(held)
    assert [row["sha256"] for row in held["api_keys"]] == [hashlib.sha256(key.secret.encode()).hexdigest()]


def test_bad_body_without_a_key_is_unauthorized(client: TestClient, make_key: MakeKey) -> None:
    make_key("score")

    assert_problem(client.post("/score", json=body(canary=1)), 401, "unauthorized")
