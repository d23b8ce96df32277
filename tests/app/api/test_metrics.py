"""GET /metrics: counts, the scope that reads them, and the absence of learners' words."""

import re
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.scoring.bundle import STUDENT
from tests.app.api.assertions import assert_problem, body
from tests.app.conftest import MakeKey, Serve, Sql
from tests.tiny import write_tiny_bundle
from tests.waiting import until


def metrics(client: TestClient) -> dict[str, float]:
    reply = client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    lines = [line.rsplit(" ", 1) for line in reply.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_decisions_are_counted_by_item_and_scorer(client: TestClient) -> None:
    for response in ("warm air", "warm", "  "):
        client.post("/score", json=body(response=response))
    client.post("/score/batch", json={"responses": [body(), body(item_id="tides-4"), body(item_id="absent")]})

    figures = metrics(client)

    assert figures['scorelet_decisions_total{decision="auto",item="heat-1",scored_by="student"}'] == 3
    assert figures['scorelet_decisions_total{decision="not_scorable",item="heat-1",scored_by="rule"}'] == 1
    assert figures['scorelet_decisions_total{decision="review",item="tides-4",scored_by="student"}'] == 1
    assert figures['scorelet_held_back_total{reason="blank"}'] == 1
    assert figures['scorelet_refused_total{error="UnknownItem"}'] == 1


def test_requests_are_counted_and_timed_by_route(client: TestClient) -> None:
    client.post("/score", json=body())
    client.get("/items/heat-1")
    client.get("/items/absent")
    for number in range(5):
        client.get(f"/nowhere/{number}")

    figures = metrics(client)

    assert figures['scorelet_requests_total{route="/score",status="200"}'] == 1
    assert figures['scorelet_requests_total{route="/items/{item_id}",status="200"}'] == 1
    assert figures['scorelet_requests_total{route="/items/{item_id}",status="404"}'] == 1
    assert figures['scorelet_requests_total{route="unmatched",status="404"}'] == 5
    assert figures['scorelet_request_seconds_count{route="/score"}'] == 1
    assert not [name for name in figures if "nowhere" in name or "absent" in name]


def test_commits_are_counted_with_their_calls(client: TestClient) -> None:
    for _ in range(3):
        client.post("/score", json=body())

    figures = metrics(client)
    assert figures["scorelet_commit_calls_sum"] == 3
    assert figures["scorelet_database_takes_writes"] == 1
    assert figures["scorelet_commit_failed_calls_total"] == 0
    assert figures['scorelet_waiting{queue="log"}'] == figures['scorelet_waiting{queue="judging"}'] == 0


def test_failed_commits_are_counted(client: TestClient, sql: Sql) -> None:
    sql("ALTER TABLE predictions RENAME TO elsewhere")

    assert client.post("/score", json=body()).status_code == 503

    figures = metrics(client)
    assert figures["scorelet_database_takes_writes"] == 0
    assert figures["scorelet_commit_failed_calls_total"] == 1
    sql("ALTER TABLE elsewhere RENAME TO predictions")
    client.post("/score", json=body())
    assert metrics(client)["scorelet_database_takes_writes"] == 1


def test_reloads_are_counted_by_outcome(serve: Serve, models: Path, tmp_path: Path) -> None:
    client = serve(reload_seconds=0.05)
    write_tiny_bundle(models, version="20270101T000000Z-00000002")
    # The item appears whole: half of it would be refused for another reason, and counted twice.
    (write_tiny_bundle(tmp_path / "staged", "heat-9") / STUDENT).write_bytes(b"x")
    (tmp_path / "staged" / "heat-9").rename(models / "heat-9")

    for outcome in ("taken_up", "refused"):
        until(lambda name=f'scorelet_reloads_total{{outcome="{outcome}"}}': metrics(client).get(name))  # type: ignore[misc]
    refused = metrics(client)['scorelet_reloads_total{outcome="refused"}']
    time.sleep(0.2)
    assert metrics(client)['scorelet_reloads_total{outcome="refused"}'] == refused


def test_items_are_counted_by_state(serve: Serve, models: Path) -> None:
    [student] = (models / "moon-5").glob(f"*/{STUDENT}")
    student.write_bytes(b"broken")

    figures = metrics(serve())

    assert figures['scorelet_items{state="auto"}'] == 4
    assert figures['scorelet_items{state="suggest"}'] == 1
    assert figures['scorelet_items{state="refused"}'] == 1
    assert figures['scorelet_fallback_total{outcome="answered"}'] == 0


def test_metrics_hold_no_response_text_and_no_learner(client: TestClient) -> None:
    client.post("/score", json=body(response="zebra crossing", learner_id="learner-77", attempt_id="attempt-88"))

    assert not re.search("zebra|learner-77|attempt-88", client.get("/metrics").text)


def test_metrics_need_the_scope_metrics(client: TestClient, make_key: MakeKey) -> None:
    scorer, watcher = make_key("score"), make_key("metrics")

    assert_problem(client.get("/metrics"), 401, "unauthorized")
    assert_problem(client.get("/metrics", headers=scorer.headers), 403, "forbidden")
    assert client.get("/metrics", headers=watcher.headers).status_code == 200
    assert_problem(client.post("/score", json=body(), headers=watcher.headers), 403, "forbidden")


@pytest.mark.parametrize("times", [1, 2])
def test_counts_start_again_with_each_service(serve: Serve, times: int) -> None:
    for _ in range(times):
        client = serve()
        client.post("/score", json=body())
        assert metrics(client)['scorelet_requests_total{route="/score",status="200"}'] == 1
