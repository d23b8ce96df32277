"""Scores by teachers through HTTP, with tiny students and teachers (tests/tiny_teacher.py), some blocked or failing."""

import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from app.scoring.teacher import TEACHER_JSON
from app.service.teacher_pool import TeacherPool
from tests import waiting
from tests.app.api.assertions import BOTH
from tests.app.conftest import Logged, Serve, Sql
from tests.app.held import HeldTeacher
from tests.refusals import log_lines
from tests.tiny import write_tiny_bundle
from tests.tiny_teacher import (
    NAME,
    POINTS,
    SURE,
    VERSION,
    fall_back,
    item_of,
    plus_one_onnx,
    write_tiny_teacher,
)
from tests.waiting import HANGS

pytestmark = pytest.mark.usefixtures("models")

TEACHER = f"{NAME}/{VERSION}"
WAIT: dict[str, Any] = {"fallback_timeout": 60}  # the longest that the settings allow
SLOW = "cold " * 3
UNSURE, SURE_OF = "warm", "warm air goes"  # one word, three words


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Write heat-1 with a teacher that fails on `sinks`, and alone-2 without a teacher."""
    folder = tmp_path / "models"
    bank = {"1": "One word.", "2": "Two words.", "3": "Three."}
    scale = {"scale": "points", "max_score": 3, "feedback": bank}
    item = item_of(write_tiny_bundle(folder, "heat-1", threshold=SURE, item=scale))
    write_tiny_bundle(folder, "alone-2", threshold=SURE)
    write_tiny_teacher(folder, [item], members=[plus_one_onnx(POINTS, fails_at="sinks")])
    fall_back(folder)
    return folder


def score(client: TestClient, response: str, item_id: str = "heat-1", **more: Any) -> dict[str, Any]:
    reply = client.post("/score", json={"item_id": item_id, "response": response} | more)
    assert reply.status_code == 200, reply.text
    scored: dict[str, Any] = reply.json()
    return scored


def batch(client: TestClient, *responses: str) -> list[dict[str, Any]]:
    body = {"responses": [{"item_id": "heat-1", "response": text} for text in responses]}
    reply = client.post("/score/batch", json=body)
    assert reply.status_code == 200, reply.text
    results: list[dict[str, Any]] = reply.json()["results"]
    return results


def read(client: TestClient, prediction_id: str) -> dict[str, Any]:
    reply = client.get(f"/predictions/{prediction_id}")
    assert reply.status_code == 200, reply.text
    prediction: dict[str, Any] = reply.json()
    return prediction


def until(get: Callable[[], dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []

    def looked() -> bool:
        answers.append(get())
        return holds(answers[-1])

    waiting.until(looked)
    return answers[-1]


def hold(client: TestClient, item_id: str = "heat-1") -> HeldTeacher:
    return HeldTeacher(client.app_state["registry"].live[item_id])


def pool_of(client: TestClient) -> TeacherPool:
    return cast("TeacherPool", client.app_state["teacher_pool"])


def assert_sent_to_review(reply: dict[str, Any]) -> None:
    """Assert that the student's score is up for review, as if there were no teacher."""
    assert (reply["scored_by"], reply["decision"], reply["grading_progress"]) == ("student", "review", "PendingManual")
    assert (reply["teacher"], reply["first_score"]) == (None, None)
    assert reply["score"] == min(3, len(reply.get("response", UNSURE).split()))


@BOTH
def test_teacher_scores_an_unsure_response_and_both_scores_are_logged(serve: Serve, logged: Logged) -> None:
    client = serve(**WAIT)

    reply = score(client, "warm air", gradebook_max=30)

    assert (reply["scored_by"], reply["teacher"], reply["decision"]) == ("teacher", TEACHER, "auto")
    assert (reply["score"], reply["gradebook_score"], reply["prediction_set"]) == (3, 30, [2, 3])
    assert reply["confidence"] == pytest.approx(0.9526, abs=1e-4)
    assert reply["first_score"] == {
        "score": 2,
        "label": None,
        "expected_score": pytest.approx(2, abs=1e-3),
        "confidence": pytest.approx(0.9094, abs=1e-4),
    }
    assert reply["bundle_version"] == "20260101T000000Z-00000001"
    [row] = logged()
    assert (row.scored_by, row.teacher, row.score, row.decision) == ("teacher", TEACHER, 3, "auto")
    assert row.first_score == reply["first_score"]
    again = read(client, reply["prediction_id"])
    assert again | reply == again
    assert again["final"]["score"] == 3


@BOTH
def test_confident_response_never_reaches_the_teacher(serve: Serve, logged: Logged) -> None:
    """The teacher would fail on `sinks`."""
    client = serve(**WAIT)
    teacher = hold(client)

    replies = [score(client, "cold air sinks"), *batch(client, *["cold cold cold cold sinks"] * 20)]

    assert not teacher.begun.is_set()
    for reply in replies:
        assert (reply["scored_by"], reply["decision"], reply["score"]) == ("student", "auto", 3)
        assert (reply["teacher"], reply["first_score"]) == (None, None)
    assert {(row.teacher, row.first_score) for row in logged()} == {(None, None)}


def test_threshold_of_the_teacher_decides(serve: Serve) -> None:
    client = serve(**WAIT)

    replies = [score(client, "warm"), score(client, "warm air")]  # .9094 and .9526, from .93

    assert [reply["scored_by"] for reply in replies] == ["teacher", "teacher"]
    assert [reply["decision"] for reply in replies] == ["review", "auto"]
    assert [reply["score"] for reply in replies] == [2, 3]


def test_score_of_a_teacher_is_reviewed_in_mode_suggest(serve: Serve, models: Path) -> None:
    fall_back(models, mode="suggest")
    client = serve(**WAIT)

    replies = [score(client, text) for text in ("warm air", "warm air goes")]

    assert [reply["scored_by"] for reply in replies] == ["teacher", "student"]
    assert [reply["decision"] for reply in replies] == ["review", "review"]


def test_flagged_and_not_scorable_responses_never_reach_the_teacher(serve: Serve, models: Path) -> None:
    write_tiny_bundle(models, "heat-9", threshold=0.99)
    write_tiny_teacher(models, [POINTS.model_copy(update={"item_id": "heat-9"})], name="nine", threshold=0.5)
    fall_back(models, "heat-9", name="nine")
    client = serve(**WAIT)

    plain, flagged, blank = (score(client, text, "heat-9") for text in ("warm", "warm " * 70, " "))

    assert plain["scored_by"] == "teacher"
    assert (flagged["scored_by"], flagged["decision"], flagged["flags"]) == ("student", "review", ["over_long"])
    assert (blank["scored_by"], blank["decision"], blank["teacher"]) == ("rule", "not_scorable", None)


def test_item_without_a_teacher_is_scored_by_its_student(serve: Serve) -> None:
    reply = score(serve(**WAIT), "warm", "alone-2")

    assert_sent_to_review(reply)


def test_feedback_follows_the_score_of_the_teacher(serve: Serve) -> None:
    """The student would have said 1."""
    reply = score(serve(**WAIT), "warm", feedback=True)

    assert (reply["score"], reply["feedback"]["text"]) == (2, "Two words.")


def test_batch_falls_back_row_by_row(serve: Serve) -> None:
    replies = batch(serve(**WAIT), "warm", "warm air goes", "", "warm air")

    assert [reply["scored_by"] for reply in replies] == ["teacher", "student", "rule", "teacher"]
    assert [reply["score"] for reply in replies] == [2, 3, None, 3]
    assert [reply["decision"] for reply in replies] == ["review", "auto", "not_scorable", "auto"]


def test_batch_longer_than_the_queue_is_scored_by_the_teacher(serve: Serve, logged: Logged) -> None:
    client = serve(fallback_workers=1, fallback_queue=2, **WAIT)

    replies = batch(client, *["warm", "warm air"] * 40)

    assert {reply["scored_by"] for reply in replies} == {"teacher"}
    assert [reply["score"] for reply in replies] == [2, 3] * 40
    assert len(logged()) == 80


def test_repeated_request_gets_the_score_of_the_teacher_again(serve: Serve, logged: Logged) -> None:
    client = serve(**WAIT)
    body, headers = {"item_id": "heat-1", "response": "warm"}, {"Idempotency-Key": "quiz-7/attempt-2"}

    first, again = (client.post("/score", json=body, headers=headers).json() for _ in range(2))

    assert again == first
    assert (first["scored_by"], first["teacher"], first["first_score"]["score"]) == ("teacher", TEACHER, 1)
    assert len(logged()) == 1


@BOTH
def test_results_stored_before_teachers_existed_are_repeated(serve: Serve, sql: Sql) -> None:
    """Stored results of an Idempotency-Key may come from a version without these fields."""
    client = serve(**WAIT)
    body, headers = {"item_id": "alone-2", "response": "warm"}, {"Idempotency-Key": "quiz-7/attempt-2"}
    first = client.post("/score", json=body, headers=headers)
    [row] = sql("SELECT results FROM idempotency_claims")
    results = row["results"] if isinstance(row["results"], list) else json.loads(row["results"])
    for result in results:
        for name in ("teacher", "first_score", "prediction_set"):
            del result[name]
    sql(f"UPDATE idempotency_claims SET results = '{json.dumps(results)}'")  # noqa: S608

    again = client.post("/score", json=body, headers=headers)

    assert again.status_code == 200, again.text
    assert again.json() == first.json() | {"prediction_set": None}


def test_teacher_scores_although_no_text_is_stored(serve: Serve, sql: Sql) -> None:
    client = serve(store_responses=False, **WAIT)

    assert score(client, "warm air")["scored_by"] == "teacher"
    [row] = sql("SELECT response, teacher FROM predictions")
    assert (row["response"], row["teacher"]) == (None, TEACHER)


@BOTH
def test_shadow_score_is_logged_and_changes_nothing(serve: Serve, models: Path, sql: Sql) -> None:
    fall_back(models, policy="shadow")
    client = serve(**WAIT)

    reply = score(client, "warm")

    assert_sent_to_review(reply)
    later = until(lambda: read(client, reply["prediction_id"]), lambda prediction: prediction["shadow"] is not None)
    assert later["shadow"] == {
        "teacher": TEACHER,
        "score": 2,
        "label": None,
        "expected_score": pytest.approx(2, abs=1e-3),
        "confidence": pytest.approx(0.9094, abs=1e-4),
    }
    assert {name: value for name, value in later.items() if name in reply} == reply
    assert (later["final"], later["grading_progress"]) == (None, "PendingManual")
    assert client.get("/predictions").json()["predictions"] == [later]
    [row] = sql("SELECT prediction_id, teacher FROM shadow_scores")
    assert row == {"prediction_id": reply["prediction_id"], "teacher": TEACHER}


def test_shadow_scores_confident_responses_but_not_unscored_responses(serve: Serve, models: Path, sql: Sql) -> None:
    fall_back(models, policy="shadow")
    client = serve(**WAIT)

    sure, blank, other = score(client, "warm air goes"), score(client, ""), score(client, "warm", "alone-2")
    later = until(lambda: read(client, sure["prediction_id"]), lambda prediction: prediction["shadow"] is not None)

    assert (sure["decision"], sure["scored_by"], later["shadow"]["score"]) == ("auto", "student", 3)
    assert [read(client, reply["prediction_id"])["shadow"] for reply in (blank, other)] == [None, None]
    assert len(sql("SELECT * FROM shadow_scores")) == 1


def test_teacher_that_falls_back_does_not_run_in_shadow(serve: Serve, sql: Sql) -> None:
    client = serve(**WAIT)
    replies = [score(client, text) for text in (UNSURE, SURE_OF)]
    client.__exit__()

    assert [reply["scored_by"] for reply in replies] == ["teacher", "student"]
    time.sleep(0.2)
    assert sql("SELECT * FROM shadow_scores") == []


def test_reply_does_not_wait_for_the_shadow(serve: Serve, models: Path) -> None:
    fall_back(models, policy="shadow")
    client = serve(**WAIT)
    teacher = hold(client)

    reply = score(client, SLOW)

    assert teacher.is_at_work()
    assert read(client, reply["prediction_id"])["shadow"] is None
    teacher.go.set()
    later = until(lambda: read(client, reply["prediction_id"]), lambda prediction: prediction["shadow"] is not None)
    assert later["shadow"]["score"] == 3


def test_shadow_scores_every_row_of_a_long_batch(serve: Serve, models: Path, sql: Sql) -> None:
    fall_back(models, policy="shadow")
    client = serve(fallback_workers=1, fallback_queue=0, **WAIT)

    replies = batch(client, *["warm", "warm air"] * 60)

    until(lambda: {"rows": len(sql("SELECT * FROM shadow_scores"))}, lambda count: count["rows"] == 120)
    later = [read(client, reply["prediction_id"])["shadow"]["score"] for reply in replies[:4]]
    assert later == [2, 3, 2, 3]


def test_shadows_leave_pool_places_for_fall_back(serve: Serve, models: Path) -> None:
    """Of two places, shadows may take one."""
    item = item_of(write_tiny_bundle(models, "shade-8", threshold=SURE))
    write_tiny_teacher(models, [item], name="slow")
    fall_back(models, "shade-8", "shadow", name="slow")
    client = serve(fallback_workers=2, fallback_queue=0, **WAIT)
    teacher = hold(client, "shade-8")
    body = {"responses": [{"item_id": "shade-8", "response": SLOW}] * 20}
    assert client.post("/score/batch", json=body).status_code == 200
    assert teacher.is_at_work()

    for _ in range(10):
        assert score(client, UNSURE)["scored_by"] == "teacher"
        waiting.until(lambda: pool_of(client).taken == 1)  # the shadows' place
    teacher.go.set()


def test_failing_shadow_logs_no_response_text(serve: Serve, models: Path, caplog: pytest.LogCaptureFixture) -> None:
    fall_back(models, policy="shadow")
    client = serve(**WAIT)
    with caplog.at_level(logging.DEBUG):
        failed = score(client, "zebra sinks")
        sound = score(client, "warm")
        until(lambda: read(client, sound["prediction_id"]), lambda prediction: prediction["shadow"] is not None)

    assert failed["scored_by"] == "student"
    assert read(client, failed["prediction_id"])["shadow"] is None
    assert [fields["teacher"] for fields in log_lines(caplog, "teacher_failed")] == [TEACHER]
    assert "zebra" not in caplog.text


def test_failure_to_store_a_shadow_is_logged_and_harmless(
    serve: Serve, models: Path, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    fall_back(models, policy="shadow")
    client = serve(**WAIT)
    sql("ALTER TABLE shadow_scores RENAME TO gone")

    reply = score(client, "zebra")

    waiting.until(lambda: log_lines(caplog, "second_score_not_kept"))
    assert reply["scored_by"] == "student"
    assert "zebra" not in caplog.text


def scored_by_teacher(client: TestClient) -> dict[str, Any]:
    """Score again until the pool has a place, and return the prediction."""
    return until(lambda: score(client, UNSURE), lambda reply: reply["scored_by"] == "teacher")


def test_full_queue_sends_responses_to_review_until_a_place_is_free(serve: Serve) -> None:
    client = serve(fallback_workers=1, fallback_queue=0, **WAIT)
    teacher = hold(client)

    with ThreadPoolExecutor(1) as other:
        slow = other.submit(score, client, "cold cold")
        assert teacher.is_at_work()
        reply = score(client, UNSURE)
        teacher.go.set()
        assert slow.result()["scored_by"] == "teacher"

    assert_sent_to_review(reply)
    assert scored_by_teacher(client)["score"] == 2


def test_zero_time_limit_sends_responses_to_review(serve: Serve) -> None:
    client = serve(fallback_timeout=0)

    for reply in [score(client, UNSURE), *batch(client, *[UNSURE] * 20)]:
        assert_sent_to_review(reply)
    assert score(client, SURE_OF)["decision"] == "auto"


def test_slow_teacher_sends_the_response_to_review(serve: Serve) -> None:
    client = serve(fallback_timeout=0.01)
    teacher = hold(client)

    reply = score(client, "cold cold")

    assert not teacher.go.is_set()  # the reply came first
    assert_sent_to_review(reply | {"response": "cold cold"})
    teacher.go.set()
    pool_of(client).timeout = HANGS
    assert scored_by_teacher(client)["score"] == 2


def test_late_row_sends_the_rest_of_its_batch_to_review(serve: Serve) -> None:
    """Otherwise a batch of a thousand could take a thousand time limits."""
    client = serve(fallback_workers=1, fallback_timeout=0.01)
    teacher = hold(client)

    replies = batch(client, *["cold cold"] * 100)

    assert pool_of(client).outcomes == {"late": 1}
    teacher.go.set()
    pool_of(client).timeout = HANGS
    for reply in replies:
        assert_sent_to_review(reply | {"response": "cold cold"})
    assert scored_by_teacher(client)["score"] == 2


def test_failing_teacher_sends_the_response_to_review_and_logs_no_text(
    serve: Serve, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(fallback_workers=1, fallback_queue=0, **WAIT)

    with caplog.at_level(logging.DEBUG):
        replies = [score(client, "zebra sinks") for _ in range(5)] + batch(client, *["zebra sinks"] * 5)

    for reply in replies:
        assert_sent_to_review(reply | {"response": "zebra sinks"})
    assert len(logged()) == 10
    assert {"teacher": TEACHER, "error": "InvalidArgument"} in log_lines(caplog, "teacher_failed")
    assert "zebra" not in caplog.text
    assert "sinks" not in caplog.text
    assert score(client, UNSURE)["scored_by"] == "teacher"  # every place is free again


def test_other_rows_are_scored_when_the_teacher_fails_on_some(serve: Serve) -> None:
    replies = batch(serve(**WAIT), "warm", "air sinks", "warm air")

    assert [reply["scored_by"] for reply in replies] == ["teacher", "student", "teacher"]
    assert [reply["score"] for reply in replies] == [2, 2, 3]
    assert replies[1]["decision"] == "review"


def test_shutdown_does_not_wait_for_shadows_in_flight(
    serve: Serve, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first shadow never ends."""
    fall_back(models, policy="shadow")
    client = serve(fallback_workers=1, fallback_queue=100, fallback_timeout=60)
    teacher = hold(client)
    batch(client, *[SLOW] * 50)
    assert teacher.is_at_work()

    client.__exit__()

    assert not teacher.go.is_set()
    teacher.go.set()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_running_service_loads_and_evicts_teachers(serve: Serve, models: Path) -> None:
    client = serve(reload_seconds=0.05, **WAIT)
    assert_sent_to_review(score(client, UNSURE, "alone-2"))
    item = item_of(models / "alone-2" / "20260101T000000Z-00000001")

    write_tiny_teacher(models, [item], name="alone")
    fall_back(models, "alone-2", name="alone")
    until(lambda: score(client, UNSURE, "alone-2"), lambda reply: reply["scored_by"] == "teacher")
    fall_back(models, "alone-2", "shadow", name="alone")
    until(lambda: score(client, UNSURE, "alone-2"), lambda reply: reply["scored_by"] == "student")
    later = until(
        lambda: read(client, score(client, UNSURE, "alone-2")["prediction_id"]),
        lambda prediction: prediction["shadow"] is not None,
    )

    assert later["shadow"]["teacher"] == f"alone/{VERSION}"
    assert score(client, UNSURE)["scored_by"] == "teacher"  # the other item keeps its teacher


def test_items_show_their_fall_back(serve: Serve) -> None:
    client = serve()

    heat, alone = (client.get(f"/items/{item_id}").json()["fallback"] for item_id in ("heat-1", "alone-2"))

    assert heat.items() >= {"policy": "unsure", "teacher": NAME, "version": VERSION}.items()
    assert alone is None


@pytest.mark.parametrize("damaged", ["member-1.onnx", TEACHER_JSON])
def test_item_with_a_damaged_teacher_is_served_without_it_and_readyz_says_why(
    serve: Serve, models: Path, damaged: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = models / "_teachers" / NAME / VERSION / damaged
    file.write_bytes(file.read_bytes() + b"}")

    client = serve(**WAIT)

    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["items"], ready.json()["refused"]) == (200, ["alone-2", "heat-1"], {})
    [(item_id, reason)] = ready.json()["without_teacher"].items()
    assert item_id == "heat-1"
    assert TEACHER in reason
    assert damaged in reason
    cause = "wrong_checksum" if damaged != TEACHER_JSON else "bad_metadata"
    assert log_lines(caplog, "item_without_teacher") == [{"item_id": "heat-1", "cause": cause}]
    assert_sent_to_review(score(client, UNSURE))
    assert score(client, SURE_OF)["decision"] == "auto"


def test_readyz_lists_no_sound_teacher(serve: Serve) -> None:
    assert serve().get("/readyz").json()["without_teacher"] == {}


@pytest.mark.parametrize("policy", ["unsure", "shadow"])
def test_teacher_reads_the_text_without_markup(serve: Serve, models: Path, policy: Any) -> None:
    fall_back(models, policy=policy)
    client = serve(**WAIT)

    marked, plain = (score(client, sent) for sent in ("<p>warm</p>", "warm"))

    assert (marked["score"], marked["scored_by"]) == (plain["score"], plain["scored_by"])
    if policy == "unsure":
        assert (marked["scored_by"], marked["score"]) == ("teacher", 2)
        return
    for number in (marked["prediction_id"], plain["prediction_id"]):
        logged = until(partial(read, client, number), lambda prediction: prediction["shadow"] is not None)
        assert logged["shadow"]["score"] == 2
