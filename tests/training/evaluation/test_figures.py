"""Figures computed by hand for a student that gives a point a word (measured.py)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.scoring.agreement import MIN_PAIRS
from app.scoring.conditions import Limits
from app.scoring.evidence import LearningPoint
from app.scoring.gate import Policy
from tests.tiny_teacher import SURE
from tests.training.evaluation.measured import MIDDLE, TOP, a_live_item, a_row, figures_on
from training.data.responses import MarkedResponse
from training.evaluation.item_report import ItemReport
from training.evaluation.report import write_json

LABELS: dict[str, Any] = {"scale": "nominal", "labels": ["no idea", "heat is a thing", "air moves"]}
RANKS: dict[str, Any] = {"scale": "ordinal", "labels": ["poor", "fair", "good", "best"]}
GRADES: dict[str, Any] = {"scale": "continuous", "min_score": 1, "max_score": 6}
ROWS = [
    a_row("warm", 1),
    a_row("warm air", 2),
    a_row("cold air", 0),  # scored 2
    a_row("warm air goes", 3),
    a_row("cold air goes up", 1),  # scored 3
    a_row(" ", 0, name="blank"),
]
MANY = [
    a_row(" ".join(["warm"] * (1 + number % 3)), (1 + number % 3 + (number % 5 == 0)) % 4, name=f"r{number}")
    for number in range(200)
]


def test_responses_are_counted_by_decision(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), [*ROWS, a_row("warm " * 70, 3)])

    assert (report.responses, report.not_scorable, report.automatic, report.by_teacher) == (7, 1, 5, 0)
    assert report.flagged == {"blank": 0.1429, "over_long": 0.1429}
    assert (report.item_id, report.title, report.mode, report.threshold) == ("heat-1", None, "auto", 0.8)
    assert (report.bundle_version, report.coverage_promised) == ("20260101T000000Z-00000001", 0.9)
    assert report.fallback is None


def test_no_score_is_automatic_in_mode_suggest(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path, mode="suggest"), ROWS)

    assert (report.automatic, report.mode) == (0, "suggest")
    assert report.evidence.accepted is not None
    assert report.evidence.accepted.share == 1  # all would stand in mode auto


def test_agreement_is_of_scored_responses(tmp_path: Path) -> None:
    """Human 1 2 0 3 1, machine 1 2 2 3 3: variances 1.04 and .56, means .8 apart, covariance .32."""
    report = figures_on(a_live_item(tmp_path), ROWS)

    assert report.agreement is not None
    assert (report.agreement.n, report.agreement.exact, report.agreement.adjacent) == (5, 0.6, 0.6)
    assert report.agreement.qwk == pytest.approx(2 * 0.32 / (1.04 + 0.56 + 0.64))
    assert report.agreement.smd == pytest.approx(0.8 / np.sqrt(1.3))
    assert report.sd_ratio == pytest.approx(np.sqrt(0.56 / 1.04))
    assert report.degradation is None  # one rater
    assert report.prmse is None


def test_confusion_has_human_scores_by_row(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), ROWS)

    assert report.scores == ("0", "1", "2", "3")
    assert report.confusion == ((0, 0, 1, 0), (0, 1, 0, 1), (0, 0, 1, 0), (0, 0, 0, 1))


def test_calibration_compares_confidence_with_agreement(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), ROWS)

    [(confidence, right, n)] = report.calibration  # all are between .9 and 1
    assert confidence == pytest.approx((3 * MIDDLE + 2 * TOP) / 5, abs=1e-5)
    assert (right, n) == (0.6, 5)
    assert report.evidence.ece == pytest.approx(confidence - 0.6)


def test_coverage_curve_runs_from_the_surest_to_all(tmp_path: Path) -> None:
    """The two of three and four words, of which one is 2 too many, then the others as they stand in the file.

    Of the first alone QWK is undefined; of the first two the machine does not vary.
    """
    report = figures_on(a_live_item(tmp_path), ROWS)

    shares, agreement = zip(*report.coverage_curve, strict=True)
    assert shares == (0.4, 0.6, 0.8, 1.0)
    assert agreement[0] == pytest.approx(0)
    assert report.agreement is not None
    assert agreement[-1] == pytest.approx(report.agreement.qwk)


@pytest.mark.parametrize("item", [None, RANKS, LABELS, GRADES], ids=["points", "ordinal", "nominal", "continuous"])
def test_coverage_curve_has_at_most_sixty_points(tmp_path: Path, item: dict[str, Any] | None) -> None:
    rows = [row for row in MANY if row.value < 3] if item is LABELS else MANY
    if item is GRADES:
        rows = [a_row(row.text, 1 + row.value, name=row.id) for row in rows]
    report = figures_on(a_live_item(tmp_path, item=item), rows)

    shares = [share for share, _ in report.coverage_curve]
    assert report.agreement is not None
    assert 50 <= len(shares) <= 60
    assert shares == sorted(set(shares))
    assert 0.03 < shares[0] < 0.06  # a twentieth
    figure = report.agreement.qwk if item is not LABELS else report.agreement.exact
    assert figure is not None
    assert report.coverage_curve[-1] == pytest.approx((1.0, figure), abs=1e-9)


def test_bands_partition_responses_by_length(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), ROWS)

    assert [(band.words, band.n, band.mean_difference) for band in report.bands] == [
        ((1, 2), 2, 0),
        ((2, 2), 1, 2),
        ((3, 3), 1, 0),
        ((4, 4), 1, 2),
    ]
    assert [band.agreement and band.agreement.exact for band in report.bands] == [1, 0, 1, 0]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 50, 199])
def test_bands_are_of_similar_size(tmp_path: Path, rows: int) -> None:
    report = figures_on(a_live_item(tmp_path), MANY[:rows])

    sizes = [band.n for band in report.bands]
    assert len(sizes) == min(4, rows)
    assert sum(sizes) == rows
    assert max(sizes) - min(sizes) <= 1
    ends = [end for band in report.bands for end in band.words]
    assert ends == sorted(ends)
    assert (ends[0], ends[-1]) == (1, min(3, rows))


def test_length_correlates_with_machine_less_human(tmp_path: Path) -> None:
    """Words 1 2 2 3 4, errors 0 0 2 0 2: covariance 2.4, squares 5.2 and 4.8."""
    report = figures_on(a_live_item(tmp_path), ROWS)

    assert report.length_correlation == pytest.approx(2.4 / np.sqrt(5.2 * 4.8))


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS[:2], [ROWS[1], ROWS[2]]], ids=["one", "no error", "one length"])
def test_constant_length_or_error_has_no_correlation(tmp_path: Path, rows: list[MarkedResponse]) -> None:
    assert figures_on(a_live_item(tmp_path), rows).length_correlation is None


def test_worst_disagreements_are_sorted_and_without_text(tmp_path: Path) -> None:
    near = [a_row("cold cold", 1, name="near"), a_row("cold cold cold", 2, name="near and sure")]
    report = figures_on(a_live_item(tmp_path), [*near, *ROWS])

    assert [(entry.id, entry.human, entry.machine) for entry in report.worst] == [
        ("cold air goes up", "1", "3"),  # two apart, confidence .9526
        ("cold air", "0", "2"),
        ("near and sure", "2", "3"),
        ("near", "1", "2"),
    ]
    assert [entry.confidence for entry in report.worst] == pytest.approx([TOP, MIDDLE, TOP, MIDDLE], abs=1e-5)
    assert [entry.response for entry in report.worst] == [None] * 4


def test_texts_are_shown_if_requested(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), ROWS, texts=True)

    assert [entry.response for entry in report.worst] == ["cold air goes up", "cold air"]


def test_at_most_twenty_disagreements_are_shown(tmp_path: Path) -> None:
    rows = [a_row("warm air goes", number % 3, name=f"r{number}") for number in range(60)]

    report = figures_on(a_live_item(tmp_path), rows)

    assert [entry.human for entry in report.worst] == ["0"] * 20


@pytest.mark.parametrize("texts", [False, True])
def test_figures_hold_no_texts_unless_requested(tmp_path: Path, texts: bool) -> None:
    rows = [a_row("the canary sings", 3, name="right"), a_row("a zebra", 0, name="wrong", gender="f")]
    report = figures_on(a_live_item(tmp_path), rows, texts=texts)

    content = report.model_dump_json()

    assert "canary" not in content
    assert ("zebra" in content) is texts


def test_every_main_figure_has_an_interval(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), MANY)

    assert report.agreement is not None
    assert set(report.intervals) == {"exact", "qwk", "smd"}
    for name, (low, high) in report.intervals.items():
        assert low < getattr(report.agreement, name) < high
        assert high - low < 0.5


@pytest.mark.parametrize("item", [RANKS, LABELS, GRADES], ids=["ordinal", "nominal", "continuous"])
def test_intervals_hold_their_figures_on_every_scale(tmp_path: Path, item: dict[str, Any]) -> None:
    rows = [row for row in MANY if row.value < 3] if item is LABELS else MANY
    if item is GRADES:
        rows = [
            a_row(row.text, 1 + 1.3 * row.value, name=row.id) for row in rows
        ]  # within tolerance for most, but not equal
    report = figures_on(a_live_item(tmp_path, item=item), rows)

    assert report.agreement is not None
    for name, (low, high) in report.intervals.items():
        assert low < getattr(report.agreement, name) < high, name


def test_machine_is_compared_with_two_raters(tmp_path: Path) -> None:
    """Two raters gave 0 1, 2 2, 3 3 and 1 1, eight times each: the variance of errors is 1/8."""
    pairs = [("warm", (0.0, 1.0)), ("warm air", (2.0, 2.0)), ("warm air goes", (3.0, 3.0)), ("cold", (1.0, 1.0))]
    rows = 8 * [a_row(text, pair[1], pair) for text, pair in pairs]
    report = figures_on(a_live_item(tmp_path), [a_row("cold air goes up", 0), *rows])

    means, given = np.array(8 * [0.5, 2, 3, 1]), np.array(8 * [1, 2, 3, 1])
    errors = 0.5 / 4
    variance = (((means - means.mean()) ** 2).sum() * 2 - 31 * errors) / 62
    squared = (((means - given) ** 2).sum() * 2 - 32 * errors) / 64
    assert report.prmse == pytest.approx(1 - squared / variance)
    assert report.agreement is not None
    assert (report.agreement.n, report.agreement.human_exact) == (33, 0.75)
    assert report.agreement.human_qwk is not None
    assert report.agreement.qwk is not None
    assert report.degradation == pytest.approx(report.agreement.human_qwk - report.agreement.qwk)


@pytest.mark.parametrize(("double", "known"), [(MIN_PAIRS - 1, False), (MIN_PAIRS, True)])
def test_figures_and_gate_need_the_same_number_of_pairs(tmp_path: Path, double: int, known: bool) -> None:
    texts = ["warm", "warm air", "warm air goes"]
    rows = [
        a_row(text, value, (value, value), name=f"r{number}")
        for number in range(double)
        for text, value in [(texts[number % 3], number % 3 + 1)]
    ]
    report = figures_on(a_live_item(tmp_path), [*rows, a_row("", 0, (0, 0)), a_row("cold air", 1)])

    assert report.agreement is not None
    of_raters = (report.agreement.human_qwk, report.agreement.human_exact, report.prmse, report.degradation)
    [rule] = [entry for entry in report.gate.checks if entry.rule == "QWK below raters'"]
    assert [figure is not None for figure in (*of_raters, rule.measured)] == [known] * 5


def test_nominal_labels_have_no_figures_that_need_an_order(tmp_path: Path) -> None:
    rows = [a_row("warm", 1, group="a"), a_row("warm air", 2, group="b"), a_row("cold air", 0, group="b")]
    report = figures_on(a_live_item(tmp_path, item=LABELS), rows)

    assert report.scores == ("no idea", "heat is a thing", "air moves")
    assert report.confusion == ((0, 0, 1), (0, 1, 0), (0, 0, 1))
    assert set(report.intervals) == {"exact"}
    assert (report.sd_ratio, report.prmse, report.length_correlation, report.fairness) == (None, None, None, {})
    assert [(entry.human, entry.machine) for entry in report.worst] == [("no idea", "air moves")]
    assert report.coverage_curve[-1] == pytest.approx((1.0, 2 / 3))
    assert set(report.evidence.groups) == {"group=a", "group=b"}
    assert report.gate.checks[1].rule == "exact agreement"


def test_nominal_labels_have_no_distance(tmp_path: Path) -> None:
    """Three words have the last of four labels, with more confidence than one word has in the second."""
    rows = [a_row("warm", 3, name="unsure"), a_row("warm air goes", 2, name="sure")]
    labels = LABELS | {"labels": ["no idea", "heat is a thing", "air", "air moves"]}
    report = figures_on(a_live_item(tmp_path, item=labels), rows)

    assert [entry.id for entry in report.worst] == ["sure", "unsure"]
    assert [entry.confidence for entry in report.worst] == pytest.approx([TOP, MIDDLE], abs=1e-5)


def test_ordered_labels_are_named(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path, item=RANKS), ROWS)

    assert report.scores == ("poor", "fair", "good", "best")
    assert (report.worst[0].human, report.worst[0].machine) == ("fair", "best")
    assert report.sd_ratio is not None


def test_grades_have_rmse_without_confusion(tmp_path: Path) -> None:
    """The student gives 1.25 a word from 1; within .5 grades are equal."""
    rows = [a_row("warm", 2.5), a_row("warm air", 3.5), a_row("cold air", 1.5), a_row("warm air goes up", 5.5)]
    report = figures_on(a_live_item(tmp_path, item=GRADES), rows)

    assert (report.confusion, report.scores) == ((), ())
    assert set(report.intervals) == {"exact", "qwk", "smd", "rmse"}
    assert report.agreement is not None
    assert report.agreement.rmse == pytest.approx(np.sqrt((0.25**2 + 0 + 2**2 + 0.5**2) / 4))
    assert report.agreement.exact == 0.75
    assert [(entry.human, entry.machine) for entry in report.worst] == [("1.5", "3.5")]
    between, at_an_end = report.calibration
    assert between == pytest.approx((0.6827, 2 / 3, 3), abs=1e-3)
    assert at_an_end == pytest.approx((0.8413, 1, 1), abs=1e-3)


def test_fairness_uses_rows_with_a_value_and_columns_with_several(tmp_path: Path) -> None:
    rows = [
        a_row("warm air goes", 0),  # in neither group
        a_row("warm", 1, gender="f", school="x"),
        a_row("warm air", 1, gender="m", school="x"),
        a_row("cold", 1, gender="f", school="x"),
        a_row("cold air", 1, gender="m"),
    ]
    report = figures_on(a_live_item(tmp_path), rows)

    assert set(report.fairness) == {"gender"}
    assert report.fairness["gender"].overall_score_difference == pytest.approx(1)  # 0 for f, 1 for m
    assert {name: group.n for name, group in report.evidence.groups.items()} == {
        "gender=f": 2,
        "gender=m": 2,
        "school=x": 3,
    }


def test_gate_is_evaluated_on_the_responses_of_the_file(tmp_path: Path) -> None:
    """The bundle passed its gate on 40 responses of dev."""
    right = [a_row(" ".join(["warm"] * (1 + number % 3)), 1 + number % 3) for number in range(60)]
    live = a_live_item(tmp_path)
    assert live.bundle.gate.passed

    good, few = figures_on(live, right), figures_on(live, right[:30])

    assert good.gate.passed
    assert few.gate.failed == ["marked responses"]
    strict = a_live_item(tmp_path / "b", policy=None, threshold=None)
    assert figures_on(strict, right).gate.failed == ["threshold"]


def test_gate_follows_the_items_policy(tmp_path: Path) -> None:
    live = a_live_item(tmp_path, release=Policy(min_responses=10, max_smd=0.3))
    right = [a_row(" ".join(["warm"] * (1 + number % 3)), 1 + number % 3) for number in range(60)]

    report = figures_on(live, right)

    limits = {check.rule: check.limit for check in report.gate.checks}
    assert (limits["marked responses"], limits["standardised mean difference"]) == (10, 0.3)


def test_teacher_scores_are_measured_if_the_teacher_scores(tmp_path: Path) -> None:
    """The teacher gives one point more than words: 2, 3, 3; the student keeps its two scores of 3."""
    report = figures_on(a_live_item(tmp_path, "unsure", SURE, threshold=SURE), ROWS)

    assert (report.by_teacher, report.automatic) == (3, 4)  # the teacher is unsure of `warm` too
    assert report.fallback is not None
    assert report.fallback.policy == "unsure"
    assert report.confusion == ((0, 0, 0, 1), (0, 0, 1, 1), (0, 0, 0, 1), (0, 0, 0, 1))
    assert report.evidence.accepted is not None
    assert report.evidence.accepted.share == 0.8


def test_shadow_teacher_scores_are_not_measured(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path, "shadow", SURE, threshold=SURE), ROWS)

    assert (report.by_teacher, report.automatic) == (0, 2)
    assert report.confusion[1] == (0, 1, 0, 1)
    assert report.fallback is not None
    assert report.fallback.policy == "shadow"


@pytest.mark.parametrize("item", [None, LABELS, GRADES], ids=["points", "nominal", "continuous"])
def test_without_scored_responses_only_counts_are_reported(tmp_path: Path, item: dict[str, Any] | None) -> None:
    report = figures_on(a_live_item(tmp_path, item=item), [a_row(" ", 1, gender="f"), a_row("", 1, gender="m")])

    assert (report.responses, report.not_scorable, report.automatic) == (2, 2, 0)
    assert (report.agreement, report.sd_ratio, report.prmse, report.degradation) == (None, None, None, None)
    assert (report.intervals, report.calibration, report.coverage_curve, report.bands) == ({}, [], [], [])
    assert (report.fairness, report.worst, report.length_correlation) == ({}, [], None)
    assert sum(map(sum, report.confusion)) == 0
    assert report.gate.failed == ["marked responses"]


@pytest.mark.parametrize("item", [None, LABELS, GRADES], ids=["points", "nominal", "continuous"])
def test_single_response_has_all_defined_figures(tmp_path: Path, item: dict[str, Any] | None) -> None:
    report = figures_on(a_live_item(tmp_path, item=item), [a_row("warm", 1, (1.0, 1.0) if item is None else None)])

    assert report.agreement is not None
    assert report.agreement.n == 1
    assert (report.sd_ratio, report.prmse, report.length_correlation) == (None, None, None)
    assert len(report.bands) == 1


@pytest.mark.parametrize("item", [None, RANKS, LABELS, GRADES], ids=["points", "ordinal", "nominal", "continuous"])
def test_report_model_survives_json(tmp_path: Path, item: dict[str, Any] | None) -> None:
    rows = [row for row in MANY if row.value < 3] if item is LABELS else MANY
    rows = [
        MarkedResponse(row.id, "heat-1", row.text, max(1, row.value), None, None, (("school", row.id[-1]),))
        for row in rows
    ]
    report = figures_on(a_live_item(tmp_path, "unsure", SURE, threshold=SURE, item=item), rows, texts=True)

    write_json(tmp_path / "figures.json", [report, report])

    def refused(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    content = (tmp_path / "figures.json").read_text()
    assert [ItemReport.model_validate(entry) for entry in json.loads(content, parse_constant=refused)] == [
        report,
        report,
    ]


def test_flagged_responses_count_without_being_automatic(tmp_path: Path) -> None:
    live = a_live_item(tmp_path, limits=Limits(refusals=("idk",)))

    report = figures_on(live, [a_row("idk", 0), a_row("warm " * 70, 3), a_row("warm", 1), a_row("cold", 1)])

    assert report.flagged == {"over_long": 0.25, "refusal": 0.25}
    assert (report.not_scorable, report.automatic) == (1, 2)
    assert report.evidence.accepted is not None
    assert report.evidence.accepted.share == pytest.approx(2 / 3)


@pytest.mark.parametrize(("item", "name"), [(None, "qwk"), (LABELS, "exact")], ids=["points", "nominal"])
def test_learning_curve_comes_from_the_bundle(tmp_path: Path, item: dict[str, Any] | None, name: str) -> None:
    live = a_live_item(tmp_path, item=item)
    a = live.bundle.agreement
    assert a is not None
    kept = [
        LearningPoint(marked=marked, agreement=agreement)
        for marked, agreement in ((300, a), (100, a.model_copy(update={name: 0.5})), (200, None))
    ]
    evidence = live.bundle.evidence.model_copy(update={"learning_curve": tuple(kept)})
    live.bundle = live.bundle.model_copy(update={"evidence": evidence})

    report = figures_on(live, ROWS[:2])

    assert report.learning_curve == [(100, 0.5), (300, 0.9)]
