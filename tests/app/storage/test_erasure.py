"""The statements of docs/operations.md, as an operator would run them."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.app.api.claims import CANARY, body
from tests.app.conftest import Serve, Sql

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


def erase(sql: Sql, where: str) -> None:
    block = PAGE.read_text(encoding="utf-8").split("```sql\n")[1].split("```")[0]
    statements = [statement for statement in block.split(";") if statement.strip()]
    assert len(statements) == 4
    for statement in statements:
        sql(statement.replace("learner_hash = 'HASH'", where).replace("'2026-11-28'", "'2999-01-01'"))


def send(client: TestClient, learner: str) -> str:
    sent = body(learner_id=learner, response=f"{CANARY} {learner}", attempt_id=f"{CANARY} of {learner}")
    reply = client.post("/score", json=sent, headers={"Idempotency-Key": learner})
    mark = {"score": 1, "reviewer": "A. Teacher", "reason": f"{CANARY} {learner}"}
    client.post(f"/predictions/{reply.json()['prediction_id']}/review", json=mark)
    return str(reply.json()["prediction_id"])


def written(sql: Sql) -> str:
    tables = ("predictions", "human_marks", "generated_feedback", "idempotency_claims")
    return str([sql(f"SELECT * FROM {table}") for table in tables])  # noqa: S608  # names of ours


def test_what_a_learner_wrote_is_erased_and_nobody_elses(serve: Serve, sql: Sql) -> None:
    client = serve(learner_key="this school's own secret")
    of_anna, of_ben = send(client, "anna"), send(client, "ben")
    pseudonym = client.get(f"/predictions/{of_anna}").json()["learner_hash"]
    sql(
        "INSERT INTO generated_feedback (prediction_id, created_at, feedback, model, tokens, seconds) VALUES "  # noqa: S608
        f"('{of_anna}', '2026-11-28 00:00:00', '{{\"text\": \"{CANARY} anna\"}}', 'm/1', 1, 1)"
    )
    before = written(sql)
    assert before.count(f"{CANARY} anna") == 3
    assert before.count(f"{CANARY} of anna") == before.count(pseudonym) == 1

    erase(sql, f"learner_hash = '{pseudonym}'")

    after = written(sql)
    assert "anna" not in after
    assert pseudonym not in after
    assert (after.count(f"{CANARY} ben"), after.count(f"{CANARY} of ben")) == (2, 1)
    anna, ben = (client.get(f"/predictions/{own}").json() for own in (of_anna, of_ben))
    assert (anna["response"], anna["final"]["score"], ben["final"]["score"]) == (None, 1, 1)


@pytest.mark.parametrize(("day", "left"), [("2000-01-01", 2), ("2999-01-01", 0)])
def test_what_is_older_than_a_day_is_erased_by_the_same(serve: Serve, sql: Sql, day: str, left: int) -> None:
    client = serve(learner_key="this school's own secret")
    for learner in ("anna", "ben"):
        send(client, learner)

    erase(sql, f"created_at < '{day}'")

    assert sum(row["response"] is not None for row in sql("SELECT response FROM predictions")) == left
