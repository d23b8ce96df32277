import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.app.api.assertions import BOTH, CANARY, assert_problem, body, read_prediction
from tests.app.conftest import Logged, MakeKey, Serve, Sql
from tests.conftest import Postgres
from tests.refusals import log_lines
from tests.tiny import write_tiny_bundle

ONCE = {"Idempotency-Key": "quiz-7/attempt-2"}


def batch(*responses: object) -> dict[str, Any]:
    return {"responses": list(responses)}


def score(client: TestClient, response: str, item_id: str = "heat-1", **more: Any) -> dict[str, Any]:
    reply = client.post("/score", json={"item_id": item_id, "response": response} | more)
    assert reply.status_code == 200, reply.text
    scored: dict[str, Any] = reply.json()
    return scored


def test_reply_for_points_has_every_field(client: TestClient) -> None:
    reply = score(client, "warm air", gradebook_max=10)

    assert uuid.UUID(reply.pop("prediction_id")).version == 7
    assert reply == {
        "item_id": "heat-1",
        "bundle_version": "20260101T000000Z-00000001",
        "scored_by": "student",
        "score": 2,
        "label": None,
        "expected_score": pytest.approx(2, abs=1e-3),
        "max_score": 3,
        "gradebook_score": 20 / 3,
        "probabilities": [pytest.approx(p, abs=1e-4) for p in (0.0, 0.0453, 0.9094, 0.0453)],
        "interval": None,
        "prediction_set": [1, 2, 3],  # each has a probability of at least .02
        "confidence": pytest.approx(0.9094, abs=1e-4),
        "first_score": None,
        "teacher": None,
        "decision": "auto",
        "condition": None,
        "flags": [],
        "feedback": None,
        "feedback_withheld": None,
        "grading_progress": "FullyGraded",
    }


@pytest.mark.parametrize(
    ("response", "rank", "label"),
    [("light", 1, "partial"), ("light and water", 2, "complete")],
)
def test_ordinal_item_has_a_label_and_its_rank_as_score(
    client: TestClient, response: str, rank: int, label: str
) -> None:
    reply = score(client, response, "plants-2", gradebook_max=5)

    assert (reply["score"], reply["label"], reply["max_score"]) == (rank, label, 2)
    assert reply["expected_score"] == pytest.approx(rank, abs=0.1)
    assert reply["gradebook_score"] == 5 * rank / 2


def test_nominal_item_has_a_label_and_no_score(client: TestClient) -> None:
    reply = score(client, "heat", "belief-3", gradebook_max=5)

    assert reply["label"] == "heat is a thing"
    scores = ("score", "expected_score", "max_score", "gradebook_score")
    assert [reply[name] for name in scores] == [None] * 4
    assert len(reply["probabilities"]) == 3
    assert reply["confidence"] == max(reply["probabilities"])
    assert reply["decision"] == "auto"


@pytest.mark.parametrize(
    ("item_id", "response", "wanted"),
    [
        ("heat-1", "air", [0, 1, 2]),
        ("heat-1", "warm air goes up", [2, 3]),
        ("plants-2", "light and water", ["partial", "complete"]),
        ("belief-3", "heat", ["no idea", "heat is a thing", "air moves"]),
    ],
)
def test_prediction_set_is_returned_and_logged_in_order(
    client: TestClient, logged: Logged, item_id: str, response: str, wanted: list[int] | list[str]
) -> None:
    reply = score(client, response, item_id)

    assert reply["prediction_set"] == wanted
    assert read_prediction(client, reply)["prediction_set"] == wanted
    assert [row.prediction_set for row in logged()] == [wanted]


def test_numeric_labels_stay_labels(models: Path, serve: Serve) -> None:
    write_tiny_bundle(models, "marks-7", item={"scale": "ordinal", "labels": ["0", "1", "2"]})
    client = serve()

    reply = score(client, "air", "marks-7")

    assert reply["prediction_set"] == ["0", "1", "2"]
    assert read_prediction(client, reply)["prediction_set"] == ["0", "1", "2"]


@pytest.mark.parametrize("item_id", ["heat-1", "plants-2", "belief-3"])
@pytest.mark.parametrize("response", ["", "  \n\t", "\u200b\u00a0"])  # empty, white space, invisible characters
def test_blank_response_is_not_scorable(client: TestClient, item_id: str, response: str) -> None:
    reply = score(client, response, item_id, gradebook_max=10)

    nulls = ("score", "label", "expected_score", "probabilities", "prediction_set", "confidence", "gradebook_score")
    assert [reply[name] for name in nulls] == [None] * 7
    assert (reply["decision"], reply["condition"], reply["scored_by"]) == ("not_scorable", "blank", "rule")
    assert reply["grading_progress"] == "PendingManual"


@pytest.mark.parametrize(
    ("item_id", "decision", "progress"),
    [
        ("heat-1", "auto", "FullyGraded"),
        ("tides-4", "review", "PendingManual"),  # in mode suggest every score is reviewed
        ("moon-5", "review", "PendingManual"),  # confidence below the threshold
    ],
)
def test_mode_and_threshold_decide(client: TestClient, item_id: str, decision: str, progress: str) -> None:
    reply = score(client, "warm air", item_id)

    assert (reply["decision"], reply["grading_progress"]) == (decision, progress)
    assert reply["score"] == 2


@pytest.mark.parametrize(
    ("words", "gradebook_max", "gradebook_score"),
    [
        (3, 10, 10.0),
        (1, 10, 10 / 3),
        (9, 3, 3.0),
        (3, 0.3333333, 0.3333333),  # full marks are exactly the maximum
        (1, 1, 1 / 3),
        (1, 1_000_000, 1_000_000 / 3),
        (2, None, None),
    ],
)
def test_gradebook_score_stays_on_its_scale(
    client: TestClient, words: int, gradebook_max: float | None, gradebook_score: float | None
) -> None:
    reply = score(client, "air " * words, gradebook_max=gradebook_max)

    assert reply["gradebook_score"] == gradebook_score


@BOTH
def test_row_is_committed_before_the_reply(client: TestClient, logged: Logged) -> None:
    reply = score(client, "warm air", attempt_id="quiz-7/attempt-2", gradebook_max=10)

    [row] = logged()
    recorded = {name: getattr(row, name) for name in reply if name != "grading_progress"}
    assert recorded == {name: value for name, value in reply.items() if name != "grading_progress"}
    assert (row.response, row.attempt_id, row.gradebook_max) == ("warm air", "quiz-7/attempt-2", 10)
    assert row.created_at.tzinfo is not None


@BOTH
def test_blank_response_is_logged_with_sql_nulls(client: TestClient, sql: Sql) -> None:
    score(client, " ")

    assert sql("SELECT response FROM predictions WHERE probabilities IS NULL AND score IS NULL") == [{"response": " "}]


def test_batch_keeps_the_order_and_equals_single_calls(client: TestClient) -> None:
    texts = ["warm", "", "warm air goes up", "warm air", "a Ω → ∞ 🙂", "up"]
    bodies = [
        {"item_id": item_id, "response": text, "gradebook_max": 7}
        for text in texts
        for item_id in ("plants-2", "heat-1")
    ]

    together = client.post("/score/batch", json=batch(*bodies)).json()["results"]

    alone = [client.post("/score", json=each).json() for each in bodies]
    assert len({result.pop("prediction_id") for result in together}) == len(bodies)
    for in_batch, by_itself in zip(together, alone, strict=True):
        del by_itself["prediction_id"]
        for name in ("probabilities", "confidence", "expected_score"):
            assert in_batch.pop(name) == pytest.approx(by_itself.pop(name), abs=1e-5)
        assert in_batch == by_itself


def test_invalid_row_gets_its_own_problem_and_other_rows_are_scored(client: TestClient, logged: Logged) -> None:
    rows = [
        body(response="warm air"),
        body(item_id="asap-99"),
        body(response=f"{CANARY}\0"),
        CANARY,
        body(canary=1),
        None,
        body(response="warm"),
    ]

    reply = client.post("/score/batch", json=batch(*rows))

    assert reply.status_code == 200
    results = reply.json()["results"]
    assert [result.get("score") for result in results] == [2, None, None, None, None, None, 1]
    assert [result.get("status") for result in results] == [None, 404, 422, 422, 422, 422, None]
    assert results[1]["type"] == "urn:scorelet:problem:unknown-item"
    assert {result["type"] for result in results[2:6]} == {"urn:scorelet:problem:invalid-request"}
    assert [result.get("code") for result in results[1:6]] == ["unknown_item", *["invalid_request"] * 4]
    assert (results[1].get("errors"), len(results[5]["errors"])) == (None, 1)
    assert (results[5]["errors"][0]["where"], results[5]["errors"][0]["code"]) == ("body", "object_type")
    alone = client.post("/score", json=rows[4]).json()
    assert results[4] == alone
    assert "canary" not in reply.text
    assert [row.response for row in logged()] == ["warm air", "warm"]


def test_batch_of_over_a_thousand_responses_is_refused(client: TestClient, logged: Logged) -> None:
    most = client.post("/score/batch", json=batch(*[body()] * 1000))
    more = client.post("/score/batch", json=batch(*[body()] * 1001))

    assert len(most.json()["results"]) == 1000
    assert_problem(more, 422, "invalid-request")
    assert len(logged()) == 1000


def test_empty_batch_is_refused(client: TestClient) -> None:
    assert_problem(client.post("/score/batch", json=batch()), 422, "invalid-request")


def test_refused_item_is_not_ready(models: Path, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    [student] = (models / "heat-1").rglob("student.onnx")
    student.write_bytes(student.read_bytes()[:-1] + b"?")

    client = serve()

    problem = assert_problem(client.post("/score", json=body()), 503, "item-not-ready")
    assert student.name in problem["detail"]
    assert log_lines(caplog, "item_refused") == [{"item_id": "heat-1", "cause": "wrong_checksum"}]
    assert score(client, "light", "plants-2")["score"] == 1
    [result] = client.post("/score/batch", json=batch(body())).json()["results"]
    assert (result["status"], result["type"]) == (503, "urn:scorelet:problem:item-not-ready")


@BOTH
@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_repeated_idempotency_key_and_body_get_the_stored_reply(client: TestClient, logged: Logged, path: str) -> None:
    sent = body(gradebook_max=7) if path == "/score" else batch(body(), body(item_id="asap-99"), body(response=""))

    first = client.post(path, json=sent, headers=ONCE)
    rows = len(logged())
    again = client.post(path, json=sent, headers=ONCE)

    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert len(logged()) == rows == (1 if path == "/score" else 2)


@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_learner_cannot_be_guessed_from_a_stored_body_hash(serve: Serve, sql: Sql, path: str) -> None:
    """A thief of the database could try the names of a class against the stored hash."""

    def send(client: TestClient, learner: str) -> Any:
        sent = body(learner_id=learner)
        return client.post(path, json=sent if path == "/score" else batch(sent), headers=ONCE)

    without = serve()
    first = send(without, "anna")
    assert send(without, "ben").content == first.content  # no learner enters the hash
    hash_of_anna = stored_hash(sql)
    sql("DELETE FROM idempotency_claims")
    send(without, "ben")
    assert stored_hash(sql) == hash_of_anna

    sql("DELETE FROM idempotency_claims")
    keyed = serve(learner_key="a secret of this school")
    send(keyed, "anna")
    assert stored_hash(sql) != hash_of_anna
    assert_problem(send(keyed, "ben"), 409, "idempotency-conflict")
    with_a_key = stored_hash(sql)
    sql("DELETE FROM idempotency_claims")
    send(serve(learner_key="a secret of another"), "anna")
    assert stored_hash(sql) != with_a_key


def stored_hash(sql: Sql) -> str:
    [claim] = sql("SELECT body_sha256 FROM idempotency_claims")
    return str(claim["body_sha256"])


def test_order_of_json_keys_does_not_change_the_body_hash(client: TestClient, logged: Logged) -> None:
    rows = [body(attempt_id="1"), body(response="warm air", gradebook_max=7)]

    first = client.post("/score/batch", json=batch(*rows), headers=ONCE)
    turned = batch(*(dict(reversed(row.items())) for row in rows))
    again = client.post("/score/batch", json=turned, headers=ONCE)
    other = client.post("/score/batch", json=batch(*reversed(rows)), headers=ONCE)  # the order of rows counts

    assert (again.status_code, again.content) == (200, first.content)
    assert_problem(other, 409, "idempotency-conflict")
    assert len(logged()) == 2


@BOTH
@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("/score", body(response="warm air")),
        ("/score", body(attempt_id="another")),
        ("/score/batch", batch(body())),  # the same response in a batch is another request
    ],
)
def test_idempotency_key_with_another_body_is_a_conflict(
    client: TestClient, logged: Logged, path: str, other: dict[str, Any]
) -> None:
    client.post("/score", json=body(), headers=ONCE)

    conflict = client.post(path, json=other, headers=ONCE)

    assert_problem(conflict, 409, "idempotency-conflict")
    assert len(logged()) == 1


@BOTH
@pytest.mark.parametrize("at_once", [2, 16])
@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_concurrent_calls_with_an_idempotency_key_are_scored_once(
    serve: Serve, logged: Logged, sql: Sql, at_once: int, path: str
) -> None:
    replicas = [serve(), serve()]  # two services on one database, as behind a load balancer
    sent = body() if path == "/score" else batch(body())

    with ThreadPoolExecutor(at_once) as pool:
        replies = list(
            pool.map(lambda number: replicas[number % 2].post(path, json=sent, headers=ONCE), range(at_once))
        )

    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    assert len(logged()) == 1
    assert sql("SELECT count(*) AS claims FROM idempotency_claims") == [{"claims": 1}]


@BOTH
def test_concurrent_bodies_under_an_idempotency_key_are_scored_once(serve: Serve, logged: Logged) -> None:
    replicas = [serve(), serve()]

    def send(number: int) -> int:
        reply = replicas[number % 2].post("/score", json=body(response=f"air {number}"), headers=ONCE)
        return reply.status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(send, range(8)))

    assert statuses == [200] + [409] * 7
    assert len(logged()) == 1


@BOTH
def test_rotated_key_is_the_same_caller(client: TestClient, make_key: MakeKey, logged: Logged) -> None:
    old = make_key("score")
    scored = client.post("/score", json=body(), headers=ONCE | old.headers).json()
    new, other = make_key("score", replaces=old.id), make_key("score")

    again = client.post("/score", json=body(), headers=ONCE | new.headers)
    path = f"/predictions/{scored['prediction_id']}"

    assert again.json() == scored
    assert len(logged()) == 1
    assert [client.get(path, headers=key.headers).status_code for key in (new, other)] == [200, 404]


@BOTH
def test_idempotency_keys_of_two_callers_are_separate(client: TestClient, make_key: MakeKey, logged: Logged) -> None:
    schools = [make_key("score"), make_key("score")]

    replies = [
        client.post("/score", json=body(response=f"air {number}"), headers=ONCE | school.headers)
        for number, school in enumerate(schools)
    ]

    assert [reply.status_code for reply in replies] == [200, 200]
    assert [row.key_id for row in logged()] == [school.id for school in schools]


@BOTH
@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_reply_is_repeated_after_the_bundle_is_removed(serve: Serve, models: Path, path: str) -> None:
    sent = body() if path == "/score" else batch(body(), body(item_id="plants-2"))
    first = serve().post(path, json=sent, headers=ONCE)
    for folder in models.iterdir():
        rmtree(folder)

    bare = serve()
    again = bare.post(path, json=sent, headers=ONCE)

    assert again.status_code == 200
    assert again.content == first.content
    assert_problem(bare.post("/score", json=body()), 404, "unknown-item")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "two words",
        "k" * 256,
        "Schlüssel",
        "tab\tin it",
    ],
)
@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_malformed_idempotency_key_is_refused(client: TestClient, logged: Logged, path: str, key: str) -> None:
    sent = body() if path == "/score" else batch(body())

    reply = client.post(path, json=sent, headers={b"Idempotency-Key": key.encode("latin-1")})

    assert_problem(reply, 422, "invalid-request")
    assert logged() == []


@BOTH
@pytest.mark.parametrize("headers", [{}, ONCE])
@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_score_that_cannot_be_committed_is_not_returned(
    client: TestClient, sql: Sql, path: str, headers: dict[str, str]
) -> None:
    sql("ALTER TABLE predictions RENAME TO gone")

    reply = client.post(path, json=body() if path == "/score" else batch(body(), body()), headers=headers)

    problem = assert_problem(reply, 503, "database-unavailable")
    assert int(reply.headers["Retry-After"]) > 0
    assert not problem.keys() & {"score", "results", "probabilities", "confidence"}
    assert sql("SELECT * FROM idempotency_claims") == []


@BOTH
def test_idempotency_key_is_free_again_after_a_failure(client: TestClient, sql: Sql, logged: Logged) -> None:
    sql("ALTER TABLE predictions RENAME TO gone")
    failed = client.post("/score", json=body(), headers=ONCE)
    sql("ALTER TABLE gone RENAME TO predictions")

    mended = client.post("/score", json=body(), headers=ONCE)

    assert (failed.status_code, mended.status_code) == (503, 200)
    assert [row.prediction_id for row in logged()] == [mended.json()["prediction_id"]]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_stopped_database_is_a_problem_and_gives_no_score(
    client: TestClient, postgres: Postgres, database_url: str
) -> None:
    score(client, "warm air")
    postgres.drop(database_url.partition("?")[0].rpartition("/")[2])

    reply = client.post("/score", json=body())

    problem = assert_problem(reply, 503, "database-unavailable")
    assert "score" not in problem
    assert reply.headers["Retry-After"]
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_terminated_connection_loses_no_score(client: TestClient, sql: Sql, logged: Logged) -> None:
    score(client, "warm air")
    sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )

    score(client, "warm air")

    assert len(logged()) == 2


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_read_only_database_is_a_problem_and_gives_no_score(client: TestClient, sql: Sql, logged: Logged) -> None:
    [database] = sql("SELECT current_database() AS name")
    sql(f"ALTER DATABASE {database['name']} SET default_transaction_read_only = on")  # like a standby server
    sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )

    reply = client.post("/score", json=body())

    assert_problem(reply, 503, "database-unavailable")
    assert client.get("/items").status_code == 200
    assert logged() == []
