"""The gate: the release checks that a bundle must pass before its scores may stand without review.

The default limits follow Williamson, Xi & Breyer (2012), "A Framework for Evaluation and Use of Automated Scoring"; the
last four rules are additions of scorelet.  The gate is computed from bundle.json alone, so that every reader of ACTIVE
can compute it again.  ACTIVE keeps the result: a changed text of a rule or note would invalidate every release.
"""

from collections.abc import Iterator, Mapping

from pydantic import Field

from app.scoring.agreement import MIN_PAIRS, Agreement
from app.scoring.bundle_files import FrozenModel
from app.scoring.evidence import Evidence
from app.scoring.item import Item

DIGITS = 4  # Figures are rounded, because a gate read from a file is compared with a computed gate.


class Policy(FrozenModel):
    """The limits of the gate for one item."""

    min_responses: int = Field(default=100, ge=1, description="Least number of marked responses in dev.")
    min_agreement: float = Field(
        default=0.7, ge=-1, le=1, description="Least QWK; for nominal items, least exact agreement."
    )
    max_degradation: float = Field(
        default=0.1, allow_inf_nan=False, description="Largest shortfall from the agreement between two human raters."
    )
    max_smd: float = Field(
        default=0.15, ge=0, allow_inf_nan=False, description="Largest absolute standardised mean difference."
    )
    max_group_difference: float = Field(
        default=0.1,
        ge=0,
        allow_inf_nan=False,
        description="Largest absolute difference of standardised means of any group.",
    )
    min_group: int = Field(default=100, ge=2, description="Least number of responses of a group that counts.")
    min_recall: float = Field(
        default=0.3, ge=0, le=1, description="Least recall of any score that 20 or more responses have."
    )
    max_ece: float = Field(default=0.1, ge=0, le=1, description="Largest expected calibration error.")
    max_junk: float = Field(default=0.05, ge=0, le=1, description="Largest share of accepted junk texts.")
    max_over_long: float = Field(
        default=0.05, ge=0, le=1, description="Largest share of responses longer than the student reads."
    )


class Check(FrozenModel):
    """The result of one rule: `measured` must not be below, or not above, `limit`."""

    rule: str = Field(description="Name of the rule.")
    measured: float | None = Field(description="Measured value; None if not measured.")
    limit: float | None = Field(description="Limit of the item's policy; None if the rule has none.")
    passed: bool = Field(description="True if the rule holds, or does not apply.")
    note: str = Field(default="", description="Why the rule failed, or does not apply.")
    n: int | None = Field(default=None, description="Number of responses or junk texts measured.")


class Gate(FrozenModel):
    """The results of all rules.  The gate passes if every rule passes."""

    passed: bool = Field(description="True if every rule passes.")
    checks: tuple[Check, ...] = Field(description="The result of each rule.")

    @property
    def failed(self) -> list[str]:
        return [check.rule for check in self.checks if not check.passed]


def gate_of(
    item: Item,
    agreement: Agreement | None,
    evidence: Evidence,
    flagged: Mapping[str, float],
    threshold: float | None,
    policy: Policy,
) -> Gate:
    """Compute the gate of a bundle.

    Args:
        item: the item, whose scale decides the rules.
        agreement: agreement with human scores on dev; None without dev.
        evidence: further figures, measured on the same rows.
        flagged: share of dev responses under each condition or flag.
        threshold: least confidence of a score that may stand; None if no score may.
        policy: the limits.
    """
    if agreement is None:
        checks = [_check("marked responses", 0, least=policy.min_responses)]
    else:
        checks = list(_checks(item.is_ordered, agreement, evidence, flagged, threshold, policy))
    return Gate(passed=all(check.passed for check in checks), checks=tuple(checks))


def _checks(
    ordered: bool,
    agreement: Agreement,
    evidence: Evidence,
    flagged: Mapping[str, float],
    threshold: float | None,
    policy: Policy,
) -> Iterator[Check]:
    yield _check("marked responses", agreement.n, least=policy.min_responses)
    yield from _agreement_checks(ordered, agreement, policy)
    if ordered:
        smd = None if agreement.smd is None else abs(agreement.smd)
        yield _check("standardised mean difference", smd, most=policy.max_smd, n=agreement.n)
        yield _group_check(evidence, policy)
    if evidence.recalls:
        yield _recall_check(evidence, policy)
    yield _check("calibration error", evidence.ece, most=policy.max_ece, n=evidence.n)
    yield _check("junk accepted", evidence.junk_accepted, most=policy.max_junk, n=evidence.junk_tried or None)
    yield _over_long_check(flagged, policy)
    yield _threshold_check(threshold)


def _agreement_checks(ordered: bool, agreement: Agreement, policy: Policy) -> Iterator[Check]:
    if ordered:
        name, machine, human = "QWK", agreement.qwk, agreement.human_qwk
    else:
        name, machine, human = "exact agreement", agreement.exact, agreement.human_exact
    yield _check(name, machine, least=policy.min_agreement, n=agreement.n)
    if human is not None:
        degradation = None if machine is None else human - machine
        yield _check(f"{name} below raters'", degradation, most=policy.max_degradation, n=agreement.human_n)
    elif agreement.human_exact is not None:  # Two raters scored, but their QWK is undefined.
        yield _not_applicable(f"{name} below raters'", "all that raters gave is alike")
    else:
        yield _not_applicable(f"{name} below raters'", f"fewer than {MIN_PAIRS} responses have two raters")


def _group_check(evidence: Evidence, policy: Policy) -> Check:
    difference, worst = evidence.worst_group(policy.min_group), evidence.group_at_worst(policy.min_group)
    if worst is None:
        return _not_applicable("difference of groups", f"no group of {policy.min_group} responses or more")
    return _check("difference of groups", difference, most=policy.max_group_difference, n=worst.n)


def _recall_check(evidence: Evidence, policy: Policy) -> Check:
    worst = evidence.least_recalled
    if worst is None:
        return _not_applicable("worst recall", "no score is frequent enough")
    return _check("worst recall", worst.recall, least=policy.min_recall, n=worst.n)


def _over_long_check(flagged: Mapping[str, float], policy: Policy) -> Check:
    check = _check("over-long responses", flagged.get("over_long", 0.0), most=policy.max_over_long)
    return check if check.passed else check.model_copy(update={"note": "raise student.max_tokens"})


def _threshold_check(threshold: float | None) -> Check:
    note = "no confidence reaches the agreement asked for" if threshold is None else ""
    return Check(rule="threshold", measured=_rounded(threshold), limit=None, passed=threshold is not None, note=note)


def _not_applicable(rule: str, note: str) -> Check:
    return Check(rule=rule, measured=None, limit=None, passed=True, note=note)


def _check(
    rule: str, measured: float | None, least: float | None = None, most: float | None = None, n: int | None = None
) -> Check:
    """Check a figure against its least or most allowed value.  A figure that was not measured fails."""
    value = _rounded(measured)
    limit = least if most is None else most
    if value is None:
        return Check(rule=rule, measured=None, limit=limit, passed=False, note="not measured", n=n)
    passed = (least is None or value >= least) and (most is None or value <= most)
    return Check(rule=rule, measured=value, limit=limit, passed=passed, n=n)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), DIGITS)


def gate_table(gate: Gate) -> list[tuple[str, str, str, str]]:
    """Return the rows of a table: name, measured value with n, limit and verdict of each rule."""
    return [_table_row(check) for check in gate.checks]


def _table_row(check: Check) -> tuple[str, str, str, str]:
    measured = "-" if check.measured is None else f"{check.measured:g}"
    if check.measured is not None and check.n is not None:
        measured += f" (n = {check.n:,})"
    limit = "-" if check.limit is None else f"{check.limit:g}"
    verdict = "passed" if check.passed else "FAILED"
    if check.note:
        verdict += f": {check.note}"
    return check.rule, measured, limit, verdict
