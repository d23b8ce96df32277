"""The figures of one live item on a file of marked responses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from app.scoring.gate import gate_of
from app.scoring.item import Item
from training.data.responses import MarkedResponse
from training.evaluation.bootstrap import interval
from training.evaluation.coverage import coverage_curve
from training.evaluation.evidence import Pair, agreement_of, correct, flagged
from training.evaluation.fairness import Fairness, fairness
from training.evaluation.item_report import Band, Disagreement, ItemReport
from training.evaluation.truescore import prmse

LENGTH_BANDS = 4
MAX_WORST = 20
Values = NDArray[np.float64]


def report_item(
    live: LiveItem,
    rows: Sequence[MarkedResponse],
    judgements: Sequence[Judgement],
    pairs: Sequence[Pair],
    evidence: Evidence,
    texts: bool,
) -> ItemReport:
    """Return the report on an item.

    `pairs`: the rows that a model scored, with their scores; `texts`: whether the worst disagreements show responses.
    """
    item, bundle = live.bundle.item, live.bundle
    agreement, shares = agreement_of(item, pairs), flagged(judgements)
    return ItemReport(
        item_id=item.item_id,
        title=item.title,
        **_live_version(live),
        responses=len(rows),
        **_counts(judgements),
        flagged=shares,
        agreement=agreement,
        intervals=_intervals(item, pairs),
        sd_ratio=_sd_ratio(item, pairs),
        prmse=_prmse(item, pairs),
        degradation=_degradation(item, agreement),
        evidence=evidence,
        gate=gate_of(item, agreement, evidence, shares, bundle.threshold, bundle.policy),
        scores=tuple(item.names()),
        confusion=_confusion(item, pairs),
        calibration=_calibration(item, pairs),
        coverage_curve=coverage_curve(item, pairs),
        bands=_bands(item, pairs),
        length_correlation=_length_correlation(item, pairs),
        fairness=_fairness(item, pairs),
        learning_curve=_learning_curve(live),
        worst=_worst(item, pairs, texts),
    )


def _live_version(live: LiveItem) -> dict[str, Any]:
    """Return the fields of the version that is live and of its release."""
    bundle, active = live.bundle, live.active
    return {
        "bundle_version": bundle.version,
        "mode": active.mode,
        "overruled": f"{active.by}: {active.reason}" if active.override else None,
        "fallback": active.fallback,
        "threshold": bundle.threshold,
        "coverage_promised": bundle.head.coverage,
        "chosen_on": bundle.head.chosen_on,
    }


def _human(pairs: Sequence[Pair]) -> Values:
    return np.array([pair.row.value for pair in pairs], float)


def _machine(pairs: Sequence[Pair]) -> Values:
    return np.array([pair.score.value for pair in pairs], float)


def _counts(judgements: Sequence[Judgement]) -> dict[str, int]:
    """Return the numbers of responses by the decision on them."""
    return {
        "not_scorable": sum(judgement.decision == "not_scorable" for judgement in judgements),
        "by_rule": sum(judgement.by_rule is not None for judgement in judgements),
        "automatic": sum(judgement.decision == "auto" for judgement in judgements),
        "by_teacher": sum(judgement.scored_by == "teacher" for judgement in judgements),
    }


def _intervals(item: Item, pairs: Sequence[Pair]) -> dict[str, tuple[float, float]]:
    """Return the bootstrap interval of each main metric that is defined."""
    if not pairs:
        return {}
    metrics = {"exact": lambda h, m: exact_agreement(h, m, item.tolerance)}
    if item.is_ordered:
        metrics |= {"qwk": quadratic_weighted_kappa, "smd": standardised_mean_difference}
    if item.is_continuous:
        metrics |= {"rmse": root_mean_squared_error}
    bounds = {name: interval(_human(pairs), _machine(pairs), metric) for name, metric in metrics.items()}
    return {name: ends for name, ends in bounds.items() if ends is not None}


def _sd_ratio(item: Item, pairs: Sequence[Pair]) -> float | None:
    """Return SD of machine / SD of human scores; None without pairs or order."""
    if not item.is_ordered or not pairs:
        return None
    return none_if_nan(sd_ratio(_human(pairs), _machine(pairs)))


def _calibration(item: Item, pairs: Sequence[Pair]) -> list[tuple[float, float, int]]:
    """Return confidence and agreement by bins of confidence."""
    if not pairs:
        return []
    return reliability([pair.score.confidence for pair in pairs], correct(item, pairs))


def _prmse(item: Item, pairs: Sequence[Pair]) -> float | None:
    """Return PRMSE on the rows that two raters scored; None if the rows are too few."""
    double = [pair for pair in pairs if pair.row.raters is not None]
    raters = [pair.row.raters for pair in double if pair.row.raters is not None]
    if not item.is_ordered or len(raters) < MIN_PAIRS:
        return None
    return none_if_nan(prmse(_machine(double), raters))


def _degradation(item: Item, agreement: Agreement | None) -> float | None:
    if agreement is None:
        return None
    raters = agreement.human_qwk if item.is_ordered else agreement.human_exact
    machine = agreement.qwk if item.is_ordered else agreement.exact
    return None if raters is None or machine is None else raters - machine


def _confusion(item: Item, pairs: Sequence[Pair]) -> tuple[tuple[int, ...], ...]:
    """Return counts of responses: human scores by row, machine scores by column."""
    human, machine = _human(pairs), _machine(pairs)
    counts = np.zeros((item.choices, item.choices), int)
    for row, column in np.ndindex(counts.shape):
        counts[row, column] = ((human == row) & (machine == column)).sum()
    return tuple(tuple(row) for row in counts.tolist())


def _bands(item: Item, pairs: Sequence[Pair]) -> list[Band]:
    """Return bands with about as many responses in each, the shortest responses first."""
    ranked = sorted(pairs, key=_words)
    bands = []
    for numbers in np.array_split(np.arange(len(ranked)), LENGTH_BANDS):
        members = [ranked[number] for number in numbers]
        if members:
            difference = float(np.mean([pair.score.value - pair.row.value for pair in members]))
            ends = (_words(members[0]), _words(members[-1]))
            agreement = agreement_of(item, members)
            bands.append(Band(words=ends, n=len(members), mean_difference=difference, agreement=agreement))
    return bands


def _words(pair: Pair) -> int:
    return len(pair.row.text.split())


def _length_correlation(item: Item, pairs: Sequence[Pair]) -> float | None:
    """Return the correlation of length with machine less human; None if either is constant."""
    difference = _machine(pairs) - _human(pairs)
    lengths = np.array([_words(pair) for pair in pairs], float)
    if not item.is_ordered or len(pairs) < 2 or lengths.std() == 0 or difference.std() == 0:
        return None
    return float(np.corrcoef(lengths, difference)[0, 1])


def _fairness(item: Item, pairs: Sequence[Pair]) -> dict[str, Fairness]:
    """Return fairness by column of groups, on the responses that have a value in the column."""
    if not item.is_ordered:
        return {}
    columns = {name for pair in pairs for name, _ in pair.row.groups}
    figures = {}
    for column in sorted(columns):
        members = [pair for pair in pairs if column in dict(pair.row.groups)]
        groups = [dict(pair.row.groups)[column] for pair in members]
        if len(set(groups)) > 1:
            figures[column] = fairness(_human(members), _machine(members), groups)
    return figures


def _learning_curve(live: LiveItem) -> list[tuple[int, float]]:
    """Return marked rows and agreement of each point at which agreement is defined."""
    ordered = live.bundle.item.is_ordered
    curve = []
    for point in sorted(live.bundle.evidence.learning_curve, key=lambda point: point.marked):
        if point.agreement is None:
            continue
        figure = point.agreement.qwk if ordered else point.agreement.exact
        if figure is not None:
            curve.append((point.marked, figure))
    return curve


def _worst(item: Item, pairs: Sequence[Pair], texts: bool) -> list[Disagreement]:
    """Return the largest disagreements first, of equal ones the surest; labels without order differ or not."""

    def distance(pair: Pair) -> float:
        apart = abs(pair.row.value - pair.score.value)
        return apart if item.is_ordered else float(apart > 0)

    ranked = sorted(pairs, key=lambda pair: (-distance(pair), -pair.score.confidence))
    return [
        Disagreement(
            id=pair.row.id,
            human=item.name(pair.row.value),
            machine=item.name(pair.score.value),
            confidence=pair.score.confidence,
            response=pair.row.text if texts else None,
        )
        for pair in ranked[:MAX_WORST]
        if distance(pair) > item.tolerance
    ]
