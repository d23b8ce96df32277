import hashlib
import hmac
import uuid
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.storage.tables import Base
from tests.app.api.assertions import BOTH, CANARY, assert_problem, body, read_prediction
from tests.app.conftest import PATIENT, Locked, Logged, Serve, Sql
from tests.waiting import until

LEARNER, LEARNER_KEY = "anna.schmidt@school.example", "this school's own secret"


def pages(client: TestClient, **query: Any) -> list[list[dict[str, Any]]]:
    read: list[list[dict[str, Any]]] = []
    while True:
        page = client.get("/predictions", params=query).json()
        read.append(page["predictions"])
        if page["next"] is None:
            return read
        assert page["next"] != query.get("cursor"), "the cursor stands still"
        query["cursor"] = page["next"]


def fill(client: TestClient, *item_ids: str) -> None:
    rows = [body(item_id=item_id, response=f"air number {n}") for n, item_id in enumerate(item_ids)]
    assert client.post("/score/batch", json={"responses": rows}).status_code == 200


@BOTH
def test_prediction_can_be_read_from_the_log(client: TestClient) -> None:
    scored = client.post("/score", json=body(attempt_id="quiz-7", gradebook_max=10)).json()

    read = read_prediction(client, scored)

    assert read.items() >= scored.items()
    assert (read["response"], read["attempt_id"], read["gradebook_max"]) == (CANARY, "quiz-7", 10)
    assert read["created_at"].endswith("Z")


@pytest.mark.parametrize("prediction_id", ["nope", "..", "%00", "1" * 10_000, "0197a3c2-5e1b-7c44-9a57-3d1f6f0f2b1"])
def test_malformed_prediction_id_is_refused(client: TestClient, prediction_id: str) -> None:
    reply = client.get(f"/predictions/{prediction_id}".replace("..", "%2e%2e"))

    assert_problem(reply, 422, "invalid-request")


@BOTH
def test_unknown_prediction_is_not_found(client: TestClient) -> None:
    assert_problem(client.get(f"/predictions/{uuid.uuid4()}"), 404, "unknown-prediction")


@BOTH
def test_log_is_filtered_by_learner_and_attempt(serve: Serve) -> None:
    client = serve(learner_key=LEARNER_KEY)
    for learner, attempt in (("anna", "quiz-7"), ("anna", "quiz-8"), ("ben", "quiz-7")):
        client.post("/score", json=body(learner_id=learner, attempt_id=attempt))
    pseudonym = hmac.new(LEARNER_KEY.encode(), b"anna", hashlib.sha256).hexdigest()

    def attempts(**query: str) -> list[str]:
        [page] = pages(client, **query)
        return [prediction["attempt_id"] for prediction in page]

    assert sorted(attempts(learner_hash=pseudonym)) == ["quiz-7", "quiz-8"]
    assert attempts(attempt_id="quiz-7") == ["quiz-7", "quiz-7"]
    assert attempts(learner_hash=pseudonym, attempt_id="quiz-7") == ["quiz-7"]
    for wrong in ("\0" * 64, pseudonym[1:], pseudonym.upper() + "0"):  # PostgreSQL takes no NUL
        assert client.get("/predictions", params={"learner_hash": wrong}).status_code == 422
    assert attempts(attempt_id="quiz-9") == []


@pytest.mark.parametrize("name", ["learner_id", "attempt", "Item_id", "markd"])
def test_unknown_filter_is_refused(client: TestClient, name: str) -> None:
    """An ignored filter would return every row."""
    fill(client, "heat-1")

    assert_problem(client.get("/predictions", params={name: "x"}), 422, "invalid-request")


@BOTH
def test_log_is_newest_first(client: TestClient) -> None:
    ids = [client.post("/score", json=body()).json()["prediction_id"] for _ in range(3)]

    [page] = pages(client)

    assert {prediction["prediction_id"] for prediction in page} == set(ids)
    times = [prediction["created_at"] for prediction in page]
    assert times == sorted(times, reverse=True)


@BOTH
@pytest.mark.parametrize("limit", [1, 4, 5, 10, 11])
def test_pages_hold_every_row_once(client: TestClient, logged: Logged, limit: int) -> None:
    fill(client, *["heat-1"] * 10)

    read = pages(client, limit=limit)

    ids = [prediction["prediction_id"] for page in read for prediction in page]
    assert ids == sorted((row.prediction_id for row in logged()), reverse=True)
    assert all(len(page) == limit for page in read[:-1])


@BOTH
def test_pages_hold_every_row_once_while_new_rows_arrive(client: TestClient, logged: Logged) -> None:
    fill(client, *["heat-1"] * 20)
    before = {row.prediction_id for row in logged()}

    ids: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = client.get("/predictions", params=query).json()
        ids += [prediction["prediction_id"] for prediction in page["predictions"]]
        fill(client, "heat-1", "plants-2")
        if page["next"] is None:
            break
        assert page["next"] != query.get("cursor"), "the cursor stands still"
        query["cursor"] = page["next"]

    assert len(ids) == len(set(ids))
    assert before == set(ids)
    assert len(logged()) > len(before)


@BOTH
@pytest.mark.parametrize(
    ("query", "item_ids"),
    [
        ({"item_id": "heat-1"}, ["heat-1"] * 3),
        ({"item_id": "asap-99"}, []),
        ({"decision": "review"}, ["tides-4"] * 2),
        ({"decision": "not_scorable"}, []),
        ({"item_id": "heat-1", "decision": "auto"}, ["heat-1"] * 3),
        ({"item_id": "heat-1", "decision": "review"}, []),
    ],
)
def test_filters_hold_on_every_page(client: TestClient, query: dict[str, str], item_ids: list[str]) -> None:
    fill(client, "heat-1", "tides-4", "heat-1", "tides-4", "heat-1")

    read = [prediction for page in pages(client, **query, limit=2) for prediction in page]

    assert [prediction["item_id"] for prediction in read] == item_ids


@BOTH
@pytest.mark.parametrize(
    "query",
    [
        "item_id=",
        "item_id=%00",
        "item_id=heat-1%00",
        "item_id=" + "a" * 129,
        "item_id=%ff",
        "item_id=%ed%a0%80",  # a lone surrogate in UTF-8
        "item_id=..%2fheat-1",
        "item_id=' OR 1=1 --",
        "decision=maybe",
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=" + "9" * 5000,
        "limit=ten",
        "cursor=yesterday",
        "cursor=%00",
    ],
)
def test_invalid_query_is_a_problem(client: TestClient, query: str) -> None:
    assert_problem(client.get(f"/predictions?{query}"), 422, "invalid-request")


def everything(sql: Sql) -> str:
    return repr([sql(f"SELECT * FROM {table}") for table in Base.metadata.tables])  # noqa: S608


@BOTH
def test_learner_id_is_stored_only_as_a_keyed_hash(serve: Serve, sql: Sql, logged: Logged) -> None:
    client = serve(learner_key=LEARNER_KEY)
    sent = body(learner_id=LEARNER)

    single = client.post("/score", json=sent, headers={"Idempotency-Key": "quiz-7"})
    batch = client.post("/score/batch", json={"responses": [sent]}, headers={"Idempotency-Key": "quiz-8"})
    log = client.get("/predictions")

    pseudonym = hmac.new(LEARNER_KEY.encode(), LEARNER.encode(), hashlib.sha256).hexdigest()
    assert [row.learner_hash for row in logged()] == [pseudonym, pseudonym]
    assert LEARNER not in everything(sql) + single.text + batch.text + log.text
    assert hashlib.sha256(LEARNER.encode()).hexdigest() not in everything(sql)  # a plain hash can be guessed


@BOTH
def test_learner_id_is_not_stored_without_a_learner_key(client: TestClient, sql: Sql, logged: Logged) -> None:
    reply = client.post("/score", json=body(learner_id=LEARNER), headers={"Idempotency-Key": "quiz-7"})

    assert [row.learner_hash for row in logged()] == [None]
    assert LEARNER not in everything(sql) + reply.text
    assert hashlib.sha256(LEARNER.encode()).hexdigest() not in everything(sql)


@BOTH
def test_no_text_is_stored_without_store_responses(serve: Serve, sql: Sql) -> None:
    client = serve(store_responses=False)

    scored = client.post("/score", json=body(), headers={"Idempotency-Key": "quiz-7"}).json()
    client.post("/score/batch", json={"responses": [body(), CANARY]}, headers={"Idempotency-Key": "quiz-8"})

    assert CANARY not in everything(sql)
    assert read_prediction(client, scored)["response"] is None


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_silent_database_is_given_up_after_a_time_limit(serve: Serve, locked: Locked) -> None:
    client = serve()
    hasty = serve(time_limits=replace(PATIENT, database=0.01))
    number = client.post("/score", json=body()).json()["prediction_id"]

    with locked("predictions"):
        replies = [
            hasty.get("/predictions"),
            hasty.get(f"/predictions/{number}"),
            hasty.post(f"/predictions/{number}/review", json={"score": 1, "reviewer": "Ana"}),
        ]

    for reply in replies:
        assert_problem(reply, 503, "database-unavailable")
    until(lambda: not hasty.app_state["engine"].pool.checkedout())  # by abandoned threads
