"""Figures computed by hand, of a student that gives a point a word (measured.py)."""

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
from training.evaluation.figures import ItemReport
from training.evaluation.report import write_json

LABELS: dict[str, Any] = {"scale": "nominal", "labels": ["no idea", "heat is a thing", "air moves"]}
RANKS: dict[str, Any] = {"scale": "ordinal", "labels": ["poor", "fair", "good", "best"]}
GRADES: dict[str, Any] = {"scale": "continuous", "min_score": 1, "max_score": 6}
ROWS = [
    a_row("warm", 1),
    a_row("warm air", 2),
    a_row("cold air", 0),  # is given 2
    a_row("warm air goes", 3),
    a_row("cold air goes up", 1),  # is given 3
    a_row(" ", 0, name="blank"),
]
MANY = [
    a_row(" ".join(["warm"] * (1 + number % 3)), (1 + number % 3 + (number % 5 == 0)) % 4, name=f"r{number}")
    for number in range(200)
]


def test_responses_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    found = figures_on(a_live_item(tmp_path), [*ROWS, a_row("warm " * 70, 3)])

    assert (found.responses, found.not_scorable, found.automatic, found.by_teacher) == (7, 1, 5, 0)
    assert found.flagged == {"blank": 0.1429, "over_long": 0.1429}
    assert (found.item_id, found.title, found.mode, found.threshold) == ("heat-1", None, "auto", 0.8)
    assert (found.bundle_version, found.coverage_promised) == ("20260101T000000Z-00000001", 0.9)
    assert found.fallback is None


def test_in_mode_suggest_no_score_stood(tmp_path: Path) -> None:
    found = figures_on(a_live_item(tmp_path, mode="suggest"), ROWS)

    assert (found.automatic, found.mode) == (0, "suggest")
    assert found.evidence.accepted is not None
    assert found.evidence.accepted.share == 1  # but all would in mode auto


def test_agreement_is_of_what_a_model_scored(tmp_path: Path) -> None:
    """Human 1 2 0 3 1, machine 1 2 2 3 3: variances 1.04 and .56, means .8 apart, covariance .32."""
    found = figures_on(a_live_item(tmp_path), ROWS)

    assert found.agreement is not None
    assert (found.agreement.n, found.agreement.exact, found.agreement.adjacent) == (5, 0.6, 0.6)
    assert found.agreement.qwk == pytest.approx(2 * 0.32 / (1.04 + 0.56 + 0.64))
    assert found.agreement.smd == pytest.approx(0.8 / np.sqrt(1.3))
    assert found.sd_ratio == pytest.approx(np.sqrt(0.56 / 1.04))
    assert found.degradation is None  # one rater
    assert found.prmse is None


def test_confusion_has_human_scores_by_row(tmp_path: Path) -> None:
    found = figures_on(a_live_item(tmp_path), ROWS)

    assert found.scores == ("0", "1", "2", "3")
    assert found.confusion == ((0, 0, 1, 0), (0, 1, 0, 1), (0, 0, 1, 0), (0, 0, 0, 1))


def test_confidence_is_held_against_the_share_that_raters_scored_the_same(tmp_path: Path) -> None:
    found = figures_on(a_live_item(tmp_path), ROWS)

    [(confidence, right, n)] = found.calibration  # all are between .9 and 1
    assert confidence == pytest.approx((3 * MIDDLE + 2 * TOP) / 5, abs=1e-5)
    assert (right, n) == (0.6, 5)
    assert found.evidence.ece == pytest.approx(confidence - 0.6)


def test_the_curve_begins_with_the_surest_and_ends_with_all(tmp_path: Path) -> None:
    """The two of three and four words, of which one is 2 too many, then the others as they stand in the file.

    Of the first alone QWK is undefined; of the first two the machine does not vary.
    """
    found = figures_on(a_live_item(tmp_path), ROWS)

    shares, agreement = zip(*found.coverage_curve, strict=True)
    assert shares == (0.4, 0.6, 0.8, 1.0)
    assert agreement[0] == pytest.approx(0)
    assert found.agreement is not None
    assert agreement[-1] == pytest.approx(found.agreement.qwk)


@pytest.mark.parametrize("item", [None, RANKS, LABELS, GRADES], ids=["points", "ordinal", "nominal", "continuous"])
def test_the_curve_of_many_has_sixty_places_and_ends_at_the_agreement_of_all(
    tmp_path: Path, item: dict[str, Any] | None
) -> None:
    rows = [row for row in MANY if row.value < 3] if item is LABELS else MANY
    if item is GRADES:
        rows = [a_row(row.text, 1 + row.value, name=row.id) for row in rows]
    found = figures_on(a_live_item(tmp_path, item=item), rows)

    shares = [share for share, _ in found.coverage_curve]
    assert found.agreement is not None
    assert 50 <= len(shares) <= 60
    assert shares == sorted(set(shares))
    assert 0.03 < shares[0] < 0.06  # a twentieth
    figure = found.agreement.qwk if item is not LABELS else found.agreement.exact
    assert figure is not None
    assert found.coverage_curve[-1] == pytest.approx((1.0, figure), abs=1e-9)


def test_bands_are_of_words_and_hold_every_response_once(tmp_path: Path) -> None:
    found = figures_on(a_live_item(tmp_path), ROWS)

    assert [(band.words, band.n, band.mean_difference) for band in found.bands] == [
        ((1, 2), 2, 0),
        ((2, 2), 1, 2),
        ((3, 3), 1, 0),
        ((4, 4), 1, 2),
    ]
    assert [band.agreement and band.agreement.exact for band in found.bands] == [1, 0, 1, 0]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 50, 199])
def test_bands_are_about_as_large_each(tmp_path: Path, rows: int) -> None:
    found = figures_on(a_live_item(tmp_path), MANY[:rows])

    sizes = [band.n for band in found.bands]
    assert len(sizes) == min(4, rows)
    assert sum(sizes) == rows
    assert max(sizes) - min(sizes) <= 1
    ends = [end for band in found.bands for end in band.words]
    assert ends == sorted(ends)
    assert (ends[0], ends[-1]) == (1, min(3, rows))


def test_the_correlation_of_length_is_with_machine_less_human(tmp_path: Path) -> None:
    """Words 1 2 2 3 4 and 0 0 2 0 2 too many: covariance 2.4, squares 5.2 and 4.8."""
    found = figures_on(a_live_item(tmp_path), ROWS)

    assert found.length_correlation == pytest.approx(2.4 / np.sqrt(5.2 * 4.8))


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS[:2], [ROWS[1], ROWS[2]]], ids=["one", "no error", "one length"])
def test_where_length_or_error_does_not_vary_there_is_no_correlation(
    tmp_path: Path, rows: list[MarkedResponse]
) -> None:
    assert figures_on(a_live_item(tmp_path), rows).length_correlation is None


def test_the_worst_stand_first_the_surest_of_them_before_and_without_text(tmp_path: Path) -> None:
    near = [a_row("cold cold", 1, name="near"), a_row("cold cold cold", 2, name="near and sure")]
    found = figures_on(a_live_item(tmp_path), [*near, *ROWS])

    assert [(own.id, own.human, own.machine) for own in found.worst] == [
        ("cold air goes up", "1", "3"),  # two apart, and .9526 sure
        ("cold air", "0", "2"),
        ("near and sure", "2", "3"),
        ("near", "1", "2"),
    ]
    assert [own.confidence for own in found.worst] == pytest.approx([TOP, MIDDLE, TOP, MIDDLE], abs=1e-5)
    assert [own.response for own in found.worst] == [None] * 4


def test_texts_are_shown_where_they_are_asked_for(tmp_path: Path) -> None:
    found = figures_on(a_live_item(tmp_path), ROWS, texts=True)

    assert [own.response for own in found.worst] == ["cold air goes up", "cold air"]


def test_no_more_than_twenty_are_shown(tmp_path: Path) -> None:
    rows = [a_row("warm air goes", number % 3, name=f"r{number}") for number in range(60)]

    found = figures_on(a_live_item(tmp_path), rows)

    assert [own.human for own in found.worst] == ["0"] * 20


@pytest.mark.parametrize("texts", [False, True])
def test_no_figure_holds_a_response_that_was_not_asked_for(tmp_path: Path, texts: bool) -> None:
    rows = [a_row("the canary sings", 3, name="right"), a_row("a zebra", 0, name="wrong", gender="f")]
    found = figures_on(a_live_item(tmp_path), rows, texts=texts)

    content = found.model_dump_json()

    assert "canary" not in content
    assert ("zebra" in content) is texts


def test_every_figure_has_its_interval(tmp_path: Path) -> None:
    found = figures_on(a_live_item(tmp_path), MANY)

    assert found.agreement is not None
    assert set(found.intervals) == {"exact", "qwk", "smd"}
    for name, (low, high) in found.intervals.items():
        assert low < getattr(found.agreement, name) < high
        assert high - low < 0.5


@pytest.mark.parametrize("item", [RANKS, LABELS, GRADES], ids=["ordinal", "nominal", "continuous"])
def test_on_every_scale_intervals_hold_their_figures(tmp_path: Path, item: dict[str, Any]) -> None:
    rows = [row for row in MANY if row.value < 3] if item is LABELS else MANY
    if item is GRADES:
        rows = [a_row(row.text, 1 + 1.3 * row.value, name=row.id) for row in rows]  # near enough for most, not equal
    found = figures_on(a_live_item(tmp_path, item=item), rows)

    assert found.agreement is not None
    for name, (low, high) in found.intervals.items():
        assert low < getattr(found.agreement, name) < high, name


def test_two_raters_are_what_the_machine_is_held_against(tmp_path: Path) -> None:
    """Where two scored, eight times 0 1, 2 2, 3 3 and 1 1: the variance of errors is 1/8."""
    pairs = [("warm", (0.0, 1.0)), ("warm air", (2.0, 2.0)), ("warm air goes", (3.0, 3.0)), ("cold", (1.0, 1.0))]
    rows = 8 * [a_row(text, pair[1], pair) for text, pair in pairs]
    found = figures_on(a_live_item(tmp_path), [a_row("cold air goes up", 0), *rows])

    means, given = np.array(8 * [0.5, 2, 3, 1]), np.array(8 * [1, 2, 3, 1])
    errors = 0.5 / 4
    variance = (((means - means.mean()) ** 2).sum() * 2 - 31 * errors) / 62
    squared = (((means - given) ** 2).sum() * 2 - 32 * errors) / 64
    assert found.prmse == pytest.approx(1 - squared / variance)
    assert found.agreement is not None
    assert (found.agreement.n, found.agreement.human_exact) == (33, 0.75)
    assert found.agreement.human_qwk is not None
    assert found.agreement.qwk is not None
    assert found.degradation == pytest.approx(found.agreement.human_qwk - found.agreement.qwk)


@pytest.mark.parametrize(("double", "known"), [(MIN_PAIRS - 1, False), (MIN_PAIRS, True)])
def test_figures_and_gate_agree_on_whether_raters_are_known(tmp_path: Path, double: int, known: bool) -> None:
    texts = ["warm", "warm air", "warm air goes"]
    rows = [
        a_row(text, value, (value, value), name=f"r{number}")
        for number in range(double)
        for text, value in [(texts[number % 3], number % 3 + 1)]
    ]
    found = figures_on(a_live_item(tmp_path), [*rows, a_row("", 0, (0, 0)), a_row("cold air", 1)])

    assert found.agreement is not None
    of_raters = (found.agreement.human_qwk, found.agreement.human_exact, found.prmse, found.degradation)
    [rule] = [own for own in found.gate.checks if own.rule == "QWK below raters'"]
    assert [figure is not None for figure in (*of_raters, rule.measured)] == [known] * 5


def test_labels_have_confusion_and_exact_agreement_and_nothing_that_needs_an_order(tmp_path: Path) -> None:
    rows = [a_row("warm", 1, group="a"), a_row("warm air", 2, group="b"), a_row("cold air", 0, group="b")]
    found = figures_on(a_live_item(tmp_path, item=LABELS), rows)

    assert found.scores == ("no idea", "heat is a thing", "air moves")
    assert found.confusion == ((0, 0, 1), (0, 1, 0), (0, 0, 1))
    assert set(found.intervals) == {"exact"}
    assert (found.sd_ratio, found.prmse, found.length_correlation, found.fairness) == (None, None, None, {})
    assert [(own.human, own.machine) for own in found.worst] == [("no idea", "air moves")]
    assert found.coverage_curve[-1] == pytest.approx((1.0, 2 / 3))
    assert set(found.evidence.groups) == {"group=a", "group=b"}
    assert found.gate.checks[1].rule == "exact agreement"


def test_labels_differ_or_not_however_far_apart_they_stand(tmp_path: Path) -> None:
    """Three words are the last of four labels, of which it is surer; one word is the second."""
    rows = [a_row("warm", 3, name="unsure"), a_row("warm air goes", 2, name="sure")]
    labels = LABELS | {"labels": ["no idea", "heat is a thing", "air", "air moves"]}
    found = figures_on(a_live_item(tmp_path, item=labels), rows)

    assert [own.id for own in found.worst] == ["sure", "unsure"]
    assert [own.confidence for own in found.worst] == pytest.approx([TOP, MIDDLE], abs=1e-5)


def test_ranks_are_named_by_their_labels(tmp_path: Path) -> None:
    found = figures_on(a_live_item(tmp_path, item=RANKS), ROWS)

    assert found.scores == ("poor", "fair", "good", "best")
    assert (found.worst[0].human, found.worst[0].machine) == ("fair", "best")
    assert found.sd_ratio is not None


def test_grades_have_rmse_and_intervals_and_no_confusion(tmp_path: Path) -> None:
    """1.25 a word from 1, and .5 either way is the same."""
    rows = [a_row("warm", 2.5), a_row("warm air", 3.5), a_row("cold air", 1.5), a_row("warm air goes up", 5.5)]
    found = figures_on(a_live_item(tmp_path, item=GRADES), rows)

    assert (found.confusion, found.scores) == ((), ())
    assert set(found.intervals) == {"exact", "qwk", "smd", "rmse"}
    assert found.agreement is not None
    assert found.agreement.rmse == pytest.approx(np.sqrt((0.25**2 + 0 + 2**2 + 0.5**2) / 4))
    assert found.agreement.exact == 0.75
    assert [(own.human, own.machine) for own in found.worst] == [("1.5", "3.5")]
    between, at_an_end = found.calibration
    assert between == pytest.approx((0.6827, 2 / 3, 3), abs=1e-3)
    assert at_an_end == pytest.approx((0.8413, 1, 1), abs=1e-3)


def test_fairness_is_of_the_rows_that_have_a_value_and_of_columns_with_several(tmp_path: Path) -> None:
    rows = [
        a_row("warm air goes", 0),  # of neither
        a_row("warm", 1, gender="f", school="x"),
        a_row("warm air", 1, gender="m", school="x"),
        a_row("cold", 1, gender="f", school="x"),
        a_row("cold air", 1, gender="m"),
    ]
    found = figures_on(a_live_item(tmp_path), rows)

    assert set(found.fairness) == {"gender"}
    assert found.fairness["gender"].overall_score_difference == pytest.approx(1)  # 0 for f, 1 for m
    assert {name: group.n for name, group in found.evidence.groups.items()} == {
        "gender=f": 2,
        "gender=m": 2,
        "school=x": 3,
    }


def test_the_gate_is_asked_again_on_these_responses(tmp_path: Path) -> None:
    """The bundle passed its own, of 40 responses."""
    right = [a_row(" ".join(["warm"] * (1 + number % 3)), 1 + number % 3) for number in range(60)]
    live = a_live_item(tmp_path)
    assert live.bundle.gate.passed

    good, few = figures_on(live, right), figures_on(live, right[:30])

    assert good.gate.passed
    assert few.gate.failed == ["marked responses"]
    strict = a_live_item(tmp_path / "b", policy=None, threshold=None)
    assert figures_on(strict, right).gate.failed == ["threshold"]


def test_the_gate_is_that_of_the_items_own_policy(tmp_path: Path) -> None:
    live = a_live_item(tmp_path, release=Policy(min_responses=10, max_smd=0.3))
    right = [a_row(" ".join(["warm"] * (1 + number % 3)), 1 + number % 3) for number in range(60)]

    found = figures_on(live, right)

    limits = {check.rule: check.limit for check in found.gate.checks}
    assert (limits["marked responses"], limits["standardised mean difference"]) == (10, 0.3)


def test_teachers_scores_are_measured_where_teachers_score(tmp_path: Path) -> None:
    """One point more than words: warm 2, warm air 3, cold air 3; the student's own 3, 3."""
    found = figures_on(a_live_item(tmp_path, "unsure", SURE, threshold=SURE), ROWS)

    assert (found.by_teacher, found.automatic) == (3, 4)  # of `warm` it is not sure either
    assert found.fallback is not None
    assert found.fallback.policy == "unsure"
    assert found.confusion == ((0, 0, 0, 1), (0, 0, 1, 1), (0, 0, 0, 1), (0, 0, 0, 1))
    assert found.evidence.accepted is not None
    assert found.evidence.accepted.share == 0.8


def test_teachers_in_the_shadow_are_not_measured(tmp_path: Path) -> None:
    found = figures_on(a_live_item(tmp_path, "shadow", SURE, threshold=SURE), ROWS)

    assert (found.by_teacher, found.automatic) == (0, 2)
    assert found.confusion[1] == (0, 1, 0, 1)
    assert found.fallback is not None
    assert found.fallback.policy == "shadow"


@pytest.mark.parametrize("item", [None, LABELS, GRADES], ids=["points", "nominal", "continuous"])
def test_where_a_model_scored_nothing_there_are_counts_alone(tmp_path: Path, item: dict[str, Any] | None) -> None:
    found = figures_on(a_live_item(tmp_path, item=item), [a_row(" ", 1, gender="f"), a_row("", 1, gender="m")])

    assert (found.responses, found.not_scorable, found.automatic) == (2, 2, 0)
    assert (found.agreement, found.sd_ratio, found.prmse, found.degradation) == (None, None, None, None)
    assert (found.intervals, found.calibration, found.coverage_curve, found.bands) == ({}, [], [], [])
    assert (found.fairness, found.worst, found.length_correlation) == ({}, [], None)
    assert sum(map(sum, found.confusion)) == 0
    assert found.gate.failed == ["marked responses"]


@pytest.mark.parametrize("item", [None, LABELS, GRADES], ids=["points", "nominal", "continuous"])
def test_of_one_response_all_that_is_defined_is_said(tmp_path: Path, item: dict[str, Any] | None) -> None:
    found = figures_on(a_live_item(tmp_path, item=item), [a_row("warm", 1, (1.0, 1.0) if item is None else None)])

    assert found.agreement is not None
    assert found.agreement.n == 1
    assert (found.sd_ratio, found.prmse, found.length_correlation) == (None, None, None)
    assert len(found.bands) == 1


@pytest.mark.parametrize("item", [None, RANKS, LABELS, GRADES], ids=["points", "ordinal", "nominal", "continuous"])
def test_json_is_read_again_as_it_was_written(tmp_path: Path, item: dict[str, Any] | None) -> None:
    rows = [row for row in MANY if row.value < 3] if item is LABELS else MANY
    rows = [
        MarkedResponse(row.id, "heat-1", row.text, max(1, row.value), None, None, (("school", row.id[-1]),))
        for row in rows
    ]
    found = figures_on(a_live_item(tmp_path, "unsure", SURE, threshold=SURE, item=item), rows, texts=True)

    write_json(tmp_path / "figures.json", [found, found])

    def refused(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    content = (tmp_path / "figures.json").read_text()
    assert [ItemReport.model_validate(own) for own in json.loads(content, parse_constant=refused)] == [found, found]


def test_what_is_flagged_counts_and_does_not_stand(tmp_path: Path) -> None:
    live = a_live_item(tmp_path, limits=Limits(refusals=("idk",)))

    found = figures_on(live, [a_row("idk", 0), a_row("warm " * 70, 3), a_row("warm", 1), a_row("cold", 1)])

    assert found.flagged == {"over_long": 0.25, "refusal": 0.25}
    assert (found.not_scorable, found.automatic) == (1, 2)
    assert found.evidence.accepted is not None
    assert found.evidence.accepted.share == pytest.approx(2 / 3)


@pytest.mark.parametrize(("item", "name"), [(None, "qwk"), (LABELS, "exact")], ids=["points", "nominal"])
def test_the_learning_curve_is_the_bundles_own(tmp_path: Path, item: dict[str, Any] | None, name: str) -> None:
    live = a_live_item(tmp_path, item=item)
    a = live.bundle.agreement
    assert a is not None
    kept = [
        LearningPoint(marked=marked, agreement=agreement)
        for marked, agreement in ((300, a), (100, a.model_copy(update={name: 0.5})), (200, None))
    ]
    evidence = live.bundle.evidence.model_copy(update={"learning_curve": tuple(kept)})
    live.bundle = live.bundle.model_copy(update={"evidence": evidence})

    found = figures_on(live, ROWS[:2])

    assert found.learning_curve == [(100, 0.5), (300, 0.9)]
