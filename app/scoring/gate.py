"""The gate: what a bundle must show before its scores may stand without a person.

Defaults follow Williamson, Xi & Breyer (2012), "A Framework for Evaluation and Use of Automated Scoring"; the last four
rules are ours.  The gate is computed from bundle.json alone, so that whoever reads ACTIVE can compute it again.
"""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field

from app.scoring.agreement import MIN_PAIRS, Agreement
from app.scoring.evidence import Evidence
from app.scoring.item import Item

DIGITS = 4  # a gate is written to a file and compared with itself


class Policy(BaseModel):
    """An item's release policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_responses: int = Field(default=100, ge=1, description="Marked responses that all was measured on.")
    min_agreement: float = Field(default=0.7, ge=-1, le=1, description="QWK; of labels without order, exact agreement.")
    max_degradation: float = Field(
        default=0.1, allow_inf_nan=False, description="Below the agreement of two human raters."
    )
    max_smd: float = Field(
        default=0.15, ge=0, allow_inf_nan=False, description="Standardised mean difference, either way."
    )
    max_group_difference: float = Field(
        default=0.1, ge=0, allow_inf_nan=False, description="Of standardised means, of any group."
    )
    min_group: int = Field(default=100, ge=2, description="Responses from which a group counts.")
    min_recall: float = Field(default=0.3, ge=0, le=1, description="Of every score that 20 responses or more have.")
    max_ece: float = Field(default=0.1, ge=0, le=1, description="Expected calibration error.")
    max_junk: float = Field(default=0.05, ge=0, le=1, description="Share of junk that would stand with a score.")
    max_over_long: float = Field(
        default=0.05, ge=0, le=1, description="Share of responses whose end the student does not read."
    )


class Check(BaseModel):
    """One rule: `measured` must not be below (or above) `limit`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    measured: float | None = Field(description="None: there was nothing to measure it on.")
    limit: float | None
    passed: bool
    note: str = ""
    n: int | None = Field(default=None, description="Responses, or junk texts, that `measured` rests on.")


class Gate(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    passed: bool
    checks: tuple[Check, ...]

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
    """Return every rule, the passed ones too.  `flagged`: share of responses under each flag that held for any."""
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
    name = "QWK" if ordered else "exact agreement"
    own, human = (agreement.qwk, agreement.human_qwk) if ordered else (agreement.exact, agreement.human_exact)
    yield _check("marked responses", agreement.n, least=policy.min_responses)
    yield _check(name, own, least=policy.min_agreement, n=agreement.n)
    if human is None:
        alike = agreement.human_exact is not None  # Raters did score twice, but their QWK is undefined.
        note = "all that raters gave is alike" if alike else f"fewer than {MIN_PAIRS} responses have two raters"
        yield Check(rule=f"{name} below raters'", measured=None, limit=None, passed=True, note=note)
    else:
        below = None if own is None else human - own
        yield _check(f"{name} below raters'", below, most=policy.max_degradation, n=agreement.human_n)
    if ordered:
        smd = None if agreement.smd is None else abs(agreement.smd)
        yield _check("standardised mean difference", smd, most=policy.max_smd, n=agreement.n)
        group, worst = evidence.worst_group(policy.min_group), evidence.group_at_worst(policy.min_group)
        if worst is None:
            yield Check(
                rule="difference of groups", measured=None, limit=None, passed=True,
                note=f"no group of {policy.min_group} responses or more",
            )  # fmt: skip
        else:
            yield _check("difference of groups", group, most=policy.max_group_difference, n=worst.n)
    if evidence.recalls:
        recall = evidence.least_recalled
        if recall is None:
            yield Check(rule="worst recall", measured=None, limit=None, passed=True, note="no score is frequent enough")
        else:
            yield _check("worst recall", recall.recall, least=policy.min_recall, n=recall.n)
    yield _check("calibration error", evidence.ece, most=policy.max_ece, n=evidence.n)
    yield _check("junk accepted", evidence.junk_accepted, most=policy.max_junk, n=evidence.junk_tried or None)
    over_long = _check("over-long responses", flagged.get("over_long", 0.0), most=policy.max_over_long)
    yield over_long if over_long.passed else over_long.model_copy(update={"note": "raise student.max_tokens"})
    found = threshold is not None
    note = "" if found else "no confidence reaches the agreement asked for"
    yield Check(rule="threshold", measured=_rounded(threshold), limit=None, passed=found, note=note)


def _check(
    rule: str, measured: float | None, least: float | None = None, most: float | None = None, n: int | None = None
) -> Check:
    """Return a rule of at least, or at most.  A figure that was not measured does not pass."""
    value = _rounded(measured)
    passed = value is not None and (least is None or value >= least) and (most is None or value <= most)
    note = "" if value is not None else "not measured"
    return Check(rule=rule, measured=value, limit=least if most is None else most, passed=passed, note=note, n=n)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), DIGITS)


def gate_table(gate: Gate) -> list[tuple[str, str, str, str]]:
    """Return rule, measured with its n, limit and verdict of each rule: for a table."""
    return [
        (
            check.rule,
            _measured(check),
            "-" if check.limit is None else f"{check.limit:g}",
            ("passed" if check.passed else "FAILED") + (f": {check.note}" if check.note else ""),
        )
        for check in gate.checks
    ]


def _measured(check: Check) -> str:
    if check.measured is None:
        return "-"
    return f"{check.measured:g}" if check.n is None else f"{check.measured:g} (n = {check.n:,})"
