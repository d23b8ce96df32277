"""The cases in which a teacher is asked, and the decisions that follow from its score.

The student is .9094 sure of one or two words and .9526 of three; the teacher (tests/tiny_teacher.py) gives one point
more.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from app.scoring.conditions import Limits
from app.scoring.decision import Decision, Judgement, LiveItem, SecondScorer
from app.scoring.decoding import Score
from app.scoring.registry import load_item
from app.scoring.teacher import ExportedTeacher
from tests.tiny import write_tiny_bundle
from tests.tiny_teacher import NAME, SURE, VERSION, fall_back, item_of, plus_one_onnx, write_tiny_teacher

LABELS: dict[str, Any] = {"scale": "nominal", "labels": ["none", "one", "two", "three"]}
GRADES: dict[str, Any] = {"scale": "continuous", "min_score": 1, "max_score": 6}
LONG = "warm " * 70  # more than is read
NO_LIMITS = Limits()


def live_item(
    models: Path,
    *,
    student: float | None = SURE,
    teacher: float | None = SURE,
    policy: Literal["unsure", "shadow"] = "unsure",
    mode: Literal["auto", "suggest"] = "auto",
    item: dict[str, Any] | None = None,
    limits: Limits = NO_LIMITS,
) -> LiveItem:
    """Return an item; `student` and `teacher` are their thresholds."""
    bundled = item_of(write_tiny_bundle(models, threshold=student, item=item, limits=limits))
    write_tiny_teacher(models, [bundled], threshold=teacher)
    fall_back(models, policy=policy, mode=mode)
    return load_item(models, "heat-1")


class Asked(SecondScorer):
    """Remembers the responses, and lets another teacher score them."""

    def __init__(self, behind: SecondScorer) -> None:
        self.policy, self.title, self.threshold = behind.policy, behind.title, behind.threshold
        self.responses: list[str] = []
        self._behind = behind

    def score(self, response: str) -> Score:
        self.responses.append(response)
        return self._behind.score(response)


def asked_of(live: LiveItem) -> list[str]:
    """Return the list to which each response for the item's teacher will be added."""
    assert live.second is not None
    live.second = Asked(live.second)
    return live.second.responses


def seen(judgement: Judgement) -> tuple[str, Decision, Any]:
    """Return the origin, the decision and the value of a judgement."""
    return judgement.scored_by, judgement.decision, None if judgement.score is None else judgement.score.value


def test_only_unsure_responses_reach_the_teacher(tmp_path: Path) -> None:
    live = live_item(tmp_path)
    asked = asked_of(live)

    judged = live.judge_fully(["warm", "warm air goes", "warm air", "", "air goes up and", LONG])

    assert asked == ["warm", "warm air"]
    assert [seen(judgement) for judgement in judged] == [
        ("teacher", "review", 2),
        ("student", "auto", 3),
        ("teacher", "auto", 3),
        ("rule", "not_scorable", None),
        ("student", "auto", 3),
        ("student", "review", 3),  # flagged: over_long
    ]


def test_teacher_score_keeps_the_student_score(tmp_path: Path) -> None:
    [judgement] = live_item(tmp_path).judge_fully(["warm"])

    assert judgement.first is not None
    assert judgement.first.value == 1
    assert judgement.first.confidence == pytest.approx(0.9094, abs=1e-4)
    assert judgement.score is not None
    assert (judgement.score.value, judgement.flags, judgement.condition) == (2, (), None)


def test_student_score_has_no_first_score(tmp_path: Path) -> None:
    assert [judgement.first for judgement in live_item(tmp_path).judge_fully(["warm air goes", "", LONG])] == [None] * 3


@pytest.mark.parametrize(
    ("student", "asked"),
    [
        (0.9, []),  # sure of all
        (SURE, ["warm"]),
        (0.96, ["warm", "warm air goes"]),
        (None, ["warm", "warm air goes"]),  # no confidence is enough
    ],
)
def test_student_threshold_decides_if_the_teacher_is_asked(
    tmp_path: Path, student: float | None, asked: list[str]
) -> None:
    live = live_item(tmp_path, student=student)
    responses = asked_of(live)

    live.judge_fully(["warm", "warm air goes"])

    assert responses == asked


def test_confidence_at_the_threshold_is_sure(tmp_path: Path) -> None:
    [judgement] = live_item(tmp_path).judge(["warm"])
    assert judgement.score is not None

    live = live_item(tmp_path / "b", student=judgement.score.confidence)
    asked = asked_of(live)

    assert seen(live.judge_fully(["warm"])[0]) == ("student", "auto", 1)
    assert asked == []


@pytest.mark.parametrize(
    ("teacher", "decisions"),
    [
        (SURE, ["review", "auto"]),
        (0.9, ["auto", "auto"]),
        (0.96, ["review", "review"]),
        (None, ["review", "review"]),
    ],
)
def test_teacher_threshold_decides_if_its_score_stands(
    tmp_path: Path, teacher: float | None, decisions: list[Decision]
) -> None:
    """Of which it is .9094 and .9526 sure; the student's threshold is the same throughout."""
    judged = live_item(tmp_path, teacher=teacher).judge_fully(["warm", "warm air"])

    assert [judgement.scored_by for judgement in judged] == ["teacher", "teacher"]
    assert [judgement.decision for judgement in judged] == decisions


def test_teachers_are_asked_in_mode_suggest_and_no_score_stands(tmp_path: Path) -> None:
    live = live_item(tmp_path, mode="suggest", teacher=0.5)

    judged = live.judge_fully(["warm", "warm air", "warm air goes"])

    assert [judgement.scored_by for judgement in judged] == ["teacher", "teacher", "student"]
    assert [judgement.decision for judgement in judged] == ["review"] * 3


def test_flagged_response_asks_no_teacher(tmp_path: Path) -> None:
    """A person looks at any confidence."""
    live = live_item(tmp_path, student=0.99)
    asked = asked_of(live)

    [judgement] = live.judge_fully([LONG])

    assert judgement.flags == ("over_long",)
    assert (seen(judgement), asked) == (("student", "review", 3), [])


@pytest.mark.parametrize("response", ["", " \n", "idk"])
def test_response_with_a_condition_asks_no_teacher(tmp_path: Path, response: str) -> None:
    live = live_item(tmp_path, student=None, limits=Limits(refusals=("idk",)))
    asked = asked_of(live)

    [judgement] = live.judge_fully([response])

    assert (seen(judgement), asked) == (("rule", "not_scorable", None), [])


def test_teacher_in_the_shadow_changes_nothing(tmp_path: Path) -> None:
    live = live_item(tmp_path, policy="shadow", teacher=0.5)
    asked = asked_of(live)
    responses = ["warm", "warm air goes", ""]

    assert live.judge_fully(responses) == live.judge(responses)
    assert asked == []
    assert not any(live.falls_back(judgement) for judgement in live.judge(responses))


def test_item_without_a_teacher_does_not_fall_back(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, threshold=SURE)
    live = load_item(tmp_path, "heat-1")

    [judgement] = live.judge(["warm"])

    assert judgement.unsure
    assert not live.falls_back(judgement)
    assert live.judge_fully(["warm"]) == [judgement]


def test_student_score_is_reviewed_without_a_teacher_score(tmp_path: Path) -> None:
    live = live_item(tmp_path)
    [judgement] = live.judge(["warm"])

    again = live.judge_again(judgement, None)

    assert seen(again) == ("student", "review", 1)
    assert again.first is None


def test_student_score_is_reviewed_after_a_teacher_error(tmp_path: Path) -> None:
    bundled = item_of(write_tiny_bundle(tmp_path, threshold=SURE))
    write_tiny_teacher(tmp_path, [bundled], members=[plus_one_onnx(bundled, fails_at="sinks")])
    fall_back(tmp_path)

    judged = load_item(tmp_path, "heat-1").judge_fully(["warm air", "air sinks", "warm"])

    assert [seen(judgement) for judgement in judged] == [
        ("teacher", "auto", 3),
        ("student", "review", 2),
        ("teacher", "review", 2),
    ]


def test_single_responses_are_judged_as_in_a_list(tmp_path: Path) -> None:
    live = live_item(tmp_path)
    responses = ["warm", "warm air goes", "", "warm air", LONG]

    assert [live.judge_fully([text])[0] for text in responses] == live.judge_fully(responses)


@pytest.mark.parametrize(
    ("item", "first", "second"), [(LABELS, 1, 2), (GRADES, 2.25, 3.5)], ids=["nominal", "continuous"]
)
def test_labels_and_grades_fall_back_too(tmp_path: Path, item: dict[str, Any], first: float, second: float) -> None:
    [judgement] = live_item(tmp_path, item=item, student=0.99, teacher=0.5).judge_fully(["warm"])

    assert judgement.first is not None
    assert judgement.first.value == pytest.approx(first)
    assert seen(judgement) == ("teacher", "auto", pytest.approx(second))


@pytest.mark.parametrize("mode", ["auto", "suggest"])
@pytest.mark.parametrize(
    ("student", "teacher", "response", "stands"),
    [
        (SURE, SURE, "warm", False),  # the teacher's 2, of which it is not sure enough
        (SURE, SURE, "warm air", True),  # the teacher's 3
        (SURE, 0.9, "warm", True),  # though the student's threshold is higher
        (SURE, 0.96, "warm air", False),  # though the student's threshold is lower
        (SURE, None, "warm air", False),
        (SURE, None, "warm air goes", True),  # the student's score
        (None, None, "warm air goes", False),
        (SURE, SURE, "", False),
        (SURE, 0.5, LONG, False),
    ],
)
def test_threshold_of_the_scoring_model_decides_if_a_score_stands(
    tmp_path: Path,
    mode: Literal["auto", "suggest"],
    student: float | None,
    teacher: float | None,
    response: str,
    stands: bool,
) -> None:
    live = live_item(tmp_path, student=student, teacher=teacher, mode=mode)

    [judgement] = live.judge_fully([response])

    assert live.stands(judgement) is stands
    assert (judgement.decision == "auto") is (stands and mode == "auto")


def test_second_scorer_has_name_and_version(tmp_path: Path) -> None:
    live = live_item(tmp_path, policy="shadow", teacher=0.5)

    assert live.second is not None
    assert (live.second.title, live.second.policy, live.second.threshold) == (f"{NAME}/{VERSION}", "shadow", 0.5)


def test_second_scorer_reads_the_context_of_its_item(tmp_path: Path) -> None:
    """Two items of one teacher, which counts the words of context and response."""
    items = [item_of(write_tiny_bundle(tmp_path, name)) for name in ("heat-1", "heat-2")]
    folders: Sequence[Path] = [
        write_tiny_teacher(tmp_path, [item], name=item.item_id, context=context, members=[plus_one_onnx(item, more=0)])
        for item, context in zip(items, ["heat", "heat rises"], strict=True)
    ]
    teachers = [ExportedTeacher.load(folder) for folder in folders]

    scores = [
        SecondScorer(teacher, teacher.taught(item), "unsure").score("warm").value
        for teacher, item in zip(teachers, items, strict=True)
    ]

    assert scores == [2, 3]
