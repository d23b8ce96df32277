from typing import Any

import pytest
from pydantic import ValidationError

from app.scoring.agreement import MIN_PAIRS, Agreement
from app.scoring.evidence import AttackFigures, Evidence, GroupFigures, Recall
from app.scoring.gate import Check, Gate, Policy, gate_of, gate_table
from app.scoring.item import Item
from tests.refusals import check_golden

POINTS = Item(item_id="heat-1", prompt="Why?", scale="points", max_score=3)
NOMINAL = Item(item_id="belief-3", prompt="Is it air?", scale="nominal", labels=("yes", "no"))
GRADES = Item(item_id="shade-6", prompt="How warm?", scale="continuous", min_score=1, max_score=6)
AT_ITS_LIMITS = Agreement(
    n=100, exact=0.7, adjacent=0.9, qwk=0.7, smd=0.15, macro_f1=0.6, human_qwk=0.8, human_exact=0.8
)
RULES = [
    "marked responses",
    "QWK",
    "QWK below raters'",
    "standardised mean difference",
    "difference of groups",
    "worst recall",
    "calibration error",
    "junk accepted",
    "over-long responses",
    "threshold",
]


def a_group(n: int, dsm: float | None) -> dict[str, GroupFigures]:
    return {"gender=f": GroupFigures(n=n, dsm=dsm, mean_difference=0, agreement=None)}


def junk(accepted: float) -> dict[str, AttackFigures]:
    return {"words": AttackFigures(n=50, accepted=accepted, unguarded=1, junk=True)}


JUST_ENOUGH = Evidence(
    ece=0.1, recalls={"0": Recall(n=20, recall=0.3)}, groups=a_group(100, -0.1), attacks=junk(0.05)
)  # each at its limit


def gate(
    item: Item = POINTS,
    agreement: dict[str, Any] | None = None,
    evidence: dict[str, Any] | None = None,
    threshold: float | None = 0.8,
    policy: Policy | None = None,
    over_long: float = 0.05,
) -> Gate:
    """Of what is just good enough, but for the changes."""
    return gate_of(
        item,
        AT_ITS_LIMITS.model_copy(update=agreement or {}),
        JUST_ENOUGH.model_copy(update=evidence or {}),
        {"over_long": over_long},
        threshold,
        policy or Policy(),
    )


def check(found: Gate, rule: str) -> Check:
    [own] = [check for check in found.checks if check.rule == rule]
    return own


def test_whatever_reaches_every_limit_passes() -> None:
    found = gate()

    assert found.passed
    assert found.failed == []
    assert [own.rule for own in found.checks] == RULES


@pytest.mark.parametrize(
    ("agreement", "evidence", "rule"),
    [
        ({"n": 99}, {}, "marked responses"),
        ({"qwk": 0.6999, "human_qwk": None}, {}, "QWK"),
        ({"human_qwk": 0.8001}, {}, "QWK below raters'"),
        ({"smd": 0.1501}, {}, "standardised mean difference"),
        ({"smd": -0.1501}, {}, "standardised mean difference"),
        ({}, {"groups": a_group(100, 0.1001)}, "difference of groups"),
        ({}, {"groups": a_group(100, -0.1001)}, "difference of groups"),
        ({}, {"recalls": {"0": Recall(n=20, recall=0.2999)}}, "worst recall"),
        ({}, {"ece": 0.1001}, "calibration error"),
        ({}, {"attacks": junk(0.0501)}, "junk accepted"),
    ],
)
def test_one_figure_beyond_its_limit_fails_its_own_rule_and_the_whole(
    agreement: dict[str, Any], evidence: dict[str, Any], rule: str
) -> None:
    found = gate(agreement=agreement, evidence=evidence)

    assert not found.passed
    assert found.failed == [rule]


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        (Policy(min_responses=101), "marked responses"),
        (Policy(min_agreement=0.71), "QWK"),
        (Policy(max_degradation=0.09), "QWK below raters'"),
        (Policy(max_smd=0.14), "standardised mean difference"),
        (Policy(max_group_difference=0.09), "difference of groups"),
        (Policy(min_recall=0.31), "worst recall"),
        (Policy(max_ece=0.09), "calibration error"),
        (Policy(max_junk=0.04), "junk accepted"),
        (Policy(max_over_long=0.04), "over-long responses"),
    ],
)
def test_each_limit_is_an_items_own(policy: Policy, rule: str) -> None:
    assert gate(policy=policy).failed == [rule]


@pytest.mark.parametrize(
    ("agreement", "evidence", "rule"),
    [
        ({"qwk": None, "human_qwk": None}, {}, "QWK"),
        ({"smd": None}, {}, "standardised mean difference"),
        ({}, {"ece": None}, "calibration error"),
        ({}, {"attacks": {}}, "junk accepted"),
    ],
)
def test_what_was_not_measured_is_not_passed(agreement: dict[str, Any], evidence: dict[str, Any], rule: str) -> None:
    found = gate(agreement=agreement, evidence=evidence)

    assert found.failed == [rule]
    assert (check(found, rule).measured, bool(check(found, rule).note)) == (None, True)


def test_where_nothing_was_measured_the_number_of_responses_says_so() -> None:
    found = gate_of(POINTS, None, Evidence(), {}, 0.8, Policy())

    assert found.checks == (Check(rule="marked responses", measured=0, limit=100, passed=False),)
    assert not found.passed


@pytest.mark.parametrize("over_long", [0.0501, 1.0])
def test_responses_that_are_cut_name_the_setting_to_raise(over_long: float) -> None:
    found = gate(over_long=over_long)

    assert found.failed == ["over-long responses"]
    own = check(found, "over-long responses")
    assert (own.measured, own.limit) == (over_long, 0.05)
    assert "student.max_tokens" in own.note
    assert check(gate(), "over-long responses").note == ""


def test_without_evidence_nothing_passes_by_silence() -> None:
    found = gate_of(POINTS, AT_ITS_LIMITS, Evidence(), {}, 0.8, Policy())

    assert found.failed == ["calibration error", "junk accepted"]


def test_an_undefined_qwk_falls_short_of_raters_too() -> None:
    assert gate(agreement={"qwk": None}).failed == ["QWK", "QWK below raters'"]


@pytest.mark.parametrize(
    ("human_exact", "note"),
    [(None, f"fewer than {MIN_PAIRS} responses have two raters"), (1.0, "all that raters gave is alike")],
)
def test_an_unknown_agreement_of_raters_cannot_be_fallen_short_of(human_exact: float | None, note: str) -> None:
    found = check(gate(agreement={"human_qwk": None, "human_exact": human_exact}), "QWK below raters'")

    assert (found.passed, found.measured, found.limit, found.note) == (True, None, None, note)


def test_being_better_than_raters_agree_is_no_fault() -> None:
    found = check(gate(agreement={"qwk": 0.95}), "QWK below raters'")

    assert found.passed
    assert found.measured == pytest.approx(-0.15)


@pytest.mark.parametrize(("n", "passed"), [(99, True), (100, False)])
def test_a_group_counts_from_its_least_size(n: int, passed: bool) -> None:
    found = check(gate(evidence={"groups": a_group(n, 0.9)}), "difference of groups")

    assert found.passed is passed
    assert ("100" in found.note) is passed


def test_the_least_size_of_a_group_is_the_policys() -> None:
    assert gate(evidence={"groups": a_group(30, 0.9)}, policy=Policy(min_group=30)).failed == ["difference of groups"]


@pytest.mark.parametrize(("n", "passed"), [(19, True), (20, False)])
def test_a_rare_score_says_nothing_of_recall(n: int, passed: bool) -> None:
    found = check(gate(evidence={"recalls": {"0": Recall(n=n, recall=0.0)}}), "worst recall")

    assert found.passed is passed
    assert bool(found.note) is passed


def test_of_many_scores_the_worst_recalled_decides() -> None:
    recalls = {"0": Recall(n=500, recall=0.99), "1": Recall(n=25, recall=0.1), "2": Recall(n=9, recall=0)}

    assert check(gate(evidence={"recalls": recalls}), "worst recall").measured == 0.1


def test_grades_have_no_recall() -> None:
    found = gate(GRADES, evidence={"recalls": {}})

    assert found.passed
    assert [own.rule for own in found.checks] == [rule for rule in RULES if rule != "worst recall"]


def test_no_threshold_is_no_confidence_that_is_enough() -> None:
    found = gate(threshold=None)

    assert found.failed == ["threshold"]
    assert check(found, "threshold").note
    assert gate(threshold=0.0).passed


@pytest.mark.parametrize(
    ("agreement", "failed"),
    [
        ({}, []),
        ({"exact": 0.6999, "human_exact": None}, ["exact agreement"]),
        ({"human_exact": 0.8001}, ["exact agreement below raters'"]),
        ({"qwk": None, "smd": None, "human_qwk": None}, []),  # labels without order have none
    ],
)
def test_labels_without_order_are_measured_by_exact_agreement(agreement: dict[str, Any], failed: list[str]) -> None:
    found = gate(NOMINAL, agreement={"qwk": None, "smd": None} | agreement, evidence={"groups": a_group(500, None)})

    assert found.failed == failed
    ordered = ("standardised mean difference", "difference of groups")
    assert [own.rule for own in found.checks] == [
        rule.replace("QWK", "exact agreement") for rule in RULES if rule not in ordered
    ]


@pytest.mark.parametrize("item", [POINTS, NOMINAL])
def test_a_gate_survives_json_and_is_found_again(item: Item) -> None:
    odd = {"qwk": 2 / 3, "exact": 2 / 3, "smd": 1 / 7, "human_qwk": 0.1 + 0.2, "human_exact": 1 / 3}
    found = gate(item, agreement=odd, evidence={"ece": 1 / 30, "groups": a_group(100, 1 / 70)}, threshold=1 / 3)

    again = Gate.model_validate_json(found.model_dump_json())

    assert again == found
    assert again == gate(
        item,
        agreement=Agreement.model_validate_json(AT_ITS_LIMITS.model_copy(update=odd).model_dump_json()).model_dump(),
        evidence={"ece": 1 / 30, "groups": a_group(100, 1 / 70)},
        threshold=1 / 3,
    )


def test_a_table_shows_every_rule_and_what_failed() -> None:
    rows = gate_table(gate(agreement={"qwk": 0.6543, "human_qwk": None, "human_exact": None}, evidence={"ece": None}))

    assert [rule for rule, *_ in rows] == RULES
    assert rows[0] == ("marked responses", "100", "100", "passed")
    assert rows[1] == ("QWK", "0.6543 (n = 100)", "0.7", "FAILED")
    check_golden("gate.txt", "".join(f"{' | '.join(row)}\n" for row in rows))


def test_each_figure_stands_with_the_number_that_it_rests_on() -> None:
    evidence = {
        "n": 90,
        "recalls": {"0": Recall(n=25, recall=0.5), "1": Recall(n=65, recall=0.9), "2": Recall(n=2, recall=0.0)},
        "groups": a_group(101, 0.01) | {"gender=m": GroupFigures(n=300, dsm=0.0, mean_difference=0, agreement=None)},
    }

    found = gate(agreement={"human_n": 37}, evidence=evidence)

    assert [(own.rule, own.n) for own in found.checks] == [
        ("marked responses", None),  # a number itself
        ("QWK", 100),
        ("QWK below raters'", 37),
        ("standardised mean difference", 100),
        ("difference of groups", 101),
        ("worst recall", 25),
        ("calibration error", 90),
        ("junk accepted", 50),
        ("over-long responses", None),
        ("threshold", None),
    ]


@pytest.mark.parametrize(
    "policy",
    [{"min_responses": 0}, {"min_agreement": 1.1}, {"max_smd": -0.1}, {"min_group": 1}, {"max_ece": 2}, {"colour": 1}],
)
def test_a_policy_that_means_nothing_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate(policy)


@pytest.mark.parametrize("limit", ["min_agreement", "max_degradation", "max_smd", "max_group_difference"])
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_policy_that_no_json_can_keep_is_refused(limit: str, value: float) -> None:
    """JSON has no infinity: a bundle with such a limit could be written and never be read."""
    with pytest.raises(ValidationError):
        Policy.model_validate({limit: value})
