"""The record of one response: its prediction, and the row that the log writes."""

from pathlib import Path

import pytest

from app.scoring.registry import load_item
from app.service.prediction import Prediction, Submission
from app.service.scored_response import JudgedResponse, ScoredResponse, predict, row_of
from app.storage.attempts import MARKED_BEFORE, LogRow
from app.storage.tables import LoggedPrediction

ITEMS = ["heat-1", "plants-2", "belief-3", "shade-6"]  # one of each scale


def scored(models: Path, item_id: str, text: str = "warm air") -> ScoredResponse:
    live = load_item(models, item_id)
    [judgement] = live.judge([text])
    judged = JudgedResponse(0, Submission(item_id, text, gradebook_max=10), live, judgement)
    return ScoredResponse(judged, predict(judged))


def row(response: ScoredResponse) -> LogRow:
    return row_of(response, key_id=None, learner_hash=None, keeps_text=True)


def test_row_has_every_column_of_the_log(tiny_models: Path) -> None:
    assert row(scored(tiny_models, "heat-1")).keys() == {*LoggedPrediction.__table__.columns.keys()}


@pytest.mark.parametrize("item_id", ITEMS)
@pytest.mark.parametrize("text", ["warm air", ""])
def test_prediction_read_from_its_row_is_the_same(tiny_models: Path, item_id: str, text: str) -> None:
    response = scored(tiny_models, item_id, text)

    assert Prediction.model_validate(row(response)) == response.prediction


def test_response_of_a_marked_attempt_is_for_review(tiny_models: Path) -> None:
    response = scored(tiny_models, "heat-1")
    written = row(response) | {"decision": "review", "flags": [MARKED_BEFORE]}

    as_written = response.as_written(written)

    assert (as_written.prediction.decision, as_written.prediction.flags) == ("review", [MARKED_BEFORE])
    assert as_written.prediction.grading_progress == "PendingManual"
    assert response.as_written(row(response)) is response
