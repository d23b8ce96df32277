"""All figures of one item on a file of marked responses: what the report shows, and its JSON."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from app.scoring.agreement import (
    MIN_PAIRS,
    Agreement,
    exact_agreement,
    none_if_nan,
    quadratic_weighted_kappa,
    root_mean_squared_error,
    standardised_mean_difference,
)
from app.scoring.decision import Judgement, LiveItem
from app.scoring.evidence import Evidence, reliability, sd_ratio
from app.scoring.gate import Gate, gate_of
from app.scoring.item import Item
from app.scoring.release import Fallback, Mode
from training.data.responses import MarkedResponse
from training.evaluation.bootstrap import interval
from training.evaluation.coverage import coverage_curve
from training.evaluation.evidence import Pair, agreement_of, correct, flagged
from training.evaluation.fairness import Fairness, fairness
from training.evaluation.truescore import prmse

BANDS = 4  # of responses by their length
WORST = 20
Values = NDArray[np.float64]


class ReportModel(BaseModel):
    model_config = ConfigDict(frozen=True)


class Band(ReportModel):
    """Responses of about one length."""

    words: tuple[int, int]
    n: int
    mean_difference: float = Field(description="Machine less human, in units of the scale.")
    agreement: Agreement | None


class Disagreement(ReportModel):
    id: str
    human: str
    machine: str
    confidence: float
    response: str | None = Field(description="Only where texts were asked for.")


class ItemReport(ReportModel):
    """One item, as it is live."""

    item_id: str
    title: str | None
    bundle_version: str
    mode: Mode
    overruled: str | None = Field(
        description="Why the mode is auto though the gate refused at release, and who decided."
    )
    fallback: Fallback | None
    threshold: float | None
    coverage_promised: float | None = Field(
        description="Of human scores, in prediction sets or intervals; None where too few responses were there."
    )
    chosen_on: int | None = Field(
        description="Marked responses of train that calibration, sets, cuts and threshold rest on; None: not recorded."
    )
    responses: int
    not_scorable: int
    automatic: int = Field(description="Scores that stood without a person, in the mode that the item is live in.")
    by_teacher: int
    by_rule: int = Field(description="Blank responses and refusals given the worst score; no other figure counts them.")
    flagged: dict[str, float]
    agreement: Agreement | None
    intervals: dict[str, tuple[float, float]] = Field(description="95 % bootstrap intervals over responses.")
    sd_ratio: float | None
    prmse: float | None = Field(description="Where two raters scored enough responses (MIN_PAIRS).")
    degradation: float | None = Field(description="QWK, or exact agreement of labels, below the raters' own.")
    evidence: Evidence
    gate: Gate = Field(description="Its policy, on these responses.")
    scores: tuple[str, ...] = Field(description="Of the confusion matrix.")
    confusion: tuple[tuple[int, ...], ...] = Field(description="Human score by row, machine score by column.")
    calibration: list[tuple[float, float, int]] = Field(description="Mean confidence, share right, responses.")
    coverage_curve: list[tuple[float, float]] = Field(
        description="Share accepted, the surest first, and the agreement of these: QWK, or exact agreement."
    )
    bands: list[Band]
    length_correlation: float | None = Field(description="Of a response's words with machine less human.")
    fairness: dict[str, Fairness]
    learning_curve: list[tuple[int, float]] = Field(
        description="Marked responses and agreement on dev, when it was trained; empty if none was asked for."
    )
    worst: list[Disagreement]


def figures_of(
    live: LiveItem,
    rows: Sequence[MarkedResponse],
    judged: Sequence[Judgement],
    found: Sequence[Pair],
    evidence: Evidence,
    texts: bool,
) -> ItemReport:
    """`found`: of the rows that a model scored.  `texts`: whether the worst disagreements show what learners wrote."""
    item, bundle = live.bundle.item, live.bundle
    human = np.array([pair.row.value for pair in found], float)
    machine = np.array([pair.score.value for pair in found], float)
    agreement = agreement_of(item, found)
    raters = [pair.row.raters for pair in found if pair.row.raters is not None]
    double = np.array([pair.row.raters is not None for pair in found], bool)
    has_prmse = item.is_ordered and len(raters) >= MIN_PAIRS
    return ItemReport(
        item_id=item.item_id,
        title=item.title,
        bundle_version=bundle.version,
        mode=live.active.mode,
        overruled=f"{live.active.by}: {live.active.reason}" if live.active.override else None,
        fallback=live.active.fallback,
        threshold=bundle.threshold,
        coverage_promised=bundle.head.coverage,
        chosen_on=bundle.head.chosen_on,
        responses=len(rows),
        not_scorable=sum(own.decision == "not_scorable" for own in judged),
        by_rule=sum(own.by_rule is not None for own in judged),
        automatic=sum(own.decision == "auto" for own in judged),
        by_teacher=sum(own.scored_by == "teacher" for own in judged),
        flagged=flagged(judged),
        agreement=agreement,
        intervals=_intervals(item, human, machine) if len(found) else {},
        sd_ratio=none_if_nan(sd_ratio(human, machine)) if item.is_ordered and len(found) else None,
        prmse=none_if_nan(prmse(machine[double], raters)) if has_prmse else None,
        degradation=_degradation(item, agreement),
        evidence=evidence,
        gate=gate_of(item, agreement, evidence, flagged(judged), bundle.threshold, bundle.policy),
        scores=tuple(item.names()),
        confusion=_confusion(item, human, machine),
        calibration=reliability([pair.score.confidence for pair in found], correct(item, found)) if found else [],
        coverage_curve=coverage_curve(item, found),
        bands=_bands(item, found),
        length_correlation=_length_correlation(found, machine - human) if item.is_ordered else None,
        fairness=_fairness(item, found, human, machine),
        learning_curve=_learning_curve(live),
        worst=_worst(item, found, texts),
    )


def _intervals(item: Item, human: Values, machine: Values) -> dict[str, tuple[float, float]]:
    wanted = {"exact": lambda h, m: exact_agreement(h, m, item.tolerance)}
    if item.is_ordered:
        wanted |= {"qwk": quadratic_weighted_kappa, "smd": standardised_mean_difference}
    if item.is_continuous:
        wanted |= {"rmse": root_mean_squared_error}
    found = {name: interval(human, machine, figure) for name, figure in wanted.items()}
    return {name: bounds for name, bounds in found.items() if bounds is not None}


def _degradation(item: Item, agreement: Agreement | None) -> float | None:
    if agreement is None:
        return None
    pair = (agreement.human_qwk, agreement.qwk) if item.is_ordered else (agreement.human_exact, agreement.exact)
    return None if pair[0] is None or pair[1] is None else pair[0] - pair[1]


def _confusion(item: Item, human: Values, machine: Values) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(int(((human == h) & (machine == m)).sum()) for m in range(item.choices)) for h in range(item.choices)
    )


def _bands(item: Item, found: Sequence[Pair]) -> list[Band]:
    """About as many responses in each, the short ones first."""
    ranked = sorted(found, key=lambda pair: _words(pair))
    made = []
    for numbers in np.array_split(np.arange(len(ranked)), BANDS):
        own = [ranked[number] for number in numbers]
        if own:
            difference = float(np.mean([pair.score.value - pair.row.value for pair in own]))
            ends = (_words(own[0]), _words(own[-1]))
            made.append(Band(words=ends, n=len(own), mean_difference=difference, agreement=agreement_of(item, own)))
    return made


def _words(pair: Pair) -> int:
    return len(pair.row.text.split())


def _length_correlation(found: Sequence[Pair], difference: Values) -> float | None:
    lengths = np.array([_words(pair) for pair in found], float)
    if len(found) < 2 or lengths.std() == 0 or difference.std() == 0:
        return None
    return float(np.corrcoef(lengths, difference)[0, 1])


def _fairness(item: Item, found: Sequence[Pair], human: Values, machine: Values) -> dict[str, Fairness]:
    """By column, of the responses that have a value in it."""
    if not item.is_ordered:
        return {}
    made = {}
    for column in sorted({name for pair in found for name, _ in pair.row.groups}):
        values = [dict(pair.row.groups).get(column) for pair in found]
        known = np.array([value is not None for value in values])
        named = [value for value in values if value is not None]
        if len(set(named)) > 1:
            made[column] = fairness(human[known], machine[known], named)
    return made


def _learning_curve(live: LiveItem) -> list[tuple[int, float]]:
    bundle = live.bundle
    made = []
    for point in sorted(bundle.evidence.learning_curve, key=lambda own: own.marked):
        a = point.agreement
        figure = None if a is None else a.qwk if bundle.item.is_ordered else a.exact
        made += [] if figure is None else [(point.marked, figure)]
    return made


def _worst(item: Item, found: Sequence[Pair], texts: bool) -> list[Disagreement]:
    """The furthest apart first, of these the surest; labels without order differ or not."""

    def distance(pair: Pair) -> float:
        apart = abs(pair.row.value - pair.score.value)
        return apart if item.is_ordered else float(apart > 0)

    ranked = sorted(found, key=lambda pair: (-distance(pair), -pair.score.confidence))
    return [
        Disagreement(
            id=pair.row.id,
            human=item.name(pair.row.value),
            machine=item.name(pair.score.value),
            confidence=pair.score.confidence,
            response=pair.row.text if texts else None,
        )
        for pair in ranked[:WORST]
        if distance(pair) > item.tolerance
    ]
