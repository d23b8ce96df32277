import hashlib
import hmac
import threading
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.scoring.decision import LiveItem, LoadedStudent
from app.scoring.decoding import Score
from app.scoring.errors import BadBundle
from app.scoring.registry import Registry, RegistrySnapshot, load_item
from app.service.prediction import Once, Prediction, Refusal, Result, Submission
from app.service.scorer import IdempotencyConflict, ScoringService
from app.service.student_runner import Judged
from app.settings import Settings
from tests.app.conftest import Logged, Sql
from tests.app.scoring_services import scoring_service
from tests.refusals import log_lines
from tests.tiny import BlanksOnly

ONCE = Once("quiz-7/attempt-2", "0" * 64)


class WordCountStudent(BlanksOnly):
    """Scores a response by its number of words, up to the top, and remembers its calls."""

    def __init__(self, choices: int) -> None:
        self.asked: list[list[str]] = []
        self._choices = choices

    def read(self, responses: list[str]) -> list[str]:
        return responses

    def score_read(self, responses: list[str]) -> list[Score]:
        self.asked.append(responses)
        words = [min(len(text.split()), self._choices - 1) for text in responses]
        return [
            Score(count, float(count), tuple(float(count == choice) for choice in range(self._choices)), None, 0.9)
            for count in words
        ]


@pytest.fixture
def students() -> dict[str, WordCountStudent]:
    return {"heat-1": WordCountStudent(4), "plants-2": WordCountStudent(3)}


@pytest.fixture
def registry(tiny_models: Path, students: dict[str, WordCountStudent]) -> Registry:
    loaded = {item_id: load_item(tiny_models, item_id) for item_id in students}
    live = {name: LiveItem(item.bundle, LoadedStudent(students[name]), item.active) for name, item in loaded.items()}
    return Registry(RegistrySnapshot(live, {"moon-5": BadBundle("student.onnx has changed")}))


@pytest.fixture
def scorer(registry: Registry, engine: Engine) -> ScoringService:
    return scoring_service(registry, engine)


def score(scorer: ScoringService, *submissions: Submission | Refusal, once: Once | None = None) -> list[Result]:
    return anyio.run(scorer.score, submissions, None, once)


def scores(results: list[Result]) -> list[float | str | None]:
    return [result.score if isinstance(result, Prediction) else result.error for result in results]


def test_results_come_in_order_and_each_student_is_asked_once(
    scorer: ScoringService, students: dict[str, WordCountStudent], logged: Logged
) -> None:
    results = score(
        scorer,
        Submission("heat-1", "warm air goes"),
        Submission("plants-2", "light"),
        Refusal(error="InvalidRequest", code="invalid_request", detail="response: Field required"),
        Submission("heat-1", ""),
        Submission("asap-99", "warm"),
        Submission("moon-5", "warm"),
        Submission("heat-1", "warm"),
    )

    assert scores(results) == [3, 1, "InvalidRequest", None, "UnknownItem", "ItemNotReady", 1]
    assert students["heat-1"].asked == [["warm air goes", "warm"]]
    assert students["plants-2"].asked == [["light"]]
    assert [row.score for row in logged()] == [3, 1, None, 1]


def test_no_student_scores_a_blank_response(scorer: ScoringService, students: dict[str, WordCountStudent]) -> None:
    [result] = score(scorer, Submission("heat-1", " \u200b\n"))

    assert isinstance(result, Prediction)
    assert (result.scored_by, result.decision) == ("rule", "not_scorable")
    assert students["heat-1"].asked == []


def test_repeated_call_scores_and_writes_nothing(
    scorer: ScoringService, students: dict[str, WordCountStudent], logged: Logged
) -> None:
    submissions = [Submission("heat-1", "warm air"), Submission("asap-99", "warm air"), Submission("plants-2", "")]

    first = score(scorer, *submissions, once=ONCE)
    again = score(scorer, *submissions, once=ONCE)

    assert again == first
    assert [type(result) for result in again] == [Prediction, Refusal, Prediction]
    assert students["heat-1"].asked == [["warm air"]]
    assert len(logged()) == 2


def test_idempotency_key_with_another_body_is_a_conflict(scorer: ScoringService, logged: Logged) -> None:
    score(scorer, Submission("heat-1", "warm air"), once=ONCE)

    with pytest.raises(IdempotencyConflict):
        score(scorer, Submission("heat-1", "warm"), once=Once(ONCE.idempotency_key, "1" * 64))

    assert [row.score for row in logged()] == [2]


def test_unrecorded_score_is_not_returned(scorer: ScoringService, sql: Sql) -> None:
    sql("ALTER TABLE predictions RENAME TO gone")

    with pytest.raises(SQLAlchemyError):
        score(scorer, Submission("heat-1", "warm air"), once=ONCE)

    assert sql("SELECT * FROM idempotency_claims") == []


@pytest.mark.parametrize(
    ("key", "learner_id", "kept"),
    [
        ("this school's own secret", "anna", True),
        ("this school's own secret", None, False),
        (None, "anna", False),
    ],
)
def test_learner_is_logged_as_a_pseudonym_if_there_is_a_key(
    registry: Registry, engine: Engine, logged: Logged, key: str | None, learner_id: str | None, *, kept: bool
) -> None:
    scorer = scoring_service(registry, engine, Settings.model_validate({"learner_key": key}))

    score(scorer, Submission("heat-1", "warm air", learner_id=learner_id))

    pseudonym = hmac.new(b"this school's own secret", b"anna", hashlib.sha256).hexdigest()
    assert [row.learner_hash for row in logged()] == [pseudonym if kept else None]


class Breaking(WordCountStudent):
    def score_read(self, responses: list[str]) -> list[Score]:
        if any("poison" in text for text in responses):
            raise ValueError("math domain error in 'poison'")
        return super().score_read(responses)


def test_one_response_that_fails_does_not_fail_the_rest_of_a_batch(
    registry: Registry, scorer: ScoringService, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    before = registry.live["heat-1"]
    breaking = LiveItem(before.bundle, LoadedStudent(Breaking(4)), before.active)
    registry.snapshot = RegistrySnapshot({**registry.live, "heat-1": breaking})
    texts = [("heat-1", "warm air goes"), ("heat-1", "poison"), ("plants-2", "light"), ("heat-1", "warm")]

    results = score(scorer, *(Submission(item_id, text) for item_id, text in texts))

    assert scores(results) == [3, "NotJudged", 1, 1]
    assert len(logged()) == 3
    assert log_lines(caplog, "not_judged") == [{"item_id": "heat-1", "error": "ValueError"}]
    assert "poison" not in caplog.text


def test_batch_is_judged_while_all_default_threads_are_busy(scorer: ScoringService) -> None:
    async def crowded() -> Judged:
        limiter, done = to_thread.current_default_thread_limiter(), threading.Event()
        async with anyio.create_task_group() as group:
            for _ in range(int(limiter.total_tokens)):
                group.start_soon(lambda: to_thread.run_sync(done.wait))
            while limiter.available_tokens:
                await anyio.sleep(0.01)
            with anyio.fail_after(10):
                submissions = {0: Submission("heat-1", "warm"), 1: Submission("heat-1", "air")}
                judged = await scorer.student_runner.judge(submissions, alone=False)
            done.set()
        return judged

    assert len(anyio.run(crowded).responses) == 2
