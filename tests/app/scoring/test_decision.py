from pathlib import Path
from typing import Literal

import pytest

from app.scoring.conditions import Examination
from app.scoring.decision import LiveItem, LoadedStudent, decide, judge
from app.scoring.decoding import Score
from app.scoring.live_version import read_active
from app.scoring.student import Student
from tests.tiny import BlanksOnly, write_tiny_bundle


class WordCountStudent(BlanksOnly):
    """Scores a response by its number of words, and remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def read(self, responses: list[str]) -> list[str]:
        return responses

    def score_read(self, responses: list[str]) -> list[Score]:
        self.calls.append(responses)
        return [Score(min(len(text.split()), 3), None, (), None, 0.9) for text in responses]


def a_live_item(tmp_path: Path, student: WordCountStudent, mode: Literal["auto", "suggest"] = "auto") -> LiveItem:
    folder = write_tiny_bundle(tmp_path, mode=mode)
    return LiveItem(Student.load(folder).bundle, LoadedStudent(student), read_active(folder.parent))


def test_blank_responses_never_reach_the_student_and_order_is_kept(tmp_path: Path) -> None:
    student = WordCountStudent()

    judgements = a_live_item(tmp_path, student).judge(["warm air", " ", "heat", ""])

    assert student.calls == [["warm air", "heat"]]
    assert [j.score.value if j.score else None for j in judgements] == [2, None, 1, None]
    assert [j.decision for j in judgements] == ["auto", "not_scorable", "auto", "not_scorable"]
    assert [j.condition for j in judgements] == [None, "blank", None, "blank"]
    assert [j.scored_by for j in judgements] == ["student", "rule", "student", "rule"]


@pytest.mark.parametrize("mode", ["auto", "suggest"])
def test_rule_gives_missing_answers_the_worst_score_in_either_mode(mode: Literal["auto", "suggest"]) -> None:
    student = WordCountStudent()

    blank, answer = judge(["", "warm air"], student, 0.8, mode, worst=0)

    assert (blank.value, blank.score, blank.condition) == (0, None, "blank")
    assert (blank.decision, blank.scored_by, blank.unsure) == ("auto", "rule", False)
    assert (answer.value, answer.by_rule, answer.scored_by) == (2, None, "student")
    assert student.calls == [["warm air"]]


def test_suggested_score_is_always_reviewed(tmp_path: Path) -> None:
    [judgement] = a_live_item(tmp_path, WordCountStudent(), "suggest").judge(["warm air"])

    assert judgement.decision == "review"


def test_only_blank_responses_need_no_student(tmp_path: Path) -> None:
    student = WordCountStudent()

    a_live_item(tmp_path, student).judge(["", " "])

    assert student.calls == []


class HeatIsOffTopic(WordCountStudent):
    """Flags a response that names heat, and holds back blank ones."""

    def examine(self, response: str, _: object = None) -> Examination:
        return BlanksOnly().examine(response) if "heat" not in response else Examination(flags=("off_topic",))


def test_judgement_before_the_release_equals_that_of_the_live_item() -> None:
    texts = ["warm air", "", "heat rises", "cold"]

    judgements = judge(texts, HeatIsOffTopic(), 0.9, "auto")

    assert [judgement.decision for judgement in judgements] == ["auto", "not_scorable", "review", "auto"]
    assert [judgement.flags for judgement in judgements] == [(), (), ("off_topic",), ()]
    assert [judgement.score.value if judgement.score else None for judgement in judgements] == [2, None, 2, 1]


@pytest.mark.parametrize(("threshold", "mode"), [(0.91, "auto"), (None, "auto"), (0.5, "suggest")])
def test_score_below_the_threshold_is_reviewed(threshold: float | None, mode: Literal["auto", "suggest"]) -> None:
    [judgement] = judge(["warm air"], WordCountStudent(), threshold, mode)

    assert judgement.decision == "review"


@pytest.mark.parametrize(
    ("confidence", "threshold", "mode", "expected"),
    [
        (0.8, 0.8, "auto", "auto"),  # the threshold itself is enough
        (0.79, 0.8, "auto", "review"),
        (1.0, None, "auto", "review"),  # no confidence is enough
        (1.0, 0.0, "suggest", "review"),
    ],
)
def test_decide(confidence: float, threshold: float | None, mode: Literal["auto", "suggest"], expected: str) -> None:
    assert decide(confidence, threshold, mode) == expected
