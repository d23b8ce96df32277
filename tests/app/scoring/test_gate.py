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
    """Return the gate of figures at their limits, with changes."""
    return gate_of(
        item,
        AT_ITS_LIMITS.model_copy(update=agreement or {}),
        JUST_ENOUGH.model_copy(update=evidence or {}),
        {"over_long": over_long},
        threshold,
        policy or Policy(),
    )


def check_of(result: Gate, rule: str) -> Check:
    [check] = [check for check in result.checks if check.rule == rule]
    return check


def test_gate_passes_at_every_limit() -> None:
    result = gate()

    assert result.passed
    assert result.failed == []
    assert [check.rule for check in result.checks] == RULES


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
def test_figure_beyond_its_limit_fails_one_rule_and_the_gate(
    agreement: dict[str, Any], evidence: dict[str, Any], rule: str
) -> None:
    result = gate(agreement=agreement, evidence=evidence)

    assert not result.passed
    assert result.failed == [rule]


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
def test_policy_sets_each_limit(policy: Policy, rule: str) -> None:
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
def test_figure_without_a_measurement_fails(agreement: dict[str, Any], evidence: dict[str, Any], rule: str) -> None:
    result = gate(agreement=agreement, evidence=evidence)

    assert result.failed == [rule]
    assert (check_of(result, rule).measured, bool(check_of(result, rule).note)) == (None, True)


def test_gate_without_dev_fails_on_the_number_of_responses() -> None:
    result = gate_of(POINTS, None, Evidence(), {}, 0.8, Policy())

    assert result.checks == (Check(rule="marked responses", measured=0, limit=100, passed=False),)
    assert not result.passed


@pytest.mark.parametrize("over_long", [0.0501, 1.0])
def test_over_long_responses_name_the_setting_to_raise(over_long: float) -> None:
    result = gate(over_long=over_long)

    assert result.failed == ["over-long responses"]
    check = check_of(result, "over-long responses")
    assert (check.measured, check.limit) == (over_long, 0.05)
    assert "student.max_tokens" in check.note
    assert check_of(gate(), "over-long responses").note == ""


def test_gate_without_evidence_fails() -> None:
    result = gate_of(POINTS, AT_ITS_LIMITS, Evidence(), {}, 0.8, Policy())

    assert result.failed == ["calibration error", "junk accepted"]


def test_undefined_qwk_fails_the_comparison_with_raters() -> None:
    assert gate(agreement={"qwk": None}).failed == ["QWK", "QWK below raters'"]


@pytest.mark.parametrize(
    ("human_exact", "note"),
    [(None, f"fewer than {MIN_PAIRS} responses have two raters"), (1.0, "all that raters gave is alike")],
)
def test_comparison_with_raters_passes_if_their_agreement_is_unknown(human_exact: float | None, note: str) -> None:
    check = check_of(gate(agreement={"human_qwk": None, "human_exact": human_exact}), "QWK below raters'")

    assert (check.passed, check.measured, check.limit, check.note) == (True, None, None, note)


def test_higher_agreement_than_between_raters_passes() -> None:
    check = check_of(gate(agreement={"qwk": 0.95}), "QWK below raters'")

    assert check.passed
    assert check.measured == pytest.approx(-0.15)


@pytest.mark.parametrize(("n", "passed"), [(99, True), (100, False)])
def test_small_groups_do_not_count(n: int, passed: bool) -> None:
    check = check_of(gate(evidence={"groups": a_group(n, 0.9)}), "difference of groups")

    assert check.passed is passed
    assert ("100" in check.note) is passed


def test_policy_sets_the_least_size_of_a_group() -> None:
    assert gate(evidence={"groups": a_group(30, 0.9)}, policy=Policy(min_group=30)).failed == ["difference of groups"]


@pytest.mark.parametrize(("n", "passed"), [(19, True), (20, False)])
def test_recall_of_rare_scores_does_not_count(n: int, passed: bool) -> None:
    check = check_of(gate(evidence={"recalls": {"0": Recall(n=n, recall=0.0)}}), "worst recall")

    assert check.passed is passed
    assert bool(check.note) is passed


def test_worst_recall_decides() -> None:
    recalls = {"0": Recall(n=500, recall=0.99), "1": Recall(n=25, recall=0.1), "2": Recall(n=9, recall=0)}

    assert check_of(gate(evidence={"recalls": recalls}), "worst recall").measured == 0.1


def test_grades_have_no_recall() -> None:
    result = gate(GRADES, evidence={"recalls": {}})

    assert result.passed
    assert [check.rule for check in result.checks] == [rule for rule in RULES if rule != "worst recall"]


def test_gate_without_threshold_fails() -> None:
    result = gate(threshold=None)

    assert result.failed == ["threshold"]
    assert check_of(result, "threshold").note
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
def test_nominal_items_are_checked_by_exact_agreement(agreement: dict[str, Any], failed: list[str]) -> None:
    result = gate(NOMINAL, agreement={"qwk": None, "smd": None} | agreement, evidence={"groups": a_group(500, None)})

    assert result.failed == failed
    ordered = ("standardised mean difference", "difference of groups")
    assert [check.rule for check in result.checks] == [
        rule.replace("QWK", "exact agreement") for rule in RULES if rule not in ordered
    ]


@pytest.mark.parametrize("item", [POINTS, NOMINAL])
def test_gate_from_json_equals_the_computed_gate(item: Item) -> None:
    odd = {"qwk": 2 / 3, "exact": 2 / 3, "smd": 1 / 7, "human_qwk": 0.1 + 0.2, "human_exact": 1 / 3}
    result = gate(item, agreement=odd, evidence={"ece": 1 / 30, "groups": a_group(100, 1 / 70)}, threshold=1 / 3)

    again = Gate.model_validate_json(result.model_dump_json())

    assert again == result
    assert again == gate(
        item,
        agreement=Agreement.model_validate_json(AT_ITS_LIMITS.model_copy(update=odd).model_dump_json()).model_dump(),
        evidence={"ece": 1 / 30, "groups": a_group(100, 1 / 70)},
        threshold=1 / 3,
    )


def test_table_shows_every_rule_and_its_verdict() -> None:
    rows = gate_table(gate(agreement={"qwk": 0.6543, "human_qwk": None, "human_exact": None}, evidence={"ece": None}))

    assert [rule for rule, *_ in rows] == RULES
    assert rows[0] == ("marked responses", "100", "100", "passed")
    assert rows[1] == ("QWK", "0.6543 (n = 100)", "0.7", "FAILED")
    check_golden("gate.txt", "".join(f"{' | '.join(row)}\n" for row in rows))


def test_each_figure_has_its_number_of_responses() -> None:
    evidence = {
        "n": 90,
        "recalls": {"0": Recall(n=25, recall=0.5), "1": Recall(n=65, recall=0.9), "2": Recall(n=2, recall=0.0)},
        "groups": a_group(101, 0.01) | {"gender=m": GroupFigures(n=300, dsm=0.0, mean_difference=0, agreement=None)},
    }

    result = gate(agreement={"human_n": 37}, evidence=evidence)

    assert [(check.rule, check.n) for check in result.checks] == [
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
def test_meaningless_policy_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate(policy)


@pytest.mark.parametrize("limit", ["min_agreement", "max_degradation", "max_smd", "max_group_difference"])
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_policy_with_infinite_limits_is_refused(limit: str, value: float) -> None:
    """JSON has no infinity: a bundle with an infinite limit could be written but not read."""
    with pytest.raises(ValidationError):
        Policy.model_validate({limit: value})
