"""Markup through HTTP: removed before scoring, kept in the log, and read as text if an item or a call says so."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.scoring.text import MAX_CHARACTERS, MAX_SENT
from tests.app.api.assertions import BOTH, assert_problem, body, read_prediction
from tests.app.conftest import Logged, Serve, Sql
from tests.editors import FORMS
from tests.tiny import write_tiny_bundle

MARKED = "<p>warm</p>"  # one word as HTML, at least three tokens as text


def score(client: TestClient, response: str, **more: Any) -> dict[str, Any]:
    reply = client.post("/score", json=body(response=response) | more)
    assert reply.status_code == 200, reply.text
    scored: dict[str, Any] = reply.json()
    return scored


@BOTH
def test_response_is_scored_without_markup_and_stored_with_it(client: TestClient, logged: Logged) -> None:
    reply = score(client, MARKED)
    stored = read_prediction(client, reply)

    assert reply["score"] == score(client, "warm")["score"] == 1
    assert (stored["response"], stored["response_format"]) == (MARKED, "html")
    assert [row.response for row in logged()] == [MARKED, "warm"]


@BOTH
def test_format_text_of_a_call_keeps_markup(client: TestClient) -> None:
    reply = score(client, MARKED, format="text")
    stored = read_prediction(client, reply)

    assert reply["score"] == 3
    assert (stored["response"], stored["response_format"]) == (MARKED, "text")


def test_format_of_a_call_goes_before_the_format_of_the_item(serve: Serve, models: Any) -> None:
    write_tiny_bundle(models, "tags-9", item={"scale": "points", "max_score": 3, "format": "text"})
    client = serve()

    assert client.get("/items/tags-9").json()["format"] == "text"
    assert score(client, MARKED, item_id="tags-9")["score"] == 3
    assert score(client, MARKED, item_id="tags-9", format=None)["score"] == 3
    assert score(client, MARKED, item_id="tags-9", format="html")["score"] == 1
    [first, *_] = client.get("/predictions", params={"item_id": "tags-9"}).json()["predictions"]
    assert first["response_format"] == "html"


def test_format_is_set_row_by_row_in_a_batch(client: TestClient) -> None:
    rows = [body(response=MARKED), body(response=MARKED, format="text"), body(response="warm", format="text")]

    results = client.post("/score/batch", json={"responses": rows}).json()["results"]

    assert [result["score"] for result in results] == [1, 3, 1]


@pytest.mark.parametrize("sent", ["<p></p>", "<p><br></p>", "&nbsp;", "<p>&nbsp;</p>"])
def test_empty_markup_is_blank(client: TestClient, sent: str) -> None:
    reply = score(client, sent)

    assert (reply["decision"], reply["condition"]) == ("not_scorable", "blank")
    assert score(client, sent, format="text")["condition"] is None


@pytest.mark.parametrize("unknown", ["markdown", "HTML", "", 1, True])
def test_unknown_format_is_refused(client: TestClient, unknown: object) -> None:
    problem = assert_problem(client.post("/score", json=body(format=unknown)), 422, "invalid-request")

    assert [error["where"] for error in problem["errors"]] == ["body.format"]


def test_idempotency_key_with_another_format_is_a_conflict(client: TestClient) -> None:
    once = {"Idempotency-Key": "quiz-7"}
    first = client.post("/score", json=body(response=MARKED), headers=once)
    again = client.post("/score", json=body(response=MARKED), headers=once)
    other = client.post("/score", json=body(response=MARKED, format="text"), headers=once)

    assert again.json() == first.json()
    assert_problem(other, 409, "idempotency-conflict")


@pytest.mark.parametrize(
    "sent",
    [
        "x" * MAX_CHARACTERS,
        "<p>" * 20_000 + "x" * MAX_CHARACTERS,
        "&amp;" * MAX_CHARACTERS,
        f"<p style='{'x' * (MAX_SENT - 30)}'>warm</p>",
    ],
    ids=lambda sent: sent[:5],
)
def test_length_limit_counts_text_without_markup(client: TestClient, sent: str) -> None:
    assert client.post("/score", json=body(response=sent)).status_code == 200


@pytest.mark.parametrize(
    ("sent", "form"),
    [
        ("x" * (MAX_CHARACTERS + 1), None),
        (f"<p>{'x' * (MAX_CHARACTERS + 1)}</p>", None),
        ("<p>" * MAX_CHARACTERS, "text"),
        ("<p>" * (MAX_SENT // 3 + 1), None),
    ],
    ids=["plain", "marked", "read as text", "sent"],
)
def test_too_long_text_is_refused_without_failing_its_batch(
    client: TestClient, logged: Logged, sent: str, form: str | None
) -> None:
    single = client.post("/score", json=body(response=sent, format=form))
    rows = [body(response="warm"), body(response=sent, format=form), body(response="warm air")]
    results = client.post("/score/batch", json={"responses": rows}).json()["results"]

    problem = assert_problem(single, 422, "invalid-request")
    assert [error["where"] for error in problem["errors"]] == ["body.response"]
    assert [result.get("score") for result in results] == [1, None, 2]
    assert results[1] == problem
    assert [row.response for row in logged()] == ["warm", "warm air"]


@pytest.mark.parametrize("form", FORMS)
def test_log_keeps_the_format_and_the_text_as_sent(client: TestClient, sql: Sql, form: str) -> None:
    sent = FORMS[form]('Heat "rises" & is < 3 °C. It does.')

    score(client, sent)

    assert [row["response"] for row in sql("SELECT response FROM predictions")] == [sent]
