"""Evidence of a student that gives a point a word: 1 and 2 with confidence .9094, 3 with .9526."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.scoring.bundle import Calibration, Head, PredictionSet
from app.scoring.conditions import Limits
from app.scoring.decision import Judgement
from app.scoring.decoding import Score
from app.scoring.evidence import AttackFigures, Evidence, Recall
from app.scoring.item import Item
from app.scoring.student import Student
from tests.tiny import write_tiny_bundle
from training.data.responses import MarkedResponse
from training.evaluation.evidence import (
    Pair,
    attacked,
    flagged,
    is_worth,
    measured,
    on_trial,
    scored_pairs,
    uncalibrated,
)

MIDDLE, TOP = 1 / (1 + 2 * np.exp(-3)), 1 / (1 + np.exp(-3))  # but for terms of e⁻¹² and less
LABELS: dict[str, Any] = {"scale": "nominal", "labels": ["no idea", "heat is a thing", "air moves"]}
GRADES: dict[str, Any] = {"scale": "continuous", "min_score": 1, "max_score": 6}
ASKED = "why does the warm air of a closed room rise to the top of it"
COPIES: dict[str, Any] = {
    "item": {"scale": "points", "max_score": 3, "prompt": ASKED},
    "limits": Limits(copied=0.5),
}
REFUSALS = Limits(refusals=("idk",))
NO_ATTACKS: dict[str, list[str]] = {}


def a_student(models: Path, head: dict[str, Any] | None = None, **differs: Any) -> Student:
    """Load a student, with another head than its file has if `head` is given."""
    student = Student.load(write_tiny_bundle(models, **differs))
    changed = student.bundle.head.model_copy(update=head or {})
    return Student(student.bundle.model_copy(update={"head": changed}), student.network, "")


def a_row(text: str, value: float, raters: tuple[float, float] | None = None, **groups: str) -> MarkedResponse:
    return MarkedResponse(text, "heat-1", text, value, raters, None, tuple(groups.items()))


ROWS = [
    a_row("warm", 1, gender="f"),
    a_row("warm air", 2, gender="f"),
    a_row("warm air goes", 3, gender="m"),
    a_row("cold air", 0, gender="m"),  # scored 2
    a_row(" ", 0, gender="f"),  # blank, so that no model scores it
]


def evidence_on(student: Student, rows: list[MarkedResponse]) -> Evidence:
    return measured(student, rows, NO_ATTACKS).evidence


def judged_pairs(student: Student, rows: list[MarkedResponse]) -> tuple[list[Pair], list[Judgement]]:
    live = on_trial(student)
    judged = live.judge([row.text for row in rows])
    return scored_pairs(live, rows, judged), judged


def tried(student: Student, texts: list[str], kind: str = "characters") -> AttackFigures:
    return attacked(on_trial(student), {kind: texts})[kind]


def test_only_scored_responses_are_measured(tmp_path: Path) -> None:
    figures = measured(a_student(tmp_path), ROWS, NO_ATTACKS)

    assert figures.agreement is not None
    assert (figures.agreement.n, figures.agreement.exact) == (4, 0.75)
    assert figures.flagged == {"blank": 0.2}
    assert sum(entry.n for entry in figures.evidence.recalls.values()) == 4


def test_calibration_error_is_measured_before_and_after_calibration(tmp_path: Path) -> None:
    line = Calibration(intercept=-np.log(2))  # halves the odds
    student = a_student(tmp_path, {"calibration": line})

    evidence = evidence_on(student, ROWS)

    assert evidence.ece_uncalibrated == pytest.approx((3 * MIDDLE + TOP) / 4 - 0.75, abs=1e-4)
    # The odds of .9094 and .9526 are about 10 and 20.  Half of these odds are confidence .8339 and .9094: two bins.
    half = [entry / (entry + 2 * (1 - entry)) for entry in (MIDDLE, TOP)]
    assert half == pytest.approx([0.8339, 0.9094], abs=1e-3)
    assert evidence.ece == pytest.approx(3 / 4 * (half[0] - 2 / 3) + 1 / 4 * (1 - half[1]), abs=1e-4)


def test_uncalibrated_probability_ignores_the_temperature(tmp_path: Path) -> None:
    plain, flat = a_student(tmp_path / "a"), a_student(tmp_path / "b", {"calibration": Calibration(temperature=3)})

    assert evidence_on(flat, ROWS).ece_uncalibrated == pytest.approx(evidence_on(plain, ROWS).ece_uncalibrated)
    assert evidence_on(flat, ROWS).ece != pytest.approx(evidence_on(plain, ROWS).ece)


def test_size_and_coverage_of_sets_are_measured(tmp_path: Path) -> None:
    """The sets are {0, 1, 2}, {1, 2, 3}, {2, 3} and {1, 2, 3}, which lacks the human score 0."""
    evidence = evidence_on(a_student(tmp_path), ROWS)

    assert (evidence.coverage, evidence.set_size) == (0.75, 11 / 4)


@pytest.mark.parametrize(("threshold", "share", "exact"), [(0.8, 1.0, 0.75), (0.92, 0.25, 1.0), (None, 0.0, None)])
def test_accepted_scores_are_measured_separately(
    tmp_path: Path, threshold: float | None, share: float, exact: float | None
) -> None:
    accepted = evidence_on(a_student(tmp_path, threshold=threshold), ROWS).accepted

    assert accepted is not None
    assert accepted.share == share
    assert (accepted.agreement and accepted.agreement.exact) == exact


def test_flagged_responses_are_never_accepted(tmp_path: Path) -> None:
    rows, student = [*ROWS[:4], a_row(ASKED, 3)], a_student(tmp_path, **COPIES)

    figures, judged = judged_pairs(student, rows)
    accepted = evidence_on(student, rows).accepted

    assert [pair.stands for pair in figures] == [True, True, True, True, False]
    assert judged[-1].flags == ("copied",)
    assert accepted is not None
    assert accepted.share == 4 / 5


def test_pairs_join_each_row_with_its_score(tmp_path: Path) -> None:
    student = a_student(tmp_path)

    figures, judged = judged_pairs(student, [ROWS[4], *ROWS[:4]])

    assert [pair.row for pair in figures] == ROWS[:4]
    assert [pair.score.value for pair in figures] == [1, 2, 3, 2]
    assert uncalibrated(student, figures) == pytest.approx([MIDDLE, MIDDLE, TOP, MIDDLE], abs=1e-4)
    assert [entry.condition for entry in judged] == ["blank", None, None, None, None]


def test_recall_is_measured_for_each_human_score(tmp_path: Path) -> None:
    recalls = evidence_on(a_student(tmp_path), [*ROWS, a_row("cold", 2)]).recalls

    assert recalls == {
        "0": Recall(n=1, recall=0),
        "1": Recall(n=1, recall=1),
        "2": Recall(n=2, recall=0.5),
        "3": Recall(n=1, recall=1),
    }


def test_recalls_of_labels_are_named(tmp_path: Path) -> None:
    rows = [a_row("warm", 1), a_row("warm air", 1), a_row("warm air goes", 2)]

    evidence = evidence_on(a_student(tmp_path, item=LABELS), rows)

    assert evidence.recalls == {"heat is a thing": Recall(n=2, recall=0.5), "air moves": Recall(n=1, recall=1)}


def test_groups_are_compared_on_scored_responses(tmp_path: Path) -> None:
    """Human scores 1, 2 of 1, 2, 3, 0; machine scores 1, 2 of 1, 2, 3, 2 with mean 2 and variance 2/3."""
    groups = evidence_on(a_student(tmp_path), ROWS).groups

    apart = 0.5 / np.sqrt(2 / 3)
    assert set(groups) == {"gender=f", "gender=m"}
    assert (groups["gender=f"].n, groups["gender=f"].mean_difference) == (2, 0)
    assert (groups["gender=m"].n, groups["gender=m"].mean_difference) == (2, 1)
    assert groups["gender=f"].dsm == pytest.approx(-apart)
    assert groups["gender=m"].dsm == pytest.approx(apart)
    of_f, of_m = groups["gender=f"].agreement, groups["gender=m"].agreement
    assert (of_f and of_f.exact, of_m and of_m.exact) == (1, 0.5)


def test_nominal_labels_have_no_dsm(tmp_path: Path) -> None:
    rows = [a_row("warm", 1, school="a"), a_row("warm air", 1, school="b")]

    groups = evidence_on(a_student(tmp_path, item=LABELS), rows).groups

    assert [entry.dsm for entry in groups.values()] == [None, None]
    assert [entry.agreement and entry.agreement.exact for entry in groups.values()] == [1, 0]


def test_constant_scores_have_no_dsm(tmp_path: Path) -> None:
    groups = evidence_on(a_student(tmp_path), [a_row("warm", 1, gender="f"), a_row("cold", 1, gender="m")]).groups

    assert [entry.dsm for entry in groups.values()] == [None, None]


def test_grades_have_intervals_without_sets_or_recalls(tmp_path: Path) -> None:
    """The student gives 1.25 a word from 1, ± .82 (.1645 of the scale); within .5 a grade is right."""
    rows = [a_row("warm", 2.25), a_row("warm air", 4.2), a_row("warm air goes", 4.0), a_row("cold air", 1)]
    student = a_student(tmp_path, item=GRADES, threshold=0.5)

    evidence = evidence_on(student, rows)

    assert (evidence.coverage, evidence.set_size, evidence.recalls) == (0.75, None, {})
    assert evidence.ece == pytest.approx(0.6827 - 0.25, abs=1e-3)
    assert evidence.ece == evidence.ece_uncalibrated
    assert evidence.accepted is not None
    assert evidence.accepted.share == 1


def test_calibration_error_of_grades_is_measured_before_and_after(tmp_path: Path) -> None:
    line = Calibration(intercept=-np.log(2))

    evidence = evidence_on(a_student(tmp_path, {"calibration": line}, item=GRADES), [a_row("warm", 2.25)])

    assert evidence.ece_uncalibrated == pytest.approx(1 - 0.6827, abs=1e-3)
    assert evidence.ece == pytest.approx(1 - 0.6827 / (0.6827 + 2 * 0.3173), abs=1e-3)


def test_junk_is_accepted_if_it_stands_above_the_lowest_score(tmp_path: Path) -> None:
    student = a_student(tmp_path, limits=REFUSALS)
    texts = ["warm air", "idk", "zebra", ""]  # scored 2, held back, scored 1, held back

    figures = tried(student, texts)

    assert figures == AttackFigures(n=4, accepted=0.5, unguarded=0.75, junk=True)  # only held-back texts get no score


def test_no_threshold_accepts_no_attack(tmp_path: Path) -> None:
    figures = tried(a_student(tmp_path, threshold=None), ["warm air"] * 3, "shuffled")

    assert figures == AttackFigures(n=3, accepted=0, unguarded=0, junk=False)


def test_threshold_holds_back_unsure_junk(tmp_path: Path) -> None:
    figures = tried(a_student(tmp_path, threshold=0.92), ["warm", "warm air goes"])

    assert (figures.accepted, figures.unguarded) == (0.5, 0.5)


def test_flags_hold_back_confident_junk(tmp_path: Path) -> None:
    figures = tried(a_student(tmp_path, **COPIES), [ASKED])

    assert (figures.accepted, figures.unguarded) == (0, 1)


def test_any_nominal_label_is_worth_something(tmp_path: Path) -> None:
    figures = tried(a_student(tmp_path, item=LABELS), ["warm"])

    assert figures.accepted == 1


def a_score(value: float) -> Score:
    return Score(value, None, None, None, 1.0)


POINTS = Item(item_id="heat-1", prompt="Why?", scale="points", max_score=3)
NOMINAL = Item(item_id="belief-3", prompt="Is it air?", scale="nominal", labels=("yes", "no"))
WARMTH = Item(item_id="shade-6", prompt="How warm?", scale="continuous", min_score=1, max_score=6)


@pytest.mark.parametrize(
    ("item", "value", "worth"),
    [
        (POINTS, 0, False),
        (POINTS, 1, True),
        (NOMINAL, 0, True),
        (WARMTH, 1.0, False),
        (WARMTH, 1.5, False),  # within the tolerance of the lowest grade
        (WARMTH, 1.6, True),
    ],
)
def test_only_scores_above_the_lowest_are_worth_something(item: Item, value: float, worth: bool) -> None:
    assert is_worth(item, a_score(value)) is worth
    assert is_worth(item, None) is False


def test_attacks_are_marked_as_junk_or_changed(tmp_path: Path) -> None:
    attacks = {"characters": ["zebra"], "shuffled": ["air warm", ""]}

    evidence = measured(a_student(tmp_path), ROWS, attacks).evidence

    assert evidence.attacks == {
        "characters": AttackFigures(n=1, accepted=1, unguarded=1, junk=True),
        "shuffled": AttackFigures(n=2, accepted=0.5, unguarded=0.5, junk=False),
    }
    assert evidence.junk_accepted == 1


@pytest.mark.parametrize("rows", [[], [a_row(" ", 0)]])
def test_without_scored_responses_only_attacks_are_measured(tmp_path: Path, rows: list[MarkedResponse]) -> None:
    figures = measured(a_student(tmp_path), rows, {"characters": ["zebra"]})

    assert figures.agreement is None
    assert figures.evidence == Evidence(
        n=0, attacks={"characters": AttackFigures(n=1, accepted=1, unguarded=1, junk=True)}
    )
    assert figures.flagged == ({"blank": 1.0} if rows else {})


def test_evidence_uses_the_head_of_the_bundle(tmp_path: Path) -> None:
    head = Head(cuts=(0.5, 1.5, 1.9), prediction_set=PredictionSet(coverage=0.9, least=0.5))

    evidence = evidence_on(a_student(tmp_path, head.model_dump(exclude={"calibration"}) | dict(head)), ROWS)

    assert evidence.recalls["2"].recall == 0  # two words reach the third cut
    assert evidence.recalls["3"].recall == 1


def a_judgement(*flags: Any, condition: Any = None) -> Judgement:
    score = None if condition else a_score(1)
    return Judgement(score, condition, flags, "not_scorable" if condition else "review", "heat")


def test_flagged_shares_are_of_all_responses() -> None:
    figures = [
        a_judgement(condition="blank"),
        a_judgement(),
        a_judgement("copied", "off_topic"),
        a_judgement("copied"),
    ]

    assert flagged(figures) == {"blank": 0.25, "copied": 0.5, "off_topic": 0.25}
    assert flagged([]) == {}
